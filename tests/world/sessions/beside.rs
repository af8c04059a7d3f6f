//! Other programs in a session.

use std::{
    io::{Read as _, Write as _},
    process::Stdio,
};

use super::{background, listed, runs_arguments};
use crate::{
    ground::{BASE, Said, begun, on_each_engine_and_this_machine},
    session::signal,
};

#[test]
fn a_command_in_a_session_has_bytes_exit_code_and_signals_of_its_own() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let name = background(ground, "while :; do sleep 0.1; done");
        let mut child = ground
            .aicage(&["exec", &name, "--", "sh", "-c", "cat; exit 3"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(2_000_000).collect();
        let (mut stdin, sent) = (child.stdin.take().unwrap(), bytes.clone());
        let writer = std::thread::spawn(move || stdin.write_all(&sent));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout == bytes, "the bytes came back changed");
        let listens = "trap 'echo heard; exit 7' INT; echo up; while :; do sleep 0.1; done";
        let mut command = ground.aicage(&["exec", "--", "sh", "-c", listens]);
        let (mut child, mut stdout) = begun(&mut command, "up\n");
        signal(&child, "INT");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(
            (rest.as_str(), child.wait().unwrap().code()),
            ("heard\n", Some(7))
        );
        ground.run(&["stop", "-t", "0"], 0);
    });
}

#[test]
fn a_command_is_waited_for_when_its_output_ends_before_it_does() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        background(ground, "while :; do sleep 0.1; done");
        let quiet = "exec >&- 2>&-; sleep 2; exit 7";
        ground.run(&["exec", "--", "sh", "-c", quiet], 7);
        // Whoever read it went away: it is told, and has time to tidy up.
        let tidy = "trap 'sleep 1; exit 8' TERM; while :; do echo y; sleep 0.1; done";
        let mut child = ground
            .aicage(&["exec", "--", "sh", "-c", tidy])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(8));
        ground.run(&["stop", "-t", "0"], 0);
    });
}

#[test]
fn a_shell_joins_the_agents_session_or_has_a_container_of_its_own() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let shell = |options: &[&str], script: &str| {
            let mut child = ground
                .aicage(&[&["shell"], options, &[ground.agent.as_str()]].concat())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(script.as_bytes()).unwrap();
            drop(stdin);
            Said::judge(&child.wait_with_output().unwrap(), 0, "shell").stdout
        };
        let ask = "pwd; hostname\n";
        let alone = shell(&["--base", BASE], ask);
        assert!(alone.starts_with(&format!("{}\n", ground.project().display())));
        let name = background(ground, "while :; do sleep 0.1; done");
        let id: String = listed(ground)[0]["id"]
            .as_str()
            .unwrap()
            .chars()
            .take(12)
            .collect();
        assert!(shell(&[], ask).contains(&id), "the shell is in {name}");
        assert!(
            !shell(&["--new", "--base", BASE], ask).contains(&id),
            "a container of its own"
        );
        for typed in [&["--dry-run", "shell"][..], &["shell", "-p", "3000:3000"]] {
            let typed = [typed, &[ground.agent.as_str()]].concat();
            ground.run(&typed, 2).tells("is for a new container, and");
        }
        ground.run(&["stop", "-t", "0"], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}
