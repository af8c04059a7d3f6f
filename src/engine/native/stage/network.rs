//! `pasta`, which connects a cage's own network to this machine's, outside of the cage.
//!
//! It has to be started where this machine's network still is, and is shown the cage's namespace as a file, in a mount namespace
//! of its own: it gives up the right to look at other processes' namespaces first of all. **Invariant.** The program of a cage runs only when its network is connected, and `pasta` ends with the first stage.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, Mode, OFlags, mkfifoat, open},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal},
    thread::UnshareFlags,
};

use super::{NATIVE, NETWORK, NETWORK_FIRST, StageError, kernel, place::path_of, tried};
use crate::engine::native::channel::{Channel, Message};

/// By this it says that the network is connected.
const READY: &str = "network";
/// Where it finds the cage's namespace.
const NAMESPACE: &str = "namespace";
/// Where its files are, below a number: in the first, `AppArmor`'s profile for it lets it have them.
const PLACES: [&str; 2] = ["/run/user", "/tmp"];
/// How long its end is waited for.
const MOMENT: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};
/// Longest part of what it says that is told.
const SAID: usize = 4096;

/// What is going to be `pasta`, and then is.
#[derive(Debug)]
pub(super) struct Pasta {
    child: Child,
    voice: Channel,
    /// It writes its number there when it is ready.
    ready: OwnedFd,
    errors: OwnedFd,
}

impl Pasta {
    /// Starts what is going to be it, before this process leaves the machine's network.
    pub(super) fn prepare(
        (program, options): (&OsStr, &[String]),
        scratch: &OsStr,
    ) -> Result<Self, StageError> {
        let what = || "prepare the network".to_owned();
        let path = Path::new(scratch).join(READY);
        tried(mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR), what)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let ready = tried(open(&path, flags, Mode::empty()), what)?;
        let (voice, theirs) = tried(Channel::pair(), what)?;
        // Nobody reads it as long as all is well, and `pasta` is not to wait for that.
        let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
        let (errors, said) = tried(pipe, what)?;
        let child = Command::new("/proc/self/exe")
            .args([NATIVE, NETWORK])
            .arg(path)
            .arg(program)
            .args(options)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs.into_descriptor()))
            .stdout(Stdio::null())
            .stderr(Stdio::from(said))
            .spawn();
        Ok(Self {
            child: tried(child, what)?,
            voice,
            ready,
            errors,
        })
    }

    /// Connects this process's network, which is the cage's by now; returns when that is done, or nobody wants it any more.
    pub(super) fn connect(&self, channel: &Channel) -> Result<(), StageError> {
        let what = || "connect the network with `pasta`".to_owned();
        let namespace = tried(fs_err::File::open("/proc/self/ns/net"), what)?;
        let told = self.voice.send(&Message::Network, &[namespace.as_fd()]);
        tried(told, what)?;
        let number = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| StageError::new(what(), Errno::SRCH))?;
        let process = tried(pidfd_open(number, PidfdFlags::empty()), what)?;
        let mut events = [
            PollFd::new(&self.ready, PollFlags::IN),
            PollFd::new(&process, PollFlags::IN),
            // Only its end is of interest: what is said comes later.
            PollFd::from_borrowed_fd(channel.as_fd(), PollFlags::empty()),
        ];
        loop {
            match poll(&mut events, None) {
                Err(Errno::INTR) => continue,
                polled => tried(polled, what)?,
            };
            let [ready, ended, gone] = events.each_ref().map(PollFd::revents);
            if ready.contains(PollFlags::IN) {
                return Ok(());
            }
            if !ended.is_empty() {
                return Err(StageError::new(what(), io::Error::other(self.said())));
            }
            if !gone.is_empty() {
                return Err(StageError::new(what(), Errno::PIPE));
            }
        }
    }

    /// What it said, without what it says where there is no log of the system.
    fn said(&self) -> String {
        let mut text = vec![0; SAID];
        let length = rustix::io::read(&self.errors, &mut text).unwrap_or_default();
        text.truncate(length);
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().filter(|line| !line.contains("to syslog"));
        let said = lines.collect::<Vec<_>>().join("; ");
        if said.is_empty() {
            "it ended without a word".to_owned()
        } else {
            said
        }
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
        // The end of the pipe is the end of `pasta`, and the ports are free again.
        let mut end = [PollFd::new(&self.errors, PollFlags::empty())];
        poll(&mut end, Some(&MOMENT)).unwrap_or_default();
    }
}

