//! What runs in a cage, as a command, a terminal and a status, whether it is the cage's first program or one beside it.

use std::{
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    process::{Command, ExitStatus},
};

use rustix::{
    io::Errno,
    pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt},
};

use crate::engine::native::cage::Program;

/// Returns the command, with nothing of our own environment.
pub(super) fn command(program: &Program) -> Command {
    let mut words = program.command.iter();
    let mut command = Command::new(words.next().cloned().unwrap_or_default());
    let environment = program.environment.iter();
    command.args(words).env_clear();
    command.envs(environment.map(|(name, value)| (name, value)));
    command
}

/// Opens the program's end of a terminal of which `ours` was just opened.
pub(super) fn other_end(ours: &OwnedFd) -> Result<OwnedFd, Errno> {
    unlockpt(ours)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    ioctl_tiocgptpeer(ours, flags)
}

/// Says how a program ended, as shells do: 128 + n for signal n.
pub(super) fn status(ended: ExitStatus) -> i32 {
    let signal = ended.signal().map(|signal| 128 + signal);
    ended.code().or(signal).unwrap_or(125)
}
