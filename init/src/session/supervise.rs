//! PID 1's part of a session: starts the agent as the user, hands it the terminal, passes signals on, reaps orphans
//! and ends with the agent's own code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::SessionError;
use super::contract::Contract;
use crate::launch::{self, Whom};

/// Where images have this program, if `/proc` cannot tell.
const OWN_PLACE: &str = "/opt/aicage/init";

/// What is passed on; without handlers the kernel would drop them, since we are PID 1.
const PASSED_ON: [(i32, Signal); 6] = [
    (SIGHUP, Signal::HUP),
    (SIGINT, Signal::INT),
    (SIGQUIT, Signal::QUIT),
    (SIGTERM, Signal::TERM),
    (SIGUSR1, Signal::USR1),
    (SIGUSR2, Signal::USR2),
];

/// What to run, and as whom.
pub(super) struct Agent<'a> {
    pub(super) contract: &'a Contract,
    pub(super) groups: Vec<u32>,
    pub(super) environment: BTreeMap<OsString, OsString>,
    pub(super) program: PathBuf,
    pub(super) arguments: &'a [OsString],
}

/// Runs the agent to its end and returns its code.
pub(super) fn run(agent: &Agent<'_>) -> Result<u8, SessionError> {
    let wanted = PASSED_ON.iter().map(|(number, _)| *number).chain([SIGCHLD]);
    let mut signals = Signals::new(wanted).map_err(SessionError::Supervise)?;
    let child = start(agent).map_err(SessionError::Supervise)?;
    if io::stdin().is_terminal() {
        // The agent's group gets the terminal and its Ctrl-C; if it touched the terminal before, it was stopped.
        rustix::termios::tcsetpgrp(io::stdin(), child).unwrap_or_default();
        kill_process_group(child, Signal::CONT).unwrap_or_default();
    }
    loop {
        for number in signals.wait() {
            if number == SIGCHLD {
                if let Some(code) = crate::children::reap(child) {
                    crate::children::see_off();
                    return Ok(code);
                }
            } else if let Some((_, signal)) = PASSED_ON.iter().find(|(passed, _)| *passed == number)
            {
                kill_process(child, *signal).unwrap_or_default();
            }
        }
    }
}

fn start(agent: &Agent<'_>) -> io::Result<Pid> {
    let own = std::env::current_exe().unwrap_or_else(|_no_proc| OWN_PLACE.into());
    let whom = Whom {
        uid: agent.contract.uid,
        gid: agent.contract.gid,
        // Root stays in the groups that the engine gave it.
        groups: (agent.contract.uid != 0).then_some(&agent.groups),
    };
    let child = launch::command(&own, &whom, agent.contract.workspace.as_os_str())
        .arg(&agent.program)
        .args(agent.arguments)
        .env_clear()
        .envs(&agent.environment)
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&child))
}
