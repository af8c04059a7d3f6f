//! What goes wrong is named, with its exit code, and leaves nothing behind that the next run stumbles over.

use std::{
    process::{Child, Command, Stdio},
    thread,
};

use crate::{
    ground::{BASE, Ground, Said, on_every_engine, variable},
    session::{signal, until},
};

const BUSYBOX: &str = "library/busybox:latest";

/// Starts a build and returns it while it runs.
fn building(ground: &Ground) -> Child {
    ground
        .aicage(&["build", &ground.agent, "--base", BASE])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until a step's script has printed this.
#[track_caller]
fn printed(ground: &Ground, text: &str) {
    until(text, || {
        let logs = ground.logs();
        let found = logs
            .values()
            .any(|log| String::from_utf8_lossy(log).contains(text));
        found.then_some(())
    });
}

#[test]
fn mistakes_of_the_user_are_named_before_anything_runs() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define_program("echo works");
        let said = ground.run(&["codx"], 2);
        said.tells("there is no agent `codx`");
        said.tells("did you mean `codex`?");
        ground
            .run(&["--base", "tinny", &ground.agent], 2)
            .tells("did you mean `tiny`?");

        let other = format!("{}x", ground.agent);
        let directory = ground.aicage_home().join("custom/agents").join(&other);
        fs_err::create_dir_all(&directory).unwrap();
        fs_err::write(directory.join("install.sh"), "").unwrap();
        fs_err::write(directory.join("version.sh"), "echo 1").unwrap();
        let file = directory.join("agent.yml");
        fs_err::write(
            &file,
            "agent_full_name: X\nagent_homepage: https://x.example\nbase_exclude: [tiny]\n",
        )
        .unwrap();
        ground.run(&["--base", BASE, &other], 2).tells(BASE);

        fs_err::write(
            &file,
            "agent_full_name: X\nagent_homepage: x\nmisspelt: 1\n",
        )
        .unwrap();
        let said = ground.run(&["--base", BASE, &other], 2);
        said.tells("agent.yml:3");
        said.tells("misspelt");
        // The others work on, with a warning.
        let said = ground.start(&[], 0);
        assert_eq!(said.stdout, "works\n");
        said.tells("agent.yml:3");
    });
}

#[test]
fn a_script_that_fails_shows_its_last_lines_and_its_log() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define("#!/bin/sh\necho the first line\necho it went wrong >&2\nexit 7\n");
        let child = building(ground);
        let process = child.id();
        let said = Said::judge(&child.wait_with_output().unwrap(), 1, "a failing build");
        said.tells("it went wrong");
        said.tells("status 7");
        said.tells(".aicage/logs/agent-");
        printed(ground, "the first line");
        assert_eq!(ground.containers(&[process]), Vec::<String>::new());
        let arguments = [
            "--progress",
            "quiet",
            "build",
            &ground.agent,
            "--base",
            BASE,
        ];
        let quiet = ground.run(&arguments, 1);
        quiet.tells("it went wrong");
        assert!(
            quiet.stderr.trim_start().starts_with("error:"),
            "nothing but the failure: {}",
            quiet.stderr
        );
        // Repaired, it goes on.
        ground.define_program("echo repaired");
        assert_eq!(ground.start(&[], 0).stdout, "repaired\n");
    });
}

#[test]
fn ctrl_c_ends_a_script_that_hangs_and_removes_its_container() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define("#!/bin/sh\ntrap '' INT TERM\necho hanging\nwhile :; do sleep 1; done\n");
        let child = building(ground);
        let process = child.id();
        printed(ground, "hanging");
        assert_eq!(ground.containers(&[process]).len(), 1);
        signal(&child, "INT");
        Said::judge(
            &child.wait_with_output().unwrap(),
            130,
            "an interrupted build",
        );
        assert_eq!(ground.containers(&[process]), Vec::<String>::new());
    });
}

#[test]
fn what_a_killed_step_left_is_swept_and_the_next_run_succeeds() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define("#!/bin/sh\necho hanging\nwhile :; do sleep 1; done\n");
        let mut child = building(ground);
        let process = child.id();
        printed(ground, "hanging");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ground.containers(&[process]).len(), 1, "nobody removed it");

        ground.define_program("echo works");
        assert_eq!(ground.start(&[], 0).stdout, "works\n");
        assert_eq!(ground.containers(&[process]), Vec::<String>::new());
        ground.run(&["cache", "verify"], 0);
    });
}

