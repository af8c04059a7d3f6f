//! Runs the program of an instruction as its user.
//!
//! This program starts itself once more, becomes the user, goes to the directory, and becomes the program, so that
//! nothing happens between `fork` and `exec` that a library could get wrong.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::FileType;
use rustix::process::{Gid, Pid, Uid};

use super::users::Who;

/// The verb by which this program starts itself.
pub(crate) const LAUNCH: &str = "launch-instruction";

/// What is run.
pub(super) struct Program<'a> {
    pub(super) argv: &'a [String],
    pub(super) environment: BTreeMap<String, String>,
    pub(super) directory: &'a str,
    pub(super) who: &'a Who,
}

/// Starts the program; its output goes where ours does.
pub(super) fn start(program: &Program<'_>, nothing: &fs_err::File) -> io::Result<Pid> {
    let groups: Vec<String> = program.who.groups.iter().map(ToString::to_string).collect();
    let output = || rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3).map(Stdio::from);
    // A script can remove this program, but not from under itself.
    let child = Command::new("/proc/self/exe")
        .args([
            LAUNCH,
            &program.who.uid.to_string(),
            &program.who.gid.to_string(),
            &groups.join(","),
        ])
        .arg(program.directory)
        .args(program.argv)
        .env_clear()
        .envs(&program.environment)
        .stdin(nothing.file().try_clone()?)
        .stdout(output()?)
        .stderr(output()?)
        .spawn()?;
    Ok(Pid::from_child(&child))
}

/// Becomes the user and then the program: `UID GID GROUPS DIRECTORY PROGRAM [ARGUMENTS]`.
pub(crate) fn launch(arguments: &[OsString]) -> ExitCode {
    let [uid, gid, groups, directory, program, rest @ ..] = arguments else {
        crate::say("this verb is for the program itself");
        return ExitCode::from(2);
    };
    if let Err(error) = become_user(uid, gid, groups) {
        crate::say(&format!("cannot become user {}: {error}", uid.display()));
        return ExitCode::from(126);
    }
    if let Err(error) = std::env::set_current_dir(directory) {
        crate::say(&format!("cannot go to {}: {error}", directory.display()));
        return ExitCode::from(126);
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
    let number = |text: &str| {
        text.parse::<u32>()
            .map_err(|_no_number| io::Error::from(io::ErrorKind::InvalidInput))
    };
    let uid = Uid::from_raw(number(&uid.to_string_lossy())?);
    let gid = Gid::from_raw(number(&gid.to_string_lossy())?);
    let groups = groups.to_string_lossy();
    let groups: Vec<Gid> = groups
        .split(',')
        .map(|group| number(group).map(Gid::from_raw))
        .collect::<io::Result<_>>()?;
    // Else the user could not open `/dev/stdout` by name.
    for stream in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let kind = rustix::fs::fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Ok(FileType::Fifo) || stream.is_terminal() {
            rustix::fs::fchown(stream, Some(uid), None).unwrap_or_default();
        }
    }
    // There is one thread, so its rights are the program's.
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
