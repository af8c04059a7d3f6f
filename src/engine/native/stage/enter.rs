//! The first stage: a user namespace of our own, one job in it, and the care for what was started.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::Mode,
    io::Errno,
    process::{Gid, Pid, PidfdFlags, Signal, Uid, pidfd_open, pidfd_send_signal, setsid, umask},
    thread::{UnshareFlags, set_thread_res_gid, set_thread_res_uid},
};

use super::{
    CAGE, CAGE_FROM_COPY, NATIVE, StageError, kernel,
    lifeline::{Over, watch},
    network::Pasta,
    program, read_job, scratch, tried,
};
use crate::engine::native::{
    cage::{Cage, CageNetwork, Whose},
    channel::{Channel, Message},
    job::Job,
};

/// Does one job, and returns how it ended.
pub(super) fn work(channel: &Channel) -> Result<i32, StageError> {
    // A key that ends aicage is not to end this process before it has tidied up.
    tried(setsid(), || "leave the terminal".to_owned())?;
    // Whoever started aicage may have another one; images are made under this one everywhere.
    umask(Mode::from_raw_mode(0o022));
    tried(kernel::unshare(UnshareFlags::NEWUSER), || {
        "make a namespace of users".to_owned()
    })?;
    let said = |outcome: io::Result<()>| tried(outcome, || "talk to aicage".to_owned());
    said(channel.send(&Message::Unshared, &[]))?;
    loop {
        let heard = tried(channel.receive(), || "listen to aicage".to_owned())?;
        match heard {
            Some((Message::Mapped, _)) => become_root()?,
            Some((Message::Job, mut with)) if !with.is_empty() => {
                let job = read_job(with.remove(0))?;
                return carry_out(job, with, channel);
            }
            Some(_) => {}
            // Nobody wants anything any more.
            None => return Ok(0),
        }
    }
}

/// Becomes root inside, who may do there what root may.
pub(super) fn become_root() -> Result<(), StageError> {
    let what = || "become root in the namespace".to_owned();
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    tried(set_thread_res_gid(gid, gid, gid), what)?;
    tried(set_thread_res_uid(uid, uid, uid), what)
}

fn carry_out(job: Job, mut with: Vec<OwnedFd>, channel: &Channel) -> Result<i32, StageError> {
    match job {
        Job::Cage(cage) => {
            let _share = scratch::share(&cage)?;
            scratch::make(&cage)?;
            let streams = if cage.program.terminal { 0 } else { 3 };
            // What is not the program's own is kept open until its end.
            let _held = with.split_off(with.len().min(streams));
            let inner = Inner::start(&cage, &with, channel);
            // The program alone has its streams: their end is to be seen.
            drop(with);
            let ended = inner.and_then(|inner| inner.keep(channel));
            if let Ok(status) = ended {
                // Who waits for the end need not wait for the tidying up.
                channel
                    .send(&Message::Ended { status }, &[])
                    .unwrap_or_default();
            }
            scratch::remove(&cage.scratch)?;
            ended
        }
        Job::Unpack(jobs) => {
            let is_over = watch(channel, Over::Told)?;
            scratch::unpack(jobs, with, &is_over).map(|()| 0)
        }
        Job::Fill { directory } => {
            let is_over = watch(channel, Over::Told)?;
            scratch::fill(&directory, with, &is_over).map(|()| 0)
        }
        Job::Check { name } => {
            watch(channel, Over::Ended)?;
            let found = scratch::check(&name, with)?;
            let told = channel.send(&Message::Differences { found }, &[]);
            tried(told, || "tell what differs".to_owned())?;
            Ok(0)
        }
        Job::Pack { directory } => {
            watch(channel, Over::Ended)?;
            let found = scratch::pack(&directory, with)?;
            let told = channel.send(&Message::LeftOut { found }, &[]);
            tried(told, || "tell what was left out".to_owned())?;
            Ok(0)
        }
        Job::Measure { paths } => {
            watch(channel, Over::Ended)?;
            let found = paths.iter().map(|path| scratch::measure(path));
            let found = tried(found.collect(), || "look into the store".to_owned())?;
            let told = channel.send(&Message::Taken { found }, &[]);
            tried(told, || "tell how much room is taken".to_owned())?;
            Ok(0)
        }
        Job::Beside(_) => Err(StageError::new("do a job of others", Errno::INVAL)),
        Job::Remove { paths } => {
            watch(channel, Over::Ended)?;
            // One that cannot be removed keeps none of the others.
            let removed: Vec<_> = paths.iter().map(|path| scratch::remove(path)).collect();
            removed.into_iter().collect::<Result<(), _>>()?;
            Ok(0)
        }
    }
}

/// The second stage, and later the program, as its parent sees it.
pub(super) struct Inner {
    child: Child,
    process: OwnedFd,
    voice: Option<Channel>,
    /// It ends with the cage.
    _network: Option<Pasta>,
}

