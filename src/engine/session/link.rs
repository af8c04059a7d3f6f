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
    /// What is going to tell how it ends.
    pub(crate) exit: Pin<Box<dyn Future<Output = Result<Exit, EngineError>> + Send>>,
}

/// How the talking over a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The container has ended, with this status.
    Ended(i32),
    /// Nothing more of what it prints, or printed, comes here: it was read too slowly.
    #[cfg_attr(not(native), expect(dead_code, reason = "engines leave nobody behind"))]
    LeftBehind,
}
