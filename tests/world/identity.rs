//! Who the agent is: on each engine and for each caller, what it writes belongs to the caller.

use std::os::unix::fs::MetadataExt as _;

use crate::ground::{Ground, on_all_engines};

const BUSYBOX: &str = "library/busybox:latest";

fn runs_arguments(ground: &Ground) {
    ground.base(BUSYBOX);
    ground.define_program(r#"exec "$@""#);
    ground.build();
}

fn owned(path: &std::path::Path) -> (u32, u32) {
    let there = fs_err::symlink_metadata(path).unwrap();
    (there.uid(), there.gid())
}

#[test]
fn what_the_agent_writes_belongs_to_the_caller() {
    on_all_engines(|ground| {
        runs_arguments(ground);
        ground.write_agent(
            "agent.yml",
            "agent_full_name: Agent\nagent_homepage: https://agent.example\nagent_path:\n  \
             directories: [~/.state/agent]\n  files: [~/.agent.json]\n",
        );
        let said = ground.start(
            &[
                "sh",
                "-c",
                "mkdir made && echo text >made/file && chmod 640 made/file; touch \"$HOME/own\"; \
                 echo one >>$HOME/.state/agent/kept; echo two >>$HOME/.agent.json; \
                 id -u; id -g; id -un; echo $HOME; echo $USER; pwd",
            ],
            0,
        );
        let (uid, gid) = ground.owner();
        for path in [
            ground.project().join("made"),
            ground.project().join("made/file"),
            ground.home().join(".state/agent"),
            ground.home().join(".state/agent/kept"),
            ground.home().join(".agent.json"),
        ] {
            assert_eq!(owned(&path), (uid, gid), "{}: {said:?}", path.display());
        }
        let root_inside = ground.name == "AICAGE_TEST_DOCKER_ROOTLESS";
        let (uid, gid, name, home) = match &ground.caller {
            Some(caller) if !root_inside => (uid, gid, caller.name.as_str(), ground.home()),
            Some(_) => (0, 0, "root", "/root".into()),
            None => (0, 0, "root", ground.home()),
        };
        let expected = format!(
            "{uid}\n{gid}\n{name}\n{}\n{name}\n{}\n",
            home.display(),
            ground.project().display()
        );
        assert_eq!(said.stdout, expected);
        // What is not mounted is gone with the container, also in a home that is.
        assert!(!ground.home().join("own").exists());
        ground.start(
            &[
                "sh",
                "-c",
                "echo again >>made/file; rm made/file; rmdir made",
            ],
            0,
        );
        assert!(!ground.project().join("made").exists());
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}
