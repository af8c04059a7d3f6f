//! What an agent sees of this machine: the project, its own state, and what was shared, each with the access that was
//! given.

use crate::ground::{BASE, Ground, Said, on_every_engine};

/// An agent with state that runs its arguments, and two extensions: one of them only shares, the other one has a script, too.
fn shared_ground(ground: &Ground) {
    ground.base("library/busybox:latest");
    ground.define_program(r#"exec "$@""#);
    ground.write_agent(
        "agent.yml",
        "agent_full_name: Agent\nagent_homepage: https://agent.example\nagent_path:\n  directories: [~/.state]\n",
    );
    for directory in [
        "srv/data/sub",
        "srv/data",
        "home/tool",
        "home/other",
        "home/kept",
    ] {
        fs_err::create_dir_all(ground.path(directory)).unwrap();
        fs_err::write(ground.path(directory).join("file"), directory).unwrap();
    }
    extension(ground, "only", "[~/tool, '~/other:ro']");
    extension(ground, "script", &format!("['{}']", srv(ground, "sub")));
    let script = ground.aicage_home().join("custom/extension/script/scripts");
    fs_err::create_dir_all(&script).unwrap();
    fs_err::write(script.join("1.sh"), "echo made >/etc/made\n").unwrap();
}

fn extension(ground: &Ground, id: &str, shares: &str) {
    let directory = ground.aicage_home().join("custom/extension").join(id);
    fs_err::create_dir_all(&directory).unwrap();
    let text = format!("name: {id}\ndescription: For tests\nshares: {shares}\n");
    fs_err::write(directory.join("extension.yml"), text).unwrap();
}

fn srv(ground: &Ground, name: &str) -> String {
    ground.path("srv/data").join(name).display().to_string()
}

/// Starts the agent with a script for its shell, as the project has it stored.
#[track_caller]
fn sees(ground: &Ground, options: &[&str], script: &str) -> Said {
    let words = [options, &[&ground.agent, "sh", "-c", script]].concat();
    ground.run(&words, 0)
}

/// Says whether each path is there and can be written.
fn look(paths: &[String]) -> String {
    format!(
        "for p in {}; do if ! test -e $p/file; then echo none; elif touch $p/new 2>/dev/null; then echo rw; else echo ro; fi; done",
        paths.join(" ")
    )
}

#[test]
fn what_was_agreed_to_is_mounted_with_its_access_and_nothing_else_is() {
    on_every_engine(|ground| {
        shared_ground(ground);
        let home = |name: &str| ground.home().join(name).display().to_string();
        let paths = [
            home("tool"),
            home("other"),
            srv(ground, "sub"),
            srv(ground, ""),
        ];
        let first = [
            "--base",
            BASE,
            "--extension",
            "only",
            "--extension",
            "script",
        ];
        let said = sees(ground, &first, &look(&paths));
        assert_eq!(said.stdout, "none\nnone\nnone\nnone\n");
        said.tells("extension `only` shares what nobody agreed to, and it is not mounted");
        said.tells("extension `script` shares what nobody agreed to, and it is not mounted");
        let said = sees(ground, &["--extension-shares", "only"], &look(&paths));
        assert_eq!(said.stdout, "rw\nro\nnone\nnone\n");
        assert!(ground.home().join("tool/new").exists());
        let said = sees(ground, &["--extension-shares=script"], &look(&paths));
        assert_eq!(said.stdout, "rw\nro\nrw\nnone\n");
        assert_eq!(said.stderr, "", "there is nothing left to say");
        // Shares are no layer, and no reason to build anything again.
        extension(ground, "only", "['~/other:ro']");
        let plan = ground.run(&["plan", &ground.agent], 0).stdout;
        assert!(plan.contains("is up to date"), "{plan}");
        let said = sees(ground, &[], &look(&paths));
        assert_eq!(said.stdout, "none\nro\nrw\nnone\n");
        let said = sees(ground, &["--no-extension-shares"], &look(&paths));
        assert_eq!(said.stdout, "none\nnone\nnone\nnone\n");
        // What is asked for is around what an extension shares, and both keep their access.
        let around = format!("{}:ro", srv(ground, ""));
        let agree = ["--share", &around, "--extension-shares", "script"];
        let said = sees(ground, &agree, &look(&paths));
        assert_eq!(said.stdout, "none\nnone\nrw\nro\n");
    });
}

#[test]
fn stored_shares_are_mounted_as_the_python_program_does() {
    on_every_engine(|ground| {
        shared_ground(ground);
        let home = |name: &str| ground.home().join(name).display().to_string();
        let mounts = "grep -c . /proc/self/mountinfo";
        let plain: u32 = sees(ground, &["--base", BASE], mounts)
            .stdout
            .trim()
            .parse()
            .unwrap();
        // The same place by another name, a part of a share, a part of it with another access, and the agent's own state.
        let link = ground.path("link");
        std::os::unix::fs::symlink(ground.path("srv/data"), &link).unwrap();
        let link = link.display().to_string();
        fs_err::write(ground.home().join(".state/file"), "").unwrap();
        let list = fs_err::read_dir(ground.aicage_home().join("projects")).unwrap();
        let files = list.map(|entry| entry.unwrap().path());
        let file = files
            .filter(|path| path.extension().is_some())
            .collect::<Vec<_>>();
        let text = fs_err::read_to_string(&file[0]).unwrap();
        let shares = format!(
            "    shares: ['{}:ro', '{link}', '{}:ro', ~/kept, ~/kept/sub, '~/.state:ro', ../home/other]\n",
            srv(ground, ""),
            srv(ground, "sub"),
        );
        fs_err::create_dir(ground.home().join("kept/sub")).unwrap();
        fs_err::write(&file[0], text.replace("path: ", &format!("{shares}path: "))).unwrap();
        let paths = [
            srv(ground, ""),
            link,
            srv(ground, "sub"),
            home("kept"),
            home(".state"),
            home("other"),
        ];
        let said = sees(ground, &[], &look(&paths));
        assert_eq!(said.stdout, "ro\nro\nro\nrw\nrw\nrw\n");
        let more: u32 = sees(ground, &[], mounts).stdout.trim().parse().unwrap();
        assert_eq!(
            more - plain,
            4,
            "the data, the link, what is kept and the other"
        );
        // The command line decides first.
        let said = sees(
            ground,
            &["--share", "../home/other:ro", "--share", "~/.state:ro"],
            &look(&paths),
        );
        assert_eq!(said.stdout, "ro\nro\nro\nrw\nro\nro\n");
    });
}
