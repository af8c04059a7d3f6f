//! `version.sh`: in a container, then on this machine, and everything that is no version.

use std::time::Duration;

use crate::ground::{Ground, on_every_engine};

/// A script that knows where it runs: only this machine has the file.
const ON_HOST_ONLY: &str = "#!/bin/sh\n[ -e \"$HOME/this-machine\" ] || exit 7\n";

/// An agent on a base, not built, with a `version.sh`.
fn prepare(ground: &Ground, version: &str) {
    ground.base("library/busybox:latest");
    ground.define_program("echo 1");
    ground.write_agent("version.sh", version);
    fs_err::write(ground.home().join("this-machine"), "").unwrap();
}

fn kept(ground: &Ground) -> serde_json::Value {
    let name = format!("state/version/{}@tiny.json", ground.agent);
    let text = fs_err::read(ground.aicage_home().join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn a_changed_script_is_asked_before_the_agent_is_installed_again() {
    on_every_engine(|ground| {
        prepare(ground, "#!/bin/sh\necho 1.0\n");
        ground.build();
        ground.write_agent("version.sh", "#!/bin/sh\necho 2.0\n");
        ground.build();
        let said = ground.run(&["image", "inspect", &ground.image()], 0).stdout;
        let layer = said.lines().find(|line| line.contains(" executed "));
        assert!(layer.unwrap().contains(" 2.0 "), "{said}");
        ground.run(&["update", "--check"], 0);
    });
}

#[test]
fn a_container_is_asked_first_and_this_machine_when_it_failed() {
    on_every_engine(|ground| {
        prepare(ground, "#!/bin/sh\necho 1.5\n");
        ground.build();
        assert_eq!(kept(ground)["value"], "1.5");
        assert_eq!(kept(ground)["how"], "container");

        // Windows' line ends, the definition's other files, and little of our environment.
        let script =
            format!("{ON_HOST_ONLY}. ./names.sh\necho \"$(names) $(ls | tr '\\n' ' ')\"\n");
        ground.write_agent("version.sh", &script.replace('\n', "\r\n"));
        ground.write_agent(
            "names.sh",
            "names() { env | cut -d= -f1 | grep -Ev '^(PWD|OLDPWD|SHLVL|_)$' | sort | tr '\\n' ' '; }\n",
        );
        let mut update = ground.aicage(&["update"]);
        update.env("SECRET", "1").env("https_proxy", "");
        let said = crate::ground::Said::of(&mut update, 0);
        said.tells("exited with status 7");
        assert_eq!(kept(ground)["how"], "host");
        assert_eq!(
            kept(ground)["value"],
            "AGENT HOME PATH  agent.yml install.sh names.sh version.sh"
        );
        let scratch = ground.aicage_home().join("scratch");
        let left: Vec<_> = fs_err::read_dir(scratch).unwrap().collect();
        assert!(left.is_empty(), "something was left behind: {left:?}");
    });
}

#[test]
fn this_machine_is_left_alone_where_the_configuration_says_so() {
    on_every_engine(|ground| {
        prepare(
            ground,
            &format!("{ON_HOST_ONLY}echo >\"$HOME/ran\"; echo 2.0\n"),
        );
        ground.run(&["config", "set", "update.version_on_host", "false"], 0);
        let said = ground.run(&["build", &ground.agent, "--base", "tiny"], 1);
        said.tells("cannot tell the newest version");
        said.tells("exited with status 7");
        said.tells("update.version_on_host");
        assert!(
            !ground.home().join("ran").exists(),
            "it ran on this machine"
        );
    });
}

#[test]
fn what_is_no_version_is_an_error_and_an_image_at_hand_stays() {
    on_every_engine(|ground| {
        let cases = [
            ("", "it printed nothing"),
            (
                "for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; done",
                "more than one line",
            ),
            ("printf '\\377\\376\\n'", "not text"),
            ("printf 'a\\033[31mb\\n'", "no version"),
            ("echo 1.0; exit 1", "exited with status 1"),
            ("head -c 3000000 /dev/zero", "it printed more than 1 MiB"),
            ("sleep 600 & sleep 600", "did not end within 2 s"),
        ];
        prepare(ground, "#!/bin/sh\necho 1.0\n");
        for key in ["update.version_limit", "update.version_limit_on_host"] {
            ground.run(&["config", "set", key, "2s"], 0);
        }
        for (script, reason) in cases {
            ground.write_agent("version.sh", &format!("#!/bin/sh\n{script}\n"));
            let said = ground.run(&["build", &ground.agent, "--base", "tiny"], 1);
            for way in ["in a container", "on this machine"] {
                said.tells(way);
            }
            said.tells(reason);
        }
        // With an image at hand each is a warning; that the script itself is another one is a difference.
        ground.write_agent("version.sh", "#!/bin/sh\necho 1.0\n");
        ground.build();
        for (script, reason) in cases {
            ground.write_agent("version.sh", &format!("#!/bin/sh\n{script}\n"));
            let said = ground.run(&["update", "--check"], 5);
            said.tells("warning");
            said.tells("1.0");
            said.tells(reason);
            assert_eq!(kept(ground)["value"], "1.0");
            assert_eq!(ground.start(&[], 0).stdout, "1\n");
        }
        assert_eq!(
            ground.containers(&[]),
            Vec::<String>::new(),
            "a container was left behind"
        );
    });
}

#[test]
fn what_hangs_on_this_machine_is_killed_with_what_it_started() {
    on_every_engine(|ground| {
        prepare(
            ground,
            &format!("{ON_HOST_ONLY}sleep 600 & echo $! >\"$HOME/pid\"; wait\n"),
        );
        ground.run(&["config", "set", "update.version_limit_on_host", "1s"], 0);
        let started = std::time::Instant::now();
        let said = ground.run(&["build", &ground.agent, "--base", "tiny"], 1);
        said.tells("did not end within 1 s");
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it was waited for {:?}",
            started.elapsed()
        );
        let pid = fs_err::read_to_string(ground.home().join("pid")).unwrap();
        let state = fs_err::read_to_string(format!("/proc/{}/stat", pid.trim()));
        let alive = state.is_ok_and(|stat| !stat.contains(") Z "));
        assert!(!alive, "what the script started is still running");
    });
}

#[test]
fn a_script_that_broke_is_told_at_the_next_start_once() {
    on_every_engine(|ground| {
        prepare(ground, "#!/bin/sh\necho 1.0\n");
        ground.build();
        // The script of the definition, but not what it reads, is the same: the image is as it should be.
        ground.write_agent(
            "version.sh",
            "#!/bin/sh\n[ -e \"$HOME/answer\" ] || exit 9\ncat \"$HOME/answer\"\n",
        );
        fs_err::write(ground.home().join("answer"), "1.0\n").unwrap();
        ground.run(&["update", &ground.agent, "--base", "tiny"], 0);
        fs_err::remove_file(ground.home().join("answer")).unwrap();
        ground.run(&["config", "set", "update.check_interval", "0s"], 0);
        assert_eq!(ground.start(&[], 0).stdout, "1\n");
        let failed = format!("state/version-failed/{}@tiny.json", ground.agent);
        let failed = ground.aicage_home().join(failed);
        // Another process asks.
        for _ in 0..1200 {
            if failed.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        ground.run(&["config", "set", "update.check_interval", "1d"], 0);
        let said = ground.start(&[], 0);
        assert_eq!(said.stdout, "1\n");
        said.tells("`version.sh` gave none");
        said.tells("exited with status 9");
        said.tells("it last gave one");
        let said = ground.start(&[], 0);
        assert!(!said.stderr.contains("gave none"), "{}", said.stderr);
    });
}
