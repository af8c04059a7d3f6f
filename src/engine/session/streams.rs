//! What goes in and out of a session: our stdin to the container, its output to our stdout and stderr.
//!
//! Invariant: not a byte is changed, and stdin is read only as long as the session lives, so that what the user types
//! ahead goes to the shell.

use std::{
    io::{self, PipeWriter},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};

use super::{
    detach::DetachKeys,
    frames::{Frames, Stream},
    modes::TerminalModes,
};

const PIECE: usize = 64 << 10;

/// Reads our stdin on a thread of its own until it ends or this is dropped.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) pieces: mpsc::Receiver<Vec<u8>>,
    /// Closing it wakes the thread.
    _wake: PipeWriter,
}

impl Input {
    pub(crate) fn start() -> io::Result<Self> {
        let (asleep, wake) = io::pipe()?;
        let (sender, pieces) = mpsc::channel(4);
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                let stdin = io::stdin();
                let mut buffer = vec![0; PIECE];
                loop {
                    let mut both = [
                        PollFd::new(&stdin, PollFlags::IN),
                        PollFd::new(&asleep, PollFlags::IN),
                    ];
                    match poll(&mut both, None) {
                        Err(rustix::io::Errno::INTR) => continue,
                        Err(_) => return,
                        Ok(_) => {}
                    }
                    let [ours, woken] = &both;
                    if !woken.revents().is_empty() {
                        return;
                    }
                    if ours.revents().is_empty() {
                        continue;
                    }
                    let piece = match rustix::io::read(stdin.as_fd(), &mut buffer) {
                        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                        Err(_) | Ok(0) => return,
                        Ok(read) => buffer.get(..read).unwrap_or_default().to_vec(),
                    };
                    if sender.blocking_send(piece).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            pieces,
            _wake: wake,
        })
    }

    /// Hands stdin over to the container; at its end the container's stdin ends. Where there are `keys`, they end it
    /// as well, and the last of them goes nowhere.
    pub(crate) async fn forward(
        &mut self,
        mut to: impl AsyncWrite + Unpin,
        keys: Option<&DetachKeys>,
    ) -> Typed {
        let mut watch = keys.map(DetachKeys::watch);
        while let Some(mut piece) = self.pieces.recv().await {
            let end = watch.as_mut().and_then(|watch| watch.completes(&piece));
            if let Some(end) = end {
                piece.truncate(end);
            }
            if write(&mut to, &piece).await.is_err() {
                return Typed::Refused;
            }
            if end.is_some() {
                return Typed::Detach;
            }
        }
        // The container may be gone already; then there is nothing to close.
        to.shutdown().await.unwrap_or_default();
        // The other end reads until we are done with the connection.
        drop(to);
        Typed::All
    }
}

/// Why no more of our stdin goes to the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// It ended.
    All,
    /// The container takes no more.
    Refused,
    /// The user wants to leave.
    Detach,
}

/// How the container's output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// To its end.
    Whole,
    /// Nobody reads our output any more; the rest is dropped.
    Unread,
    /// The connection to the engine broke.
    Broken,
}

/// Hands on what a container without a terminal prints, each stream to its own.
pub(crate) async fn forward_frames(from: impl AsyncRead + Unpin) -> Drained {
    let mut frames = Frames::new(from);
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    loop {
        let written = match frames.next().await {
            Ok(None) => return Drained::Whole,
            Ok(Some((Stream::Stdout, piece))) => write(&mut stdout, piece).await,
            Ok(Some((Stream::Stderr, piece))) => write(&mut stderr, piece).await,
            Err(_) => return Drained::Broken,
        };
        if written.is_err() {
            return Drained::Unread;
        }
    }
}

/// Hands on what a container with a terminal prints, and takes note of what that does to the terminal.
pub(crate) async fn forward_bytes(
    mut from: impl AsyncRead + Unpin,
    modes: Arc<Mutex<TerminalModes>>,
) -> Drained {
    let mut stdout = tokio::io::stdout();
    let mut buffer = vec![0; PIECE];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => return Drained::Whole,
            Ok(read) => {
                let piece = buffer.get(..read).unwrap_or_default();
                modes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .see(piece);
                if write(&mut stdout, piece).await.is_err() {
                    return Drained::Unread;
                }
            }
            Err(_) => return Drained::Broken,
        }
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    to.write_all(piece).await?;
    to.flush().await
}