impl Inner {
    /// Starts the second stage with its job.
    fn start(cage: &Cage, streams: &[OwnedFd], channel: &Channel) -> Result<Self, StageError> {
        let mut namespaces = UnshareFlags::NEWPID
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS
            | UnshareFlags::NEWCGROUP;
        if cage.network != CageNetwork::Host {
            namespaces |= UnshareFlags::NEWNET;
        }
        let network = match &cage.network {
            CageNetwork::Pasta { program, options } => {
                Some(Pasta::prepare((program, options), &cage.scratch)?)
            }
            CageNetwork::Host | CageNetwork::None => None,
        };
        tried(kernel::unshare(namespaces), || {
            "make namespaces for the cage".to_owned()
        })?;
        if let Some(network) = &network {
            network.connect(channel)?;
        }
        let what = || "start the cage".to_owned();
        let (voice, theirs) = tried(Channel::pair(), what)?;
        let stage = match cage.program.whose {
            Whose::Aicage => CAGE,
            Whose::Image => CAGE_FROM_COPY,
        };
        let started = Command::new("/proc/self/exe")
            .args([NATIVE, stage])
            .env_clear()
            .stdin(Stdio::from(theirs.into_descriptor()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = tried(started, what)?;
        let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| StageError::new(what(), Errno::SRCH))?;
        let process = tried(pidfd_open(number, PidfdFlags::empty()), what)?;
        let inner = Self {
            child,
            process,
            voice: Some(voice),
            _network: network,
        };
        inner.tell(cage, streams)?;
        Ok(inner)
    }

    fn tell(&self, cage: &Cage, streams: &[OwnedFd]) -> Result<(), StageError> {
        let what = || "tell the cage its job".to_owned();
        let job = tried(Job::Cage(Box::new(cage.clone())).to_file(), what)?;
        let mut with = vec![job.as_fd()];
        with.extend(streams.iter().map(|stream| stream.as_fd()));
        match &self.voice {
            Some(voice) => tried(voice.send(&Message::Job, &with), what),
            None => Ok(()),
        }
    }

    /// Waits for the end, passing on what is said; whoever goes away takes the program along.
    fn keep(mut self, channel: &Channel) -> Result<i32, StageError> {
        let mut failed = false;
        let mut listened = Some(channel);
        loop {
            let [heard, said, ended] = self.wait(listened)?;
            if said {
                failed |= self.pass_on(channel)? == Said::Failure;
            }
            if heard {
                match channel.receive() {
                    Ok(Some((Message::Signal { number }, _))) => self.signal(number),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => {
                        listened = None;
                        self.signal(Signal::KILL.as_raw());
                    }
                }
            }
            if ended && self.voice.is_none() {
                let status = tried(self.child.wait(), || "wait for the cage".to_owned())?;
                return Ok(if failed { 125 } else { program::status(status) });
            }
        }
    }

    /// Waits until something is said, by whom, or the program ends.
    fn wait(&self, channel: Option<&Channel>) -> Result<[bool; 3], StageError> {
        let voice = self.voice.as_ref();
        let mut ready = [
            PollFd::new(&self.process, PollFlags::IN),
            self.listen(channel),
            self.listen(voice),
        ];
        loop {
            match poll(&mut ready, None) {
                Err(Errno::INTR) => {}
                polled => {
                    tried(polled, || "wait for the cage".to_owned())?;
                    let [ended, heard, said] =
                        ready.each_ref().map(|one| !one.revents().is_empty());
                    return Ok([heard && channel.is_some(), said && voice.is_some(), ended]);
                }
            }
        }
    }

    /// Whom nobody listens to is never ready.
    fn listen<'a>(&'a self, to: Option<&'a Channel>) -> PollFd<'a> {
        match to {
            Some(to) => PollFd::from_borrowed_fd(to.as_fd(), PollFlags::IN),
            None => PollFd::new(&self.process, PollFlags::empty()),
        }
    }

    fn pass_on(&mut self, channel: &Channel) -> Result<Said, StageError> {
        let Some(voice) = &self.voice else {
            return Ok(Said::Something);
        };
        let heard = tried(voice.receive(), || "listen to the cage".to_owned())?;
        let message = match heard {
            // It has become the program.
            None => {
                self.voice = None;
                let pid = i32::try_from(self.child.id()).unwrap_or_default();
                (Message::Started { pid }, Vec::new())
            }
            Some(heard) => heard,
        };
        let failure = matches!(message.0, Message::Failed { .. });
        let with: Vec<_> = message.1.iter().map(|one| one.as_fd()).collect();
        // Nobody may be there any more; then the program ends.
        channel.send(&message.0, &with).unwrap_or_default();
        Ok(if failure {
            Said::Failure
        } else {
            Said::Something
        })
    }

    fn signal(&self, number: i32) {
        if let Some(signal) = Signal::from_named_raw(number) {
            // It may have ended just now.
            pidfd_send_signal(&self.process, signal).unwrap_or_default();
        }
    }
}

#[derive(PartialEq, Eq)]
enum Said {
    Failure,
    Something,
}
