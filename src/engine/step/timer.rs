//! The time that a step may take.

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

/// Stops a step that takes longer than it may.
pub(crate) struct Timer {
    limit: Option<Duration>,
    rang: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Timer {
    pub(crate) fn start(
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
    pub(crate) fn judge(&self) -> Result<(), SandboxError> {
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
