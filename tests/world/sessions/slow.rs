//! Whoever looks on without an engine and reads slowly holds no agent up, misses nothing that fits, and is told otherwise.

use std::{
    io::{BufReader, Read as _},
    process::{Child, ChildStdout},
};

use super::{background, listed, runs_arguments};
use crate::{
    ground::{Ground, Said, begun, on_this_machine},
    session::{signal, until},
};

/// Looks on, and after a first line reads nothing yet.
fn looks_on(ground: &Ground) -> (Child, BufReader<ChildStdout>) {
    begun(&mut ground.aicage(&["attach"]), "tick\n")
}

/// Lets the agent print, and waits until it has.
fn goes(ground: &Ground) {
    let sign = ground.project().join("done");
    fs_err::write(ground.project().join("go"), "").unwrap();
    until("end of the printing", || sign.exists().then_some(()));
}

const WAIT: &str = "while [ ! -e go ]; do echo tick; sleep 0.1; done";

#[test]
fn a_slow_visitor_sees_every_one_of_many_small_pieces() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let lines = "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done";
        let end = "echo >done; while [ ! -e end ]; do sleep 0.1; done; exit 5";
        background(ground, &format!("{WAIT}; {lines}; {end}"));
        let (child, mut stdout) = looks_on(ground);
        goes(ground);
        fs_err::write(ground.project().join("end"), "").unwrap();
        let mut seen = String::new();
        stdout.read_to_string(&mut seen).unwrap();
        Said::judge(&child.wait_with_output().unwrap(), 5, "attach");
        let lines: Vec<&str> = seen.lines().filter(|line| *line != "tick").collect();
        assert_eq!((lines.len(), lines.last()), (30_000, Some(&"line 29999")));
        ground.run(&["stop"], 0);
    });
}

#[test]
fn a_visitor_who_is_much_too_slow_is_told_and_the_agent_runs_on() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let flood = "head -c 100000000 /dev/zero; echo >done";
        let name = background(
            ground,
            &format!("{WAIT}; {flood}; while :; do sleep 0.1; done"),
        );
        let (child, mut stdout) = looks_on(ground);
        goes(ground);
        let mut seen = Vec::new();
        stdout.read_to_end(&mut seen).unwrap();
        let said = Said::judge(&child.wait_with_output().unwrap(), 125, "attach");
        said.tells("prints faster than");
        said.tells(&format!("aicage logs {name}"));
        assert!(
            (10_000_000..90_000_000).contains(&seen.len()),
            "{}",
            seen.len()
        );
        assert_eq!(listed(ground)[0]["status"], "running");
        ground.run(&["stop", "-t", "0"], 0);
    });
}

/// How many keepers of this test's sessions there are; each has its session's lock as its output.
fn keepers(ground: &Ground) -> usize {
    let processes = fs_err::read_dir("/proc").unwrap().flatten();
    let outputs =
        processes.filter_map(|process| std::fs::read_link(process.path().join("fd/1")).ok());
    let sessions = ground.aicage_home().join("store/sessions");
    outputs
        .filter(|output| output.starts_with(&sessions))
        .count()
}

#[test]
fn a_visitor_who_is_stopped_keeps_no_keeper_once_the_session_has_ended() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        let flood = "head -c 5000000 /dev/zero; echo >done; exit 5";
        let name = background(ground, &format!("{WAIT}; {flood}"));
        let (child, mut stdout) = looks_on(ground);
        signal(&child, "STOP");
        assert_eq!(keepers(ground), 1);
        goes(ground);
        until("end of the keeper", || (keepers(ground) == 0).then_some(()));
        assert_eq!(listed(ground)[0]["exit_code"], 5);
        signal(&child, "CONT");
        let mut seen = Vec::new();
        stdout.read_to_end(&mut seen).unwrap();
        let said = Said::judge(&child.wait_with_output().unwrap(), 125, "attach");
        said.tells("prints faster than");
        assert!(seen.len() < 5_000_000, "{} bytes", seen.len());
        ground.run(&["stop", &name], 0);
    });
}
