//! Where what the agent prints goes: to its log, and to whoever looks on.
//!
//! Invariant: nothing is lost for whoever started the session, who holds the agent up by reading slowly; nobody else does,
//! and who is too slow is left behind, and remembered.

use std::{
    collections::BTreeSet,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    sync::watch,
};

use super::{
    inside::{self, Streams},
    viewer::{Offered, Part, View, Viewer, look_on},
};
use crate::engine::{
    native::session::log::{Writer, header},
    session::Stream,
};

/// Longest piece that is read at once.
const PIECE: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Hub {
    state: Arc<Mutex<State>>,
    input: Arc<tokio::sync::Mutex<Option<pipe::Sender>>>,
    terminal: Mutex<Option<OwnedFd>>,
    /// How many of the agent's streams are open.
    open: watch::Sender<usize>,
    /// Who was too slow, by number.
    behind: watch::Sender<BTreeSet<u64>>,
    /// To whom something is still to be shown besides whoever started it, by number.
    visitors: watch::Sender<BTreeSet<u64>>,
}

#[derive(Debug, Default)]
struct State {
    log: Option<Writer>,
    viewers: Vec<Viewer>,
    is_over: bool,
}

/// Makes an end of a pipe or terminal one that is read.
pub(in super::super) fn source(descriptor: OwnedFd) -> io::Result<pipe::Receiver> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    pipe::Receiver::from_owned_fd_unchecked(descriptor)
}

/// Makes an end of a pipe or terminal one that is written.
pub(in super::super) fn sink(descriptor: OwnedFd) -> io::Result<pipe::Sender> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    pipe::Sender::from_owned_fd_unchecked(descriptor)
}

/// Reads a piece; nothing at the end, which a terminal tells by an error.
pub(in super::super) async fn piece<'a>(
    from: &mut pipe::Receiver,
    buffer: &'a mut [u8],
) -> &'a [u8] {
    let read = from.read(buffer).await.unwrap_or_default();
    buffer.get(..read).unwrap_or_default()
}

impl Hub {
    pub(super) fn new(log: Option<Writer>) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                log,
                ..State::default()
            })),
            input: Arc::default(),
            terminal: Mutex::default(),
            open: watch::Sender::new(0),
            behind: watch::Sender::default(),
            visitors: watch::Sender::default(),
        }
    }

    /// Begins to hand on what the agent prints.
    pub(super) fn connect(&self, streams: Streams) {
        let terminal = streams.terminal;
        if terminal && let Some((_, ours)) = streams.outputs.first() {
            let mut own = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
            *own = ours.try_clone().ok();
        }
        if let Some(input) = streams.input.and_then(|input| sink(input).ok()) {
            // Nobody has it before the agent runs.
            if let Ok(mut own) = self.input.try_lock() {
                *own = Some(input);
            }
        }
        self.open.send_replace(streams.outputs.len());
        for (stream, output) in streams.outputs {
            let (state, open) = (Arc::clone(&self.state), self.open.clone());
            let behind = self.behind.clone();
            tokio::spawn(async move {
                let kind = (!terminal).then_some(stream);
                hand_on((&state, &behind), output, (stream, kind))
                    .await
                    .unwrap_or_default();
                open.send_modify(|open| *open -= 1);
            });
        }
    }

    /// Waits until all is printed.
    pub(super) async fn drained(&self) {
        let mut open = self.open.subscribe();
        drop(open.wait_for(|open| *open == 0).await);
    }

    /// Lets everybody come to the end of what was printed.
    pub(super) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_over = true;
        state.viewers.clear();
        let mut terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
        drop(terminal.take());
    }

    /// Begins to look on, under a number.
    pub(super) fn view(&self, part: Part, number: u64) -> View {
        let (viewer, view) = look_on(part, number);
        if part == Part::Visitor {
            self.visitors.send_modify(|all| {
                all.insert(number);
            });
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_over {
            state.viewers.push(viewer);
        }
        view
    }

    /// Stops looking on.
    pub(super) fn leave(&self, number: u64) {
        self.visitors.send_modify(|all| {
            all.remove(&number);
        });
    }

    /// Waits until nothing is to be shown any more to the visitor with this number.
    pub(super) async fn shown(&self, number: u64) {
        let mut visitors = self.visitors.subscribe();
        drop(visitors.wait_for(|all| !all.contains(&number)).await);
    }

    /// Remembers that whoever has this number was too slow.
    pub(super) fn leave_behind(&self, number: u64) {
        leave_behind(&self.behind, number);
    }

    /// Waits until whoever has this number is left behind, which most never are.
    pub(super) async fn left_behind(&self, number: u64) {
        let mut behind = self.behind.subscribe();
        drop(behind.wait_for(|behind| behind.contains(&number)).await);
    }

    /// Gives the agent something to read.
    pub(super) async fn give(&self, bytes: &[u8]) -> io::Result<()> {
        match self.input.lock().await.as_mut() {
            Some(input) => input.write_all(bytes).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Ends what the agent reads from a pipe; at a terminal others may type.
    pub(super) async fn ended_typing(&self) {
        let has_terminal = {
            let terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
            terminal.is_some()
        };
        if !has_terminal {
            drop(self.input.lock().await.take());
        }
    }

    /// Tells the agent's terminal its size.
    pub(super) fn resize(&self, size: (u16, u16)) {
        let terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(terminal) = terminal.as_ref() {
            inside::resize(terminal, size);
        }
    }
}

fn leave_behind(behind: &watch::Sender<BTreeSet<u64>>, number: u64) {
    behind.send_modify(|all| {
        all.insert(number);
    });
}

async fn hand_on(
    (state, behind): (&Mutex<State>, &watch::Sender<BTreeSet<u64>>),
    output: OwnedFd,
    (stream, kind): (Stream, Option<Stream>),
) -> io::Result<()> {
    let mut output = source(output)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = self::piece(&mut output, &mut buffer).await;
        if piece.is_empty() {
            return Ok(());
        }
        let framed = kind.map(|stream| header(stream, piece.len()));
        let whole = [framed.as_ref().map_or(&[][..], |header| header), piece].concat();
        deliver((state, behind), (stream, piece), Bytes::from(whole)).await;
    }
}

async fn deliver(
    (state, behind): (&Mutex<State>, &watch::Sender<BTreeSet<u64>>),
    (stream, piece): (Stream, &[u8]),
    whole: Bytes,
) {
    let starters: Vec<Viewer> = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = &mut state.log {
            // A full disk is no reason to hold an agent up.
            log.keep(stream, piece).unwrap_or_default();
        }
        state.viewers.retain(|viewer| match viewer.part {
            Part::Starter => !viewer.is_gone(),
            Part::Visitor => {
                let offered = viewer.offer(&whole);
                if offered == Offered::Full {
                    leave_behind(behind, viewer.number);
                }
                offered == Offered::Taken
            }
        });
        let starters = state.viewers.iter();
        let starters = starters.filter(|viewer| viewer.part == Part::Starter);
        starters.cloned().collect()
    };
    for starter in starters {
        starter.give(&whole).await;
    }
}
