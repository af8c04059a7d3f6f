//! Sessions are found, joined, looked at, left and ended; however many there are, and whatever happened to whoever
//! started them.

mod background;
mod beside;
mod confined;
mod ends;
mod networks;
mod options;
mod slow;
mod terminals;
mod two_kinds;

use std::{
    io::BufReader,
    process::{Child, ChildStdout, Stdio},
};

use serde_json::Value;

use crate::ground::{BASE, Ground, begun, on_every_engine, on_this_machine};

/// An agent that runs its arguments.
fn runs_arguments(ground: &Ground) {
    ground.base("library/busybox:latest");
    ground.define_program(r#"exec "$@""#);
    ground.build();
}

/// A test whose terminal is root's.
fn as_root_everywhere(test: impl Fn(&Ground)) {
    on_every_engine(&test);
    on_this_machine(|ground| {
        if ground.caller.is_none() {
            test(ground);
        }
    });
}

/// The sessions of this test's agent, as `ps --json` has them.
fn listed(ground: &Ground) -> Vec<Value> {
    let said = ground.run(&["ps", "--json"], 0);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["schema"], "aicage.ps/1");
    let sessions = report["sessions"].as_array().unwrap();
    let ours = |session: &&Value| session["agent"] == ground.agent.as_str();
    sessions.iter().filter(ours).cloned().collect()
}

/// Starts the agent in the background and returns its session's name.
fn background(ground: &Ground, script: &str) -> String {
    let said = ground.run(
        &["-d", "--base", BASE, &ground.agent, "sh", "-c", script],
        0,
    );
    said.stdout.trim().to_owned()
}

/// Starts the agent at a pipe and waits for its first line.
fn at_a_pipe(ground: &Ground, script: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = ground.aicage(&["--base", BASE, &ground.agent, "sh", "-c", script]);
    begun(command.stdin(Stdio::piped()), "up\n")
}
