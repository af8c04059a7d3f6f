//! How a session's keeper is talked to.
//!
//! Format: each request is a connection of its own to the socket `s` in the session's directory; it begins with a line of
//! JSON. What attaches goes on as bytes: those of a terminal, or what the agent reads one way and Docker's frames the
//! other. All else is answered with a line of JSON. Whoever created the session also holds a connection, over which it is
//! started and left; if that ends otherwise, so does the session.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
};

/// The socket's name.
const SOCKET: &str = "s";
/// Longest line; an errand holds an environment.
const LONGEST: usize = 8 << 20;

/// What anybody may ask of a keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// The streams.
    Attach {
        /// Whether it is whoever started it, who holds the agent up by reading slowly.
        starter: bool,
        /// Whether there is anything to read for the agent.
        input: bool,
        /// A number that no other connection has.
        number: u64,
    },
    /// The exit status, once there is one and the connection with this number has all that was printed, or that this one
    /// was left behind.
    Wait { number: u64 },
    /// Another size of the terminal: height and width.
    Resize { size: (u16, u16) },
    /// A signal for the first process.
    Signal { number: i32 },
    /// The end: asked for, and after so many seconds enforced. Nothing of it stays.
    Stop { seconds: u32 },
}

/// What a keeper answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// It has ended.
    Ended {
        /// Its exit status.
        status: i32,
    },
    /// It prints, or printed, faster than what it printed was read over that connection.
    LeftBehind,
}

/// What whoever created a session says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// It is to begin.
    Start,
    /// It is to go on alone.
    Leave,
}

/// What that one hears.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum News {
    /// The order is carried out, or can be given.
    Done,
    /// The cage could not be made.
    Failed {
        /// What was tried.
        what: String,
        /// What the system said; 0 if it was not the system.
        errno: i32,
    },
}

/// Names the socket of a directory: a path in it may be longer than a socket's may.
pub(super) fn place(directory: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()));
    Ok((opened, path))
}

/// Asks a keeper something; the answer, or the bytes, come over what is returned.
pub(super) async fn ask(directory: &Path, request: &Request) -> io::Result<UnixStream> {
    let (_opened, path) = place(directory)?;
    let mut stream = UnixStream::connect(path).await?;
    say(&mut stream, request).await?;
    Ok(stream)
}

/// Writes a line.
pub(super) async fn say<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    what: &T,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await
}

/// Reads a line, and nothing of what follows it; `None` at the end.
pub(super) async fn hear<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    loop {
        let byte = match from.read_u8().await {
            Ok(byte) => byte,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        if byte == b'\n' {
            return Ok(Some(serde_json::from_slice(&line)?));
        }
        if line.len() == LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_read_to_its_end_and_one_without_end_is_refused() {
        let mut said = Vec::new();
        say(&mut said, &Order::Leave).await.unwrap();
        said.extend(b"more\n");
        let mut rest = said.as_slice();
        let order = hear::<Order>(&mut rest).await.unwrap();
        assert!(matches!(order, Some(Order::Leave)));
        assert_eq!(rest, b"more\n", "what follows is left");
        assert!(hear::<Order>(&mut rest).await.is_err(), "no order");
        assert!(hear::<Order>(&mut rest).await.unwrap().is_none(), "the end");
        let error = hear::<Order>(&mut tokio::io::repeat(b' '))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
