//! Runs the scripts of a step in a throwaway cage: `assembler`'s contract, kept by the kernel alone.
//!
//! The program inside is the same as in engines (`init step`), gets the same files and answers in the same way; only what it
//! has to look at is less, because all that was changed is in one directory.

mod attempt;
mod mounts;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use assembler::{
    reporter::{Event, Reporter},
    sandbox::{SandboxError, StepRequest},
};
use tokio::runtime::Handle;

use super::{Native, error::NativeError, scratch};
use crate::engine::step::{
    SandboxSettings, Sinks,
    files::{Mode, StepJob},
};

/// A sandbox that this machine keeps by itself.
pub(crate) struct NativeSandbox<'a> {
    native: Native,
    runtime: Handle,
    settings: SandboxSettings,
    reporter: Box<dyn Reporter + 'a>,
    swept: AtomicBool,
    /// Cages that have answered and are being taken away.
    ending: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for NativeSandbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeSandbox")
            .field("native", &self.native)
            .finish_non_exhaustive()
    }
}

impl<'a> NativeSandbox<'a> {
    /// Makes a sandbox; nothing is done until a step runs.
    pub(crate) fn new(
        native: Native,
        runtime: Handle,
        settings: SandboxSettings,
        reporter: impl Reporter + 'a,
    ) -> Self {
        Self {
            native: native.heeding(settings.interrupt.clone()),
            runtime,
            settings,
            reporter: Box::new(reporter),
            swept: AtomicBool::new(false),
            ending: Mutex::default(),
        }
    }

    /// Waits until the cages of all steps are gone.
    pub(crate) fn clean(&self) {
        let ending = {
            let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *ending)
        };
        for cage in ending {
            // A panic there was told when it happened.
            drop(cage.join());
        }
    }

    /// Runs a step.
    pub(crate) fn execute(
        &self,
        request: &StepRequest<'_>,
        (mode, limit): (Mode, Option<Duration>),
        sinks: &mut Sinks<'_>,
    ) -> Result<(), SandboxError> {
        if !self.swept.swap(true, Ordering::Relaxed) {
            // What others left behind is no reason for a step to fail.
            if let Err(error) = scratch::sweep(&self.native) {
                let message = format!("what killed runs left is still there: {error}");
                self.warn(&message);
            }
        }
        let job = StepJob::new(request, mode)?;
        self.attempt(&job, limit, sinks)
    }

    fn warn(&self, message: &str) {
        self.reporter.event(Event::Warning { message });
    }

    /// Names this machine's kernel, for records.
    pub(crate) fn runner(&self) -> String {
        let info = self.native.info();
        format!("{} {}", info.name, info.version)
    }

    fn failed(&self, error: NativeError) -> SandboxError {
        match error {
            NativeError::Interrupted => SandboxError::Interrupted,
            error => SandboxError::Engine {
                engine: self.runner(),
                source: Box::new(error),
            },
        }
    }
}

impl Drop for NativeSandbox<'_> {
    fn drop(&mut self) {
        self.clean();
    }
}
