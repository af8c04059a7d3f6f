//! The first stage, from the side of aicage: started, mapped, given its job and heard.
//!
//! Invariant: dropping a [`FirstStage`] ends everything that it was asked to start.

use std::{
    io::Read as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::event::Timespec;
use tokio_util::sync::CancellationToken;

use super::{
    Native,
    channel::{Channel, Message},
    error::NativeError,
    ids::{Extent, IdMaps, Writer, lines},
    job::Job,
    stage::{ENTER, NATIVE},
};

/// How long it may take until an interruption is noticed.
const LISTEN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// The process of ours that does one job in the caller's mapping.
#[derive(Debug)]
pub(super) struct FirstStage {
    channel: Option<Channel>,
    child: Child,
}

impl FirstStage {
    /// Starts it and has its ids mapped.
    pub(super) fn start(native: &Native) -> Result<Self, NativeError> {
        Self::start_as(native, &native.maps()?)
    }

    /// The same with another mapping.
    pub(super) fn start_as(native: &Native, maps: &IdMaps) -> Result<Self, NativeError> {
        let what = "start the process that makes cages";
        let (channel, theirs) = Channel::pair().map_err(NativeError::host(what))?;
        let child = Command::new(&native.program)
            .args([NATIVE, ENTER])
            .env_clear()
            .stdin(Stdio::from(theirs.into_descriptor()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(NativeError::host(what))?;
        let stage = Self {
            channel: Some(channel),
            child,
        };
        match stage.hear()? {
            (Message::Unshared, _) => {}
            _ => return Err(NativeError::Vanished),
        }
        stage.map(maps)?;
        stage.say(&Message::Mapped, &[])?;
        Ok(stage)
    }

    fn map(&self, maps: &IdMaps) -> Result<(), NativeError> {
        let process = self.child.id();
        let both = [
            ("newuidmap", "uid_map", &maps.users),
            ("newgidmap", "gid_map", &maps.groups),
        ];
        for (tool, file, extents) in both {
            match maps.writer {
                Writer::Tools => run_tool(tool, process, extents)?,
                Writer::Ourselves => {
                    let path = format!("/proc/{process}/{file}");
                    fs_err::write(&path, lines(extents))
                        .map_err(NativeError::host("map the ids of the cage"))?;
                }
            }
        }
        Ok(())
    }

    /// Gives it its job.
    pub(super) fn give(&self, job: &Job, with: &[BorrowedFd<'_>]) -> Result<(), NativeError> {
        let file = job
            .to_file()
            .map_err(NativeError::host("write the job down"))?;
        let mut all = vec![file.as_fd()];
        all.extend(with);
        self.say(&Message::Job, &all)
    }

    pub(super) fn say(
        &self,
        message: &Message,
        with: &[BorrowedFd<'_>],
    ) -> Result<(), NativeError> {
        let channel = self.channel.as_ref().ok_or(NativeError::Vanished)?;
        channel
            .send(message, with)
            .map_err(|_gone| NativeError::Vanished)
    }

    /// Ends what it was asked to start, and with it whatever waits for it to say something.
    pub(super) fn end(&self) {
        if let Some(channel) = &self.channel {
            channel.shut();
        }
    }

    /// Waits for what it says next; a failure is an error.
    pub(super) fn hear(&self) -> Result<(Message, Vec<OwnedFd>), NativeError> {
        let channel = self.channel.as_ref().ok_or(NativeError::Vanished)?;
        let heard = channel
            .receive()
            .map_err(NativeError::host("listen to the process that makes cages"))?;
        match heard {
            None => Err(NativeError::Vanished),
            Some((Message::Failed { what, errno: 0 }, _)) => Err(NativeError::Job { what }),
            Some((Message::Failed { what, errno }, _)) => Err(NativeError::Cage {
                what,
                source: std::io::Error::from_raw_os_error(errno),
            }),
            Some(other) => Ok(other),
        }
    }

    /// Waits for the end of its job.
    pub(super) fn ended(&self) -> Result<i32, NativeError> {
        loop {
            if let (Message::Ended { status }, _) = self.hear()? {
                return Ok(status);
            }
        }
    }

    /// Waits for what it says next, unless the user interrupts.
    pub(super) fn hear_unless(
        &self,
        interrupt: &CancellationToken,
    ) -> Result<(Message, Vec<OwnedFd>), NativeError> {
        let channel = self.channel.as_ref().ok_or(NativeError::Vanished)?;
        let host = || NativeError::host("listen to the process that makes cages");
        while !interrupt.is_cancelled() {
            if channel.has_something(LISTEN).map_err(host())? {
                return self.hear();
            }
        }
        Err(NativeError::Interrupted)
    }

    /// Does one job from beginning to end, unless the user interrupts; then it is as if it had not been begun.
    pub(super) fn carry_out(
        native: &Native,
        job: &Job,
        with: &[BorrowedFd<'_>],
    ) -> Result<i32, NativeError> {
        // Tidying up is done all the more.
        let never = CancellationToken::new();
        let interrupt = match job {
            Job::Remove { .. } => &never,
            _ => &native.interrupt,
        };
        let stage = Self::start(native)?;
        stage.give(job, with)?;
        loop {
            if let (Message::Ended { status }, _) = stage.hear_unless(interrupt)? {
                return Ok(status);
            }
        }
    }
}

impl Drop for FirstStage {
    fn drop(&mut self) {
        // By this it knows that nobody wants anything any more, and tidies up.
        drop(self.channel.take());
        drop(self.child.wait());
    }
}

/// Where systems keep their programs.
const PLACES: [&str; 4] = ["/usr/bin", "/bin", "/run/wrappers/bin", "/usr/local/bin"];

/// Finds a program of the system. The search path is not asked first: a project may have its own directories there, in which
/// an agent writes.
pub(super) fn found(tool: &str) -> Option<PathBuf> {
    let mut places = PLACES.iter().map(|place| Path::new(place).join(tool));
    places.find(|path| path.exists())
}

/// Has a program with root's rights write a mapping, which checks that the caller may have it.
fn run_tool(tool: &'static str, process: u32, extents: &[Extent]) -> Result<(), NativeError> {
    let mut command = Command::new(found(tool).unwrap_or_else(|| tool.into()));
    command.arg(process.to_string());
    for extent in extents {
        for number in [extent.inside, extent.outside, extent.count] {
            command.arg(number.to_string());
        }
    }
    let refused = |source| NativeError::Tool { tool, source };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(refused)?;
    let mut said = Vec::new();
    if let Some(errors) = &mut child.stderr {
        errors.take(4096).read_to_end(&mut said).map_err(refused)?;
    }
    let status = child.wait().map_err(refused)?;
    if status.success() {
        return Ok(());
    }
    Err(NativeError::Mapping {
        tool,
        said: String::from_utf8_lossy(&said).trim().to_owned(),
    })
}
