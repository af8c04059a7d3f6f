//! What is held of a container that we talk with: its streams, and its exit.

use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::engine::docker::EngineError;

/// A connection that carries bytes both ways: bare ones of a terminal, or what the container reads and, in frames, what it
/// prints.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// The streams and the exit of one container.
pub(crate) struct Link {
    /// Its streams.
    pub(crate) stream: Box<dyn Bytes>,
    /// What is going to tell its exit status.
    pub(crate) exit: Pin<Box<dyn Future<Output = Result<i32, EngineError>> + Send>>,
}
