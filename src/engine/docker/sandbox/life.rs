//! A container's life as the thread sees it that waits for its answer.
//!
//! Invariant: a life that began is brought to its end, also when the thread panics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use assembler::sandbox::SandboxError;
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

/// Ends a container that takes longer than it may.
pub(super) struct Timer {
    limit: Option<Duration>,
    rang: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Timer {
    pub(super) fn start(
        runtime: &Handle,
        limit: Option<Duration>,
        stop: &CancellationToken,
    ) -> Self {
        let rang = Arc::new(AtomicBool::new(false));
        let task = limit.map(|limit| {
            let (rang, stop) = (Arc::clone(&rang), stop.clone());
            runtime.spawn(async move {
                tokio::time::sleep(limit).await;
                rang.store(true, Ordering::Relaxed);
                stop.cancel();
            })
        });
        Self { limit, rang, task }
    }

    /// Stops the clock and says whether it rang before.
    pub(super) fn judge(&self) -> Result<(), SandboxError> {
        if let Some(task) = &self.task {
            task.abort();
        }
        match self.limit {
            Some(limit) if self.rang.load(Ordering::Relaxed) => {
                Err(SandboxError::TimeLimit { limit })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
