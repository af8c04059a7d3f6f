//! How sessions end, by whomever, and that nothing is left of them.

use std::{
    io::{Read as _, Write as _},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::{at_a_pipe, background, listed, runs_arguments};
use crate::{
    ground::{BASE, Said, on_each_engine, on_each_engine_and_this_machine, on_this_machine},
    session::signal,
};

#[test]
fn a_killed_aicage_leaves_a_session_that_is_known() {
    on_each_engine(|ground| {
        runs_arguments(ground);
        let (mut child, _stdout) = at_a_pipe(ground, "echo up; while :; do sleep 0.1; done");
        assert_eq!(listed(ground)[0]["attached"], true);
        child.kill().unwrap();
        child.wait().unwrap();
        let signs = ground.aicage_home().join("state/attached");
        // Whoever killed that one removed its session, too.
        fs_err::write(signs.join("0123456789ab.1"), "").unwrap();
        let session = listed(ground).remove(0);
        assert_eq!(session["status"], "running");
        assert_eq!(session["attached"], false, "whoever was there is dead");
        ground.run(&["exec", "--", "true"], 0);
        ground.run(&["stop", "-t", "0"], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
        let signs = fs_err::read_dir(signs).unwrap();
        assert_eq!(signs.count(), 0, "no sign of the dead is left");
    });
}

#[test]
fn an_agent_that_does_not_listen_is_killed_and_what_it_started_ends_with_it() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let deaf =
            "trap '' TERM HUP; (while :; do sleep 1; done) & echo up; while :; do sleep 1; done";
        let (mut child, _stdout) = at_a_pipe(ground, deaf);
        ground.run(&["stop", "-t", "1"], 0);
        assert_eq!(child.wait().unwrap().code(), Some(137));
        let (mut child, _stdout) = at_a_pipe(ground, deaf);
        let start = std::time::Instant::now();
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(137));
        assert!(
            start.elapsed() > Duration::from_secs(5),
            "it was given time"
        );
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn half_a_connection_carries_what_is_left() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        // The agent answers only after its input has ended.
        let (mut child, mut stdout) =
            at_a_pipe(ground, "echo up; wc -c; head -c 3000000 /dev/zero");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![7; 1_000_000]).unwrap();
        drop(stdin);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), 3_000_000 + "1000000\n".len());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn an_agent_that_was_killed_did_not_run_out_of_memory() {
    on_each_engine_and_this_machine(|ground| {
        runs_arguments(ground);
        let said = ground.start(&["sh", "-c", "kill -9 $$"], 137);
        assert!(!said.stderr.contains("memory"), "{}", said.stderr);
    });
}

#[test]
fn without_an_engine_a_session_ends_with_whoever_started_it_and_leaves_nothing() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let (mut child, mut stdout) = at_a_pipe(
            ground,
            "trap '' TERM HUP; (while :; do sleep 1; done) & echo up; while :; do sleep 1; done",
        );
        assert_eq!(listed(ground)[0]["attached"], true);
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody is left who could print anything.
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
        assert_eq!(listed(ground), Vec::<Value>::new());
    });
}

#[test]
fn without_an_engine_a_session_whose_keeper_was_killed_leaves_its_name_and_nothing_else() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let (mut child, _stdout) = at_a_pipe(ground, "echo up; while :; do sleep 0.1; done");
        let name = listed(ground)[0]["name"].as_str().unwrap().to_owned();
        let parent = child.id().to_string();
        let said = Said::of(Command::new("pgrep").args(["-P", &parent]), 0);
        for keeper in said.stdout.split_whitespace() {
            Said::of(Command::new("kill").args(["-KILL", keeper]), 0);
        }
        assert_eq!(child.wait().unwrap().code(), Some(137));
        let next = background(ground, "while :; do sleep 0.1; done");
        assert_eq!(next, name, "nobody has it any more");
        assert_eq!(listed(ground).len(), 1);
        ground.run(&["stop", "-t", "0"], 0);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn without_an_engine_a_session_that_cannot_be_begun_says_why_and_leaves_nothing() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        ground.start(&["true"], 0);
        // No file may be as large as what the keeper writes down for the cage, as on a full disk.
        let limited = "trap '' XFSZ; exec timeout -k 1 60 prlimit --fsize=16384 \"$@\"";
        let aicage = ground.aicage(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", limited, "sh"]);
        command.arg(aicage.get_program()).args(aicage.get_args());
        for number in 0..500 {
            command.args([
                "--add-host",
                &format!("a-rather-long-name-{number}:192.0.2.1"),
            ]);
        }
        command.args(["--base", BASE, &ground.agent, "true"]);
        command.current_dir(ground.project()).env_clear();
        let variables = aicage.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let said = Said::of(&mut command, 125);
        said.tells("cannot write the job down");
        said.tells("File too large");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}
