//! PID 1's part of a session: starts the agent as the user, hands it the terminal, passes signals on, reaps orphans
//! and ends with the agent's own code.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rustix::fs::FileType;
use rustix::process::{Gid, Pid, Signal, Uid, kill_process, kill_process_group};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::contract::Contract;
use super::{LAUNCH, SessionError};

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
    let groups: Vec<String> = agent.groups.iter().map(ToString::to_string).collect();
    let child = Command::new(own)
        .args([
            LAUNCH,
            &agent.contract.uid.to_string(),
            &agent.contract.gid.to_string(),
            &groups.join(","),
        ])
        .arg(&agent.contract.workspace)
        .arg(&agent.program)
        .args(agent.arguments)
        .env_clear()
        .envs(&agent.environment)
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&child))
}

/// Becomes the user and then the program: `UID GID GROUPS DIRECTORY PROGRAM [ARGUMENTS]`.
pub(super) fn launch(arguments: &[OsString]) -> ExitCode {
    let [uid, gid, groups, directory, program, rest @ ..] = arguments else {
        crate::say("this verb is for the program itself");
        return ExitCode::from(2);
    };
    if let Err(error) = become_user(uid, gid, groups) {
        crate::say(&format!("cannot become user {}: {error}", uid.display()));
        return ExitCode::from(1);
    }
    if let Err(error) = std::env::set_current_dir(directory) {
        crate::say(&format!("cannot go to {}: {error}", directory.display()));
        return ExitCode::from(1);
    }
    let error = Command::new(program).args(rest).exec();
    crate::say(&format!("cannot run {}: {error}", program.display()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    })
}

fn become_user(uid: &OsStr, gid: &OsStr, groups: &OsStr) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let number = |text: &OsStr| {
        text.to_str()
            .and_then(|text| text.parse::<u32>().ok())
            .ok_or(io::ErrorKind::InvalidInput)
    };
    let groups = groups.to_string_lossy();
    let groups: Vec<Gid> = groups
        .split(',')
        .filter_map(|gid| gid.parse::<u32>().ok())
        .map(Gid::from_raw)
        .collect();
    let (uid, gid) = (Uid::from_raw(number(uid)?), Gid::from_raw(number(gid)?));
    // Else `/dev/stdout` and the terminal could not be opened by name.
    for stream in [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ] {
        let kind = rustix::fs::fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Ok(FileType::Fifo)
            || (kind == Ok(FileType::CharacterDevice) && rustix::termios::isatty(stream))
        {
            rustix::fs::fchown(stream, Some(uid), None).unwrap_or_default();
        }
    }
    // Root stays in the groups that the engine gave it. There is one thread, so its rights are the program's.
    if !uid.is_root() {
        rustix::thread::set_thread_groups(&groups)?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
