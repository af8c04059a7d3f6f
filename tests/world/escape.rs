//! What a step tries to leave its cage, or to change the machine around it: each attempt fails.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::net::{SocketAddr, UnixListener},
};

use crate::ground::{BASE, Ground, on_this_machine};

/// The attempts; numbers of calls are those of x86-64.
const ATTEMPTS: &str = include_str!("escape.pl");

#[test]
fn every_attempt_to_leave_a_step_fails() {
    if std::env::consts::ARCH != "x86_64" {
        eprintln!("SKIP: the numbers of calls are those of x86-64");
        return;
    }
    on_this_machine(|ground| {
        ground.base("library/debian:latest");
        // A file and a socket of this machine, to see whether they are seen.
        let canary = ground.path("canary");
        fs_err::write(&canary, "seen").unwrap();
        let name = format!("aicage-canary-{}", ground.agent);
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let script = ATTEMPTS
            .replace("CANARY", &canary.display().to_string())
            .replace("ABSTRACT", &name);
        ground.define("#!/bin/sh\nexec perl ./attempts\n");
        ground.write_agent("attempts", &script);
        let said = ground.run(&["build", &ground.agent, "--base", BASE], 0);
        let log = log(ground);
        assert!(
            log.contains(" 0 left, 0 broke\n"),
            "{}\n{}\n{}",
            said.stdout,
            said.stderr,
            log
        );
    });
}

/// What the step printed.
fn log(ground: &Ground) -> String {
    let logs = ground.logs();
    let (_, text) = logs
        .iter()
        .find(|(name, _)| name.starts_with("agent-"))
        .unwrap();
    String::from_utf8_lossy(text).into_owned()
}
