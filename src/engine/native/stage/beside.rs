//! Another program in a cage that runs: this process joins the cage's namespaces, starts the program there and looks after
//! it.
//!
//! **Invariant.** Nothing inside sees this process or the file of our own program: while the program is started it is no
//! process that others may look into, and it is kept from all that the cage's own programs are kept from.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::{Child, Stdio},
};

use landlock::Scope;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags, open},
    io::Errno,
    process::{
        DumpableBehavior, Pid, PidfdFlags, Signal, chdir, ioctl_tiocsctty, kill_process_group,
        pidfd_open, set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
    },
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};

use super::{StageError, confine, enter::become_root, kernel, program, read_job, tried};
use crate::engine::native::{
    channel::{Channel, Message},
    job::{Beside, Job},
};

/// Runs a program, and returns how it ended.
pub(super) fn work(channel: &Channel) -> Result<i32, StageError> {
    tried(setsid(), || "leave the terminal".to_owned())?;
    tried(set_dumpable_behavior(DumpableBehavior::NotDumpable), || {
        "keep others from looking into this process".to_owned()
    })?;
    let what = || "get the job".to_owned();
    let heard = tried(channel.receive(), what)?;
    let Some((Message::Job, mut with)) = heard.filter(|(_, with)| !with.is_empty()) else {
        return Err(StageError::new(what(), Errno::PIPE));
    };
    let Job::Beside(beside) = read_job(with.remove(0))? else {
        return Err(StageError::new(what(), Errno::INVAL));
    };
    join(&beside)?;
    let child = start(*beside, with, channel)?;
    let pid = i32::try_from(child.id()).unwrap_or_default();
    // Nobody may be there any more, which is noticed at once.
    channel
        .send(&Message::Started { pid }, &[])
        .unwrap_or_default();
    keep(child, channel)
}

/// Joins the namespaces of the cage's first process.
fn join(beside: &Beside) -> Result<(), StageError> {
    let what = || "find the session's first process".to_owned();
    let pid = Pid::from_raw(beside.process.pid);
    let pid = pid.ok_or_else(|| StageError::new(what(), Errno::SRCH))?;
    let process = tried(pidfd_open(pid, PidfdFlags::empty()), what)?;
    // Asked after it was opened: by then the number is nobody else's.
    if !beside.process.is_there() {
        return Err(StageError::new(what(), Errno::SRCH));
    }
    let mut spaces = ThreadNameSpaceType::USER
        | ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    let network = |of: &str| fs_err::read_link(format!("/proc/{of}/ns/net"));
    let theirs = tried(network(&beside.process.pid.to_string()), what)?;
    // This machine's own is where we are, and not ours to join.
    if theirs != tried(network("self"), what)? {
        spaces |= ThreadNameSpaceType::NETWORK;
    }
    let joined = move_into_thread_name_spaces(process.as_fd(), spaces);
    tried(joined, || "join the session's namespaces".to_owned())?;
    become_root()
}

/// Starts the program.
fn start(beside: Beside, streams: Vec<OwnedFd>, channel: &Channel) -> Result<Child, StageError> {
    let program = &beside.program;
    let directory = Path::new(&program.directory);
    tried(chdir(directory), || {
        format!("go to {}", directory.display())
    })?;
    let mut command = program::command(program);
    let terminal = program.terminal;
    let [input, output, errors] = if terminal {
        let theirs = self::terminal(channel)?;
        let what = || "take the terminal".to_owned();
        let copy = || tried(theirs.try_clone(), what);
        [copy()?, copy()?, copy()?]
    } else {
        let streams = <[OwnedFd; 3]>::try_from(streams).ok();
        streams.ok_or_else(|| StageError::new("take the program's streams", Errno::BADF))?
    };
    command.stdin(Stdio::from(input));
    command.stdout(Stdio::from(output));
    command.stderr(Stdio::from(errors));
    kernel::before_exec(&mut command, move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        setsid()?;
        umask(Mode::from_raw_mode(0o022));
        if terminal {
            ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        let confined = confine::limit(&beside.limits)
            // The cage's own programs may be sent signals.
            .and_then(|()| confine::confine(&beside.confinement, Scope::AbstractUnixSocket.into()))
            .and_then(|()| confine::become_user(&beside.program));
        confined.map_err(|error| {
            let number = error.source.raw_os_error();
            number.map_or(io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
        })?;
        // Becoming another user takes it away.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    });
    let child = command.spawn();
    tried(child, || format!("run {}", command.get_program().display()))
}

/// Opens a terminal of the cage; our end is handed out.
fn terminal(channel: &Channel) -> Result<OwnedFd, StageError> {
    let what = || "open a terminal".to_owned();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let ours = tried(open("/dev/pts/ptmx", flags, Mode::empty()), what)?;
    let theirs = tried(program::other_end(&ours), what)?;
    tried(channel.send(&Message::Terminal, &[ours.as_fd()]), what)?;
    Ok(theirs)
}

/// Waits for the program's end; whoever goes away takes it along.
fn keep(mut child: Child, channel: &Channel) -> Result<i32, StageError> {
    let what = || "wait for the program".to_owned();
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let group = number.ok_or_else(|| StageError::new(what(), Errno::SRCH))?;
    let process = tried(pidfd_open(group, PidfdFlags::empty()), what)?;
    let mut is_heard = true;
    loop {
        let heard = if is_heard {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let mut ready = [
            PollFd::new(&process, PollFlags::IN),
            PollFd::new(channel, heard),
        ];
        match poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            polled => drop(tried(polled, what)?),
        }
        let [ended, heard] = ready.each_ref().map(|one| !one.revents().is_empty());
        if ended {
            let status = tried(child.wait(), what)?;
            return Ok(program::status(status));
        }
        if heard && is_heard {
            let signal = match channel.receive() {
                Ok(Some((Message::Signal { number }, _))) => Signal::from_named_raw(number),
                Ok(Some(_)) => None,
                Ok(None) | Err(_) => {
                    is_heard = false;
                    Some(Signal::KILL)
                }
            };
            if let Some(signal) = signal {
                // All that it started and that has not left it.
                kill_process_group(group, signal).unwrap_or_default();
            }
        }
    }
}