/// Waits for the namespace, and has `pasta` run in a namespace of processes of its own until this process ends.
///
/// Security modules may give `pasta` a label of its own, by which it is no longer killed with its parent, nor by it. The
/// first process of its namespace keeps ours, and takes it along.
pub(super) fn look_after(arguments: &[OsString]) -> ExitCode {
    ended(try_to_look_after(arguments))
}

fn try_to_look_after(arguments: &[OsString]) -> io::Result<ExitStatus> {
    let [ready, command @ ..] = arguments else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let channel = end_with_outside()?;
    let Some((Message::Network, with)) = channel.receive()? else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let [found] = <[OwnedFd; 1]>::try_from(with).map_err(|_others| io::ErrorKind::InvalidInput)?;
    let place = show(&found, ready)?;
    kernel::unshare(UnshareFlags::NEWPID)?;
    let (_alive, theirs) = Channel::pair()?;
    let mut first = Command::new("/proc/self/exe")
        .args([NATIVE, NETWORK_FIRST])
        .args(command)
        .arg("--netns-only")
        .arg("--netns")
        .arg(place.join(NAMESPACE))
        .arg("--pid")
        .arg(place.join(READY))
        .env_clear()
        .stdin(Stdio::from(theirs.into_descriptor()))
        .spawn()?;
    first.wait()
}

/// Runs `pasta` as the first process of a namespace of processes.
pub(super) fn run_it(command: &[OsString]) -> ExitCode {
    ended(try_to_run_it(command))
}

fn try_to_run_it(command: &[OsString]) -> io::Result<ExitStatus> {
    let [program, options @ ..] = command else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if end_with_outside()?.has_something(Timespec::default())? {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Command::new(program)
        .args(["--foreground", "--quiet", "--runas", "0:0"])
        .args(options)
        .env_clear()
        .status()
}

/// Has this process end with whoever started it; if that one is gone already, the channel to it has ended.
fn end_with_outside() -> io::Result<Channel> {
    let channel = Channel::of_stdin()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(channel)
}

/// Whoever started it reads what was in the way.
fn ended(outcome: io::Result<ExitStatus>) -> ExitCode {
    let code = outcome.map(|status| status.code().and_then(|code| u8::try_from(code).ok()));
    match code {
        Ok(code) => code.map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            drop(writeln!(io::stderr(), "{error}"));
            ExitCode::from(125)
        }
    }
}

/// Shows the namespace and the file by which it says that it is ready where `pasta` can get at them: in its own mount namespace,
/// as it gives up the right to pass through the user's own directories, too.
fn show(namespace: &OwnedFd, ready: &OsStr) -> io::Result<PathBuf> {
    kernel::unshare(UnshareFlags::NEWNS)?;
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_change("/", private)?;
    let ready = open(ready, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mut places = PLACES.iter().map(Path::new);
    let place = places
        .find(|place| place.is_dir())
        .ok_or(io::ErrorKind::NotFound)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("pasta", place, "tmpfs", flags, Some(c"mode=755,size=64k"))?;
    let place = place.join("0");
    fs_err::create_dir(&place)?;
    for (name, shown) in [(NAMESPACE, namespace), (READY, &ready)] {
        let at = place.join(name);
        fs_err::File::create(&at)?;
        mount_bind(path_of(shown), &at)?;
    }
    Ok(place)
}
