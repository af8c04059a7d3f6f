//! Becoming a user and then a program: how an agent, and the program of an instruction, is started.
//!
//! This program starts itself once more, becomes the user, goes to the directory, and becomes the program, so that
//! nothing happens between `fork` and `exec` that a library could get wrong.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::fs::FileType;
use rustix::process::{Gid, Uid};

/// The verb by which this program starts itself.
pub(crate) const LAUNCH: &str = "launch";

/// Stands for the groups that the engine gave.
const AS_GIVEN: &str = "-";
/// Stands for no groups.
const NONE: &str = ",";
/// Stands for the groups of the session's user, and has the program find what the agent finds: its terminal and its
/// language. The program outside says it for what it runs beside the agent.
const AS_THE_AGENT: &str = "";

/// Whom to become.
pub(crate) struct Whom<'a> {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups besides `gid`; nothing for those that the engine gave.
    pub(crate) groups: Option<&'a [u32]>,
}

/// Prepares a start of this program, which is at `own`; the program to become and its arguments are to be added.
pub(crate) fn command(own: &Path, whom: &Whom<'_>, directory: &OsStr) -> Command {
    let groups = named(whom.groups);
    let mut command = Command::new(own);
    command
        .args([
            LAUNCH,
            &whom.uid.to_string(),
            &whom.gid.to_string(),
            &groups,
        ])
        .arg(directory);
    command
}

fn named(groups: Option<&[u32]>) -> String {
    match groups {
        None => AS_GIVEN.to_owned(),
        Some([]) => NONE.to_owned(),
        Some(groups) => {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            groups.join(",")
        }
    }
}

/// Becomes the user and then the program: `UID GID GROUPS DIRECTORY PROGRAM [ARGUMENTS]`.
pub(crate) fn launch(arguments: &[OsString]) -> ExitCode {
    let [uid, gid, groups, directory, program, rest @ ..] = arguments else {
        crate::say("this verb is for the program itself");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(rest);
    let mut groups = groups.to_string_lossy().into_owned();
    if groups == AS_THE_AGENT {
        let beside = crate::session::beside();
        command.env_clear().envs(&beside.environment);
        groups = named(beside.groups.as_deref());
    }
    if let Err(error) = become_user(uid, gid, &groups) {
        crate::say(&format!("cannot become user {}: {error}", uid.display()));
        return ExitCode::from(126);
    }
    if let Err(error) = std::env::set_current_dir(directory) {
        crate::say(&format!("cannot go to {}: {error}", directory.display()));
        return ExitCode::from(126);
    }
    let error = command.exec();
    crate::say(&format!("cannot run {}: {error}", program.display()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    })
}

fn become_user(uid: &OsStr, gid: &OsStr, groups: &str) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let number = |text: &OsStr| {
        text.to_str()
            .and_then(|text| text.parse::<u32>().ok())
            .ok_or(io::ErrorKind::InvalidInput)
    };
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
    // There is one thread, so its rights are the program's.
    if groups != AS_GIVEN {
        let groups = groups.split(',').filter(|group| !group.is_empty());
        let groups: Vec<Gid> = groups
            .map(|group| Ok(Gid::from_raw(number(group.as_ref())?)))
            .collect::<io::Result<_>>()?;
        rustix::thread::set_thread_groups(&groups)?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
