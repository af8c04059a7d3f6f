//! The byte streams of what runs without a terminal: frames, as Docker has them.
//!
//! Format: one byte that names the stream (1 stdout, 2 stderr, 3 the engine's own error), three zero bytes, the length as
//! big-endian `u32`, and that many bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest piece that is handed on at once; a frame may be longer.
const PIECE: usize = 64 << 10;

/// Which stream a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// What the container printed.
    Stdout,
    /// What it printed beside it.
    Stderr,
}

/// Takes frames apart.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    source: R,
    stream: Stream,
    left: usize,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            stream: Stream::Stdout,
            left: 0,
            buffer: vec![0; PIECE],
        }
    }

    /// Returns the next piece; `None` at the end. Not safe to cancel.
    pub(crate) async fn next(&mut self) -> io::Result<Option<(Stream, &[u8])>> {
        while self.left == 0 {
            let mut header = [0; 8];
            let first = self.source.read(&mut header).await?;
            if first == 0 {
                return Ok(None);
            }
            if let Some(rest) = header.get_mut(first..) {
                self.source.read_exact(rest).await?;
            }
            let [kind, 0, 0, 0, length @ ..] = header else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the engine's output is not framed",
                ));
            };
            self.stream = match kind {
                0 | 1 => Stream::Stdout,
                _ => Stream::Stderr,
            };
            self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        }
        let room = self.left.min(self.buffer.len());
        let room = self.buffer.get_mut(..room).unwrap_or_default();
        let read = self.source.read(room).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(Some((
            self.stream,
            self.buffer.get(..read).unwrap_or_default(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pieces(bytes: &[u8]) -> Result<Vec<(Stream, Vec<u8>)>, io::ErrorKind> {
        let mut frames = Frames::new(bytes);
        let mut found = Vec::new();
        loop {
            match frames.next().await {
                Ok(Some((stream, piece))) => found.push((stream, piece.to_vec())),
                Ok(None) => return Ok(found),
                Err(error) => return Err(error.kind()),
            }
        }
    }

    #[tokio::test]
    async fn frames_are_taken_apart_byte_for_byte() {
        let bytes = b"\x01\0\0\0\0\0\0\x03a\0\x01\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x01e";
        assert_eq!(
            pieces(bytes).await,
            Ok(vec![
                (Stream::Stdout, b"a\0\x01".to_vec()),
                (Stream::Stderr, b"e".to_vec())
            ]),
            "an empty frame is skipped and zero bytes are kept"
        );
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_an_error() {
        assert_eq!(
            pieces(b"\x01\0\0\0\0\0\0\x03a").await,
            Err(io::ErrorKind::UnexpectedEof)
        );
        assert_eq!(pieces(b"\x01\0\0").await, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(pieces(b"plain text").await, Err(io::ErrorKind::InvalidData));
    }
}