#[test]
fn a_pull_that_was_killed_goes_on() {
    on_every_engine(|ground| {
        ground.base("aicage/aicage-image-base:debian");
        ground.define_program("echo works");
        let ingest = ground.aicage_home().join("store/ingest");
        let mut child = building(ground);
        // Some of a layer is there.
        until("part of a download", || {
            let parts = std::fs::read_dir(&ingest).ok()?;
            let size: u64 = parts
                .filter_map(|part| Some(part.ok()?.metadata().ok()?.len()))
                .sum();
            (size > 1_000_000).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        ground.run(&["cache", "verify"], 0);
        let image = format!("{}/aicage/aicage-image-base:debian", ground.registry);
        ground.run(&["image", "pull", &image], 0);
        ground.run(&["cache", "verify"], 0);
        let left: Vec<_> = fs_err::read_dir(&ingest)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().ends_with(".part"))
            .collect();
        assert_eq!(left, Vec::<std::ffi::OsString>::new());
    });
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define_program("echo works");
        let nowhere = format!("unix://{}", ground.path("no.sock").display());
        let mut command = ground.aicage(&["--base", BASE, &ground.agent]);
        let said = Said::of(command.env("DOCKER_HOST", nowhere), 125);
        said.tells("no.sock");
        said.tells("hint:");
    });
}

#[test]
fn two_builds_of_one_image_at_once_both_succeed() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define_program("echo works");
        let (first, second) = (building(ground), building(ground));
        let processes = [first.id(), second.id()];
        let other = thread::spawn(move || second.wait_with_output().unwrap());
        let said = Said::judge(&first.wait_with_output().unwrap(), 0, "the first build");
        let other = Said::judge(&other.join().unwrap(), 0, "the second build");
        assert!(said.stdout.starts_with(&ground.image()), "{}", said.stdout);
        assert!(
            other.stdout.starts_with(&ground.image()),
            "{}",
            other.stdout
        );
        ground.run(&["cache", "verify"], 0);
        assert_eq!(ground.start(&[], 0).stdout, "works\n");
        assert_eq!(ground.containers(&processes), Vec::<String>::new());
    });
}

#[test]
fn a_registry_that_wants_a_password_gets_dockers() {
    let names = [
        "AICAGE_TEST_REGISTRY_AUTH",
        "AICAGE_TEST_REGISTRY_USER",
        "AICAGE_TEST_REGISTRY_PASSWORD",
    ];
    let [Some(registry), Some(user), Some(password)] = names.map(variable) else {
        return;
    };
    on_every_engine(|ground| {
        let image = format!("{registry}/private/busybox:latest");
        let said = ground.run(&["image", "pull", &image], 1);
        said.tells(&registry);
        said.tells("hint:");
        let docker = ground.home().join(".docker");
        fs_err::create_dir_all(&docker).unwrap();
        let encoded = Command::new("sh")
            .args([
                "-c",
                "printf %s \"$1:$2\" | base64 -w 0",
                "sh",
                &user,
                &password,
            ])
            .output()
            .unwrap();
        let encoded = String::from_utf8(encoded.stdout).unwrap();
        fs_err::write(
            docker.join("config.json"),
            format!(r#"{{"auths":{{"{registry}":{{"auth":"{encoded}"}}}}}}"#),
        )
        .unwrap();
        let said = ground.run(&["image", "pull", &image], 0);
        assert!(!said.stderr.contains(&password), "{}", said.stderr);
        ground.run(&["cache", "verify"], 0);
    });
}

#[test]
fn an_update_whose_script_fails_is_told_once_and_starts_nothing_else() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define_program("echo works");
        ground.run(&["--base", BASE, &ground.agent], 0);
        ground.write_agent("install.sh", "#!/bin/sh\necho broken >&2\nexit 7\n");
        let before = ground.logs().len();
        let said = ground.run(&["--update", "--base", BASE, &ground.agent], 1);
        said.tells("`install.sh` exited with status 7");
        assert_eq!(said.stdout, "");
        assert!(!said.stderr.contains("at hand"), "{}", said.stderr);
        let ran: Vec<String> = ground.logs().into_keys().collect();
        assert_eq!(ran.len(), before + 1, "{ran:?}");
    });
}

#[test]
fn a_doctor_that_is_interrupted_takes_its_container_with_it() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define("#!/bin/sh\ntrue\n");
        // There is an image to try the network in.
        ground.build();
        // Nobody answers there, so that the container waits.
        let child = ground
            .aicage(&["doctor"])
            .env("HTTPS_PROXY", "http://192.0.2.1:9")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let process = child.id();
        until("container of the doctor", || {
            (!ground.containers(&[process]).is_empty()).then_some(())
        });
        signal(&child, "INT");
        let output = child.wait_with_output().unwrap();
        Said::judge(&output, 130, "an interrupted doctor");
        assert_eq!(ground.containers(&[process]), Vec::<String>::new());
    });
}
