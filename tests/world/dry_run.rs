//! `--dry-run` prints the line that does what a session does, and does nothing.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{
    container_options::{options, runs_arguments},
    ground::{BASE, Ground, Said, on_every_engine, on_one_engine, shell},
};

const BUSYBOX: &str = "library/busybox:latest";

/// Tells as much as can be told from inside.
const SCRIPT: &str = "id -u; pwd; echo \"$A|$TOKEN|$FROM_FILE|$BOTH\"; cat /data/file; ls -ld /data | cut -c1-10; \
    hostname; grep -E '^(CapBnd|CapEff|NoNewPrivs)' /proc/self/status; ulimit -n; touch \"$PWD/made\"; \
    stat -c %u \"$PWD/made\"; rm \"$PWD/made\"; env | grep -vE '^(HOSTNAME|TERM)=' | sort; exit 7";

#[test]
fn the_line_that_a_dry_run_prints_does_what_a_session_does_and_nothing_is_done() {
    on_every_engine(|ground| {
        runs_arguments(ground);
        let data = ground.path("it's, da ta");
        fs_err::create_dir_all(&data).unwrap();
        fs_err::write(data.join("file"), "content").unwrap();
        let vars = ground.path("vars.env");
        fs_err::write(&vars, "FROM_FILE=x y\nBOTH=file\n").unwrap();
        let vars = vars.to_str().unwrap();
        let mount = format!("type=bind,\"src={}\",dst=/data", data.display());
        let text = "--base tiny -e SAYING -e TOKEN --env-file VARS -e BOTH=option --mount MOUNT --hostname box \
            --ulimit nofile=100:200 --docker-args PASTED AGENT sh -c SCRIPT";
        let values = [
            ("SAYING", "A=it's \"b  c\""),
            ("VARS", vars),
            ("MOUNT", &mount),
            ("PASTED", "-l 'x=y z' --add-host db:10.0.0.7"),
            ("AGENT", &ground.agent),
            ("SCRIPT", SCRIPT),
        ];
        let line = options(text, &values);
        let aicage = |more: &[&str], code: i32| {
            let line = [more, &line].concat();
            Said::of(ground.aicage(&line).env("TOKEN", "very secret"), code)
        };
        let before = everything(ground);
        let dry = aicage(&["--dry-run"], 0);
        let as_json: Value =
            serde_json::from_str(&aicage(&["--dry-run", "--json"], 0).stdout).unwrap();
        assert_eq!(everything(ground), before, "a dry run changed something");
        assert_eq!(dry.stdout.lines().count(), 1, "{}", dry.stdout);
        assert!(
            !dry.stdout.contains("very secret"),
            "a secret is printed: {}",
            dry.stdout
        );
        let quiet = aicage(&["--dry-run", "--no-log"], 0).stdout;
        assert!(quiet.contains(" --log-driver=none "), "{quiet}");
        assert!(
            dry.stdout.contains(" --log-opt max-size="),
            "{}",
            dry.stdout
        );
        let session = aicage(&[], 7);
        let mut judge = Command::new("sh");
        judge
            .args(["-c", &dry.stdout])
            .current_dir(ground.project())
            .env("DOCKER_HOST", &ground.engine)
            .env("TOKEN", "very secret")
            .stdin(Stdio::null());
        let judged = Said::of(&mut judge, 7);
        assert_eq!(judged.stdout, session.stdout);
        assert!(
            session
                .stdout
                .contains("it's \"b  c\"|very secret|x y|option"),
            "{}",
            session.stdout
        );
        // As JSON it is the same, word by word.
        let words = shell(&format!("printf '%s\\0' {}", dry.stdout.trim_end()), &[]);
        let words: Vec<&str> = str::from_utf8(&words)
            .unwrap()
            .trim_end_matches('\0')
            .split('\0')
            .collect();
        assert_eq!(as_json["schema"], "aicage.dry-run/1");
        assert_eq!(as_json["argv"], json!(words));
    });
}

#[test]
fn a_dry_run_of_what_was_never_made_makes_nothing() {
    on_one_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define_program("true");
        ground.write_agent(
            "agent.yml",
            "agent_full_name: Agent\nagent_homepage: https://a.example\nagent_path: {directories: [~/.state/of/it]}\n",
        );
        let before = everything(ground);
        let said = ground.run(
            &[
                "--dry-run",
                "-p",
                "80:80",
                "--share",
                ".",
                "--keep-shares",
                "--base",
                BASE,
                &ground.agent,
                "x y",
            ],
            0,
        );
        assert_eq!(everything(ground), before, "a dry run made something");
        assert!(said.stdout.contains("/.state/of/it"), "{}", said.stdout);
        assert!(
            said.stdout
                .ends_with(&format!("{} 'x y'\n", ground.image())),
            "{}",
            said.stdout
        );
        assert!(said.stdout.contains("--pull never"), "{}", said.stdout);
        said.tells("a start would make it first");
    });
}

/// Lists everything below the test's own directory, with what would tell that it was written.
fn everything(ground: &Ground) -> String {
    let list = shell(
        "find \"$1\" -printf '%P %y %s %T@ %C@\\n' | sort",
        &[&ground.path("")],
    );
    let containers = ground.containers(&[]).join("\n");
    format!("{}{containers}", String::from_utf8(list).unwrap())
}
