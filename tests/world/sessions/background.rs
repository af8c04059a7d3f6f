//! Sessions in the background are listed, read, visited and named.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
};

use serde_json::Value;

use super::{background, listed, runs_arguments};
use crate::{
    ground::{BASE, Said, begun, on_each_engine_and_this_machine},
    session::{signal, until},
};

#[test]
fn a_session_in_the_background_is_listed_read_joined_and_ended() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        // A socket of a group, as the engine's is one.
        let elsewhere = tempfile::tempdir().unwrap();
        fs_err::set_permissions(elsewhere.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let socket = elsewhere.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::chown(&socket, Some(0), Some(4321)).unwrap();
        fs_err::set_permissions(&socket, PermissionsExt::from_mode(0o660)).unwrap();
        let who = "id -u; id -g; id -un; id -G; pwd; echo $HOME $USER $PATH $AICAGE_WORKSPACE; \
                   echo $TERM $LANG ${LC_TIME-none} ${AICAGE_LOCALE-none}";
        let script =
            format!("{who}; echo aside >&2; trap 'exit 4' TERM; while :; do sleep 0.1; done");
        let share = format!("{}:ro", socket.display());
        let words = [
            "-d",
            "--share",
            &share,
            "--base",
            BASE,
            &ground.agent,
            "sh",
            "-c",
            &script,
        ];
        let mut command = ground.aicage(&words);
        command.env("LANG", "en_GB.UTF-8").env("LC_TIME", "C");
        let name = Said::of(&mut command, 0).stdout.trim().to_owned();
        assert_eq!(name, format!("{}-project", ground.agent));
        let session = until("running session", || {
            let session = listed(ground).remove(0);
            (session["status"] == "running").then_some(session)
        });
        assert_eq!(session["name"], name.as_str());
        assert_eq!(session["attached"], false);
        let project = ground.project().display().to_string();
        assert_eq!(session["project"], project.as_str());
        let log = until("line in the log", || {
            let said = ground.run(&["logs", &name], 0);
            said.stderr.contains("aside").then_some(said)
        });
        // Several commands need no name where one session runs.
        let command = format!("{who}; exit 9");
        let said = ground.run(&["exec", "--", "sh", "-c", &command], 9);
        assert_eq!(
            said.stdout, log.stdout,
            "both are the same user in the same place"
        );
        assert!(said.stdout.contains(&project), "{}", said.stdout);
        assert!(said.stdout.contains(".UTF-8 C none"), "{}", said.stdout);
        if !ground.name.contains("ROOTLESS") && !ground.is_native() && ground.caller.is_some() {
            assert!(said.stdout.contains(" 4321"), "{}", said.stdout);
        }
        let stopped = ground.run(&["stop"], 0);
        assert_eq!(stopped.stdout.trim(), name);
        assert_eq!(listed(ground), Vec::<Value>::new());
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn a_session_in_the_background_that_ended_keeps_its_log_and_exit_code() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let name = background(ground, "echo done; exit 5");
        let session = until("end of the session", || {
            let session = listed(ground).remove(0);
            (session["status"] == "ended").then_some(session)
        });
        assert_eq!(session["exit_code"], 5);
        assert_eq!(ground.run(&["logs", "-n", "1"], 0).stdout, "done\n");
        ground.run(&["attach", &name], 1).tells("has ended");
        ground.run(&["stop", &name], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn ten_sessions_at_once_have_ten_names_and_end_together() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        // All ten find that it is not there.
        ground.write_agent(
            "agent.yml",
            "agent_full_name: Agent\nagent_homepage: https://agent.example\nagent_path: {files: [~/.agent.json]}\n",
        );
        ground.build();
        let running = |count: usize| {
            until("so many sessions", || {
                let sessions = listed(ground);
                let running = |session: &&Value| session["status"] == "running";
                (sessions.iter().filter(running).count() == count).then_some(sessions)
            })
        };
        let mut children: Vec<Child> = (1..=10)
            .map(|number| {
                let mut command =
                    ground.aicage(&["--base", BASE, &ground.agent, "sh", "-c", "echo up; cat"]);
                let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let child = command.spawn().unwrap();
                // Podman 4.3 crashes when it makes two of one user's containers at once: libsubid is not made for threads.
                if ground.name == "AICAGE_TEST_PODMAN_ROOTLESS" {
                    running(number);
                }
                child
            })
            .collect();
        let sessions = running(10);
        let mut names: Vec<&str> = sessions.iter().filter_map(|s| s["name"].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 10, "{names:?}");
        ground
            .run(&["exec", "--", "true"], 2)
            .tells("10 sessions run in this directory");
        let said = ground.run(&[&["stop", "-t", "0"], &names[..]].concat(), 0);
        assert_eq!(said.stdout.lines().count(), 10);
        for child in &mut children {
            let code = child.wait().unwrap().code();
            assert!(matches!(code, Some(137 | 143)), "stopped at once: {code:?}");
        }
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn names_are_chosen_refused_and_suggested() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let chosen = format!("review-{}", ground.agent);
        let start = ["-d", "--name", &chosen, "--base", BASE, &ground.agent];
        ground.run(&[&start[..], &["sleep", "600"]].concat(), 0);
        ground
            .run(&[&start[..], &["true"]].concat(), 2)
            .tells(&format!("another container has the name `{chosen}`"));
        ground.run(&["--name", "a b", &ground.agent], 2);
        let near = format!("reviev-{}", ground.agent);
        ground
            .run(&["stop", &near], 1)
            .tells(&format!("did you mean `{chosen}`?"));
        ground.run(&["stop", "-t", "0", &chosen], 0);
        ground
            .run(&["attach"], 1)
            .tells("no session of yours runs in");
    });
}

#[test]
fn an_interrupt_at_a_session_without_a_terminal_ends_only_the_visit() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let script = "trap 'echo heard' INT; while :; do echo tick; sleep 0.1; done";
        background(ground, script);
        let (child, _stdout) = begun(&mut ground.aicage(&["attach"]), "tick\n");
        signal(&child, "INT");
        let said = Said::judge(&child.wait_with_output().unwrap(), 0, "attach");
        said.tells("comes back");
        assert_eq!(listed(ground)[0]["status"], "running");
        let log = ground.run(&["logs"], 0).stdout;
        assert!(!log.contains("heard"), "{log}");
        ground.run(&["stop", "-t", "0"], 0);
    });
}
