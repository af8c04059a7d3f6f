//! A container's life as the thread sees it that waits for its answer.
//!
//! Invariant: a life that began is brought to its end, also when the thread panics.

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::super::error::EngineError;

/// Makes one error of a failure and of a task that went wrong.
pub(super) fn ended(
    life: Result<Result<i32, EngineError>, tokio::task::JoinError>,
) -> Result<i32, EngineError> {
    life.unwrap_or_else(|error| {
        Err(EngineError::Host {
            what: "watch the container",
            source: error.into(),
        })
    })
}

/// A container's life, watched from here; it is brought to its end even when we panic.
pub(super) struct Life<'a> {
    pub(super) task: Option<JoinHandle<Result<i32, EngineError>>>,
    pub(super) runtime: &'a Handle,
    pub(super) stop: CancellationToken,
}

impl Life<'_> {
    /// Waits for the end, the removal included.
    pub(super) fn end(&mut self) -> Result<i32, EngineError> {
        let Some(task) = self.task.take() else {
            return Err(EngineError::Interrupted);
        };
        ended(self.runtime.block_on(task))
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        if self.task.is_some() {
            self.stop.cancel();
            // We are unwinding; there is nobody left to tell.
            self.end().map(|_| ()).unwrap_or_default();
        }
    }
}
