//! The cage of a session, as its keeper sees it.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rustix::{
    fs::{Mode, OFlags},
    pipe::{PipeFlags, pipe_with},
    process::Signal,
    termios::{Winsize, tcsetwinsize},
};
use tokio::sync::mpsc;

use crate::engine::{
    native::{
        Native, cage::Cage, channel::Message, error::NativeError, job::Job, launch::FirstStage,
    },
    session::Stream,
};

/// The process that has the cage.
#[derive(Debug)]
pub(super) struct Inside {
    stage: Arc<FirstStage>,
    /// The thread that hears it, until its end.
    ear: Mutex<Option<JoinHandle<()>>>,
}

/// What comes from it.
#[derive(Debug)]
pub(super) enum Heard {
    /// The terminal.
    Terminal(OwnedFd),
    /// It runs.
    Started(i32),
    /// It has ended.
    Ended(i32),
    /// It could not be made.
    Failed(NativeError),
}

/// Our ends of what the agent reads and prints.
#[derive(Debug)]
pub(super) struct Streams {
    /// What the agent reads from; a terminal is its own.
    pub(super) input: Option<OwnedFd>,
    /// What it prints.
    pub(super) outputs: Vec<(Stream, OwnedFd)>,
    /// Whether they are a terminal.
    pub(super) terminal: bool,
    /// Its first process.
    pub(super) pid: Option<i32>,
}

impl Inside {
    /// Starts the process; there is no cage yet.
    pub(super) fn begin(
        native: &Native,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Heard>), NativeError> {
        let stage = Arc::new(FirstStage::start(native)?);
        let (teller, heard) = mpsc::unbounded_channel();
        let ear = Arc::downgrade(&stage);
        let listen = move || {
            while let Some(stage) = ear.upgrade() {
                let next = match stage.hear() {
                    Ok((Message::Terminal, mut with)) => with.pop().map(Heard::Terminal),
                    Ok((Message::Started { pid }, _)) => Some(Heard::Started(pid)),
                    Ok((Message::Ended { status }, _)) => Some(Heard::Ended(status)),
                    Ok(_) => None,
                    Err(error) => {
                        drop(teller.send(Heard::Failed(error)));
                        return;
                    }
                };
                let is_end = matches!(next, Some(Heard::Ended(_)));
                if next.is_some_and(|next| teller.send(next).is_err()) || is_end {
                    return;
                }
            }
        };
        let ear = std::thread::Builder::new()
            .name("cage".to_owned())
            .spawn(listen)
            .map_err(NativeError::host("listen to the cage"))?;
        let ear = Mutex::new(Some(ear));
        Ok((Self { stage, ear }, heard))
    }

    /// Has it make the cage; returns when the program runs.
    pub(super) async fn start(
        &self,
        cage: Cage,
        (reads, size): (bool, Option<(u16, u16)>),
        heard: &mut mpsc::UnboundedReceiver<Heard>,
    ) -> Result<Streams, NativeError> {
        let mut streams = Streams {
            input: None,
            outputs: Vec::new(),
            terminal: cage.program.terminal,
            pid: None,
        };
        let theirs = if cage.program.terminal {
            Vec::new()
        } else {
            let theirs = connect((&mut streams, reads));
            theirs.map_err(NativeError::host("connect the agent's streams"))?
        };
        let mut with: Vec<_> = theirs.iter().map(|stream| stream.as_fd()).collect();
        // The layers stay as long as the cage does, whatever becomes of us.
        with.push(rustix::stdio::stderr());
        self.stage.give(&Job::Cage(Box::new(cage)), &with)?;
        drop(with);
        drop(theirs);
        loop {
            match heard.recv().await {
                Some(Heard::Terminal(terminal)) => {
                    let host = NativeError::host("use the agent's terminal");
                    resize(&terminal, size.unwrap_or((24, 80)));
                    streams.input = Some(terminal.try_clone().map_err(host)?);
                    streams.outputs.push((Stream::Stdout, terminal));
                }
                Some(Heard::Started(pid)) => {
                    streams.pid = Some(pid);
                    return Ok(streams);
                }
                Some(Heard::Failed(error)) => return Err(error),
                Some(Heard::Ended(_)) | None => return Err(NativeError::Vanished),
            }
        }
    }

    /// Sends the first process a signal; one that has just ended takes none.
    pub(super) fn signal(&self, number: i32) {
        let message = Message::Signal { number };
        self.stage.say(&message, &[]).unwrap_or_default();
    }

    /// Lets go of a cage whose end was heard.
    pub(super) fn let_go(&self) {
        let mut ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ear) = ear.take() {
            ear.join().unwrap_or_default();
        }
    }

    /// Ends a cage that may be half made, whose end nobody may tell.
    pub(super) fn give_up(&self) {
        self.stage.end();
        self.let_go();
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL.as_raw());
    }
}

/// Tells a terminal its size.
pub(in super::super) fn resize(terminal: &OwnedFd, (height, width): (u16, u16)) {
    let size = Winsize {
        ws_row: height,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // One whose other end is gone has no size.
    tcsetwinsize(terminal, size).unwrap_or_default();
}

/// Makes pipes; the agent's ends are returned.
fn connect((streams, reads): (&mut Streams, bool)) -> io::Result<Vec<OwnedFd>> {
    let input = if reads {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        streams.input = Some(ours);
        theirs
    } else {
        rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?
    };
    let mut all = vec![input];
    for stream in [Stream::Stdout, Stream::Stderr] {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        streams.outputs.push((stream, ours));
        all.push(theirs);
    }
    Ok(all)
}
