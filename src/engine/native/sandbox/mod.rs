//! Runs the scripts of a step in a throwaway cage: `assembler`'s contract, kept by the kernel alone.
//!
//! The program inside is the same as in engines (`init step`), gets the same files and answers in the same way; only what it
//! has to look at is less, because all that was changed is in one directory.

mod attempt;
mod mounts;

use std::{
    io::{Read as _, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use assembler::{
    reporter::{Event, Reporter},
    sandbox::{CaptureError, Consume, Sandbox, SandboxError, StepRequest},
};
use tokio::runtime::Handle;

use super::{Native, error::NativeError, scratch};
use crate::engine::{
    docker::SandboxSettings,
    step::{
        Sinks, Take,
        answer::QUERY_LIMIT,
        files::{Mode, StepJob},
    },
};

/// A sandbox that this machine keeps by itself.
pub struct NativeSandbox<'a> {
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
    ///
    /// Steps are run on a thread that may block, never on one of the runtime's own.
    pub fn new(
        native: Native,
        runtime: Handle,
        settings: SandboxSettings,
        reporter: impl Reporter + 'a,
    ) -> Self {
        Self {
            native,
            runtime,
            settings,
            reporter: Box::new(reporter),
            swept: AtomicBool::new(false),
            ending: Mutex::default(),
        }
    }

    /// Waits until the cages of all steps are gone.
    pub fn clean(&self) {
        let ending = {
            let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *ending)
        };
        for cage in ending {
            // A panic there was told when it happened.
            drop(cage.join());
        }
    }

    fn execute(
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
        let volumes = &request.image.config().value().config.volumes;
        if !volumes.is_empty() && mode == Mode::Capture {
            // An engine would put them elsewhere, and one image is to be the same whatever made it.
            let paths: Vec<&str> = volumes.keys().map(String::as_str).collect();
            self.warn(&format!(
                "the image declares volumes; what {} writes there is in no layer: {}",
                request.title,
                paths.join(", ")
            ));
        }
        let index = match mode {
            Mode::Capture => {
                let index = request.store.image_index(request.lock, request.image);
                index.map_err(CaptureError::Store)?.to_bytes()
            }
            Mode::Query => Vec::new(),
        };
        let job = StepJob {
            request,
            mode,
            index,
        };
        self.attempt(&job, limit, sinks)
    }

    fn warn(&self, message: &str) {
        self.reporter.event(Event::Warning { message });
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

impl Sandbox for NativeSandbox<'_> {
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        let take: &mut Take<'_> = &mut |answer| Ok(consume(answer)?);
        self.execute(request, (Mode::Capture, None), &mut Sinks { log, take })
    }

    fn query(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        limit: Duration,
    ) -> Result<Vec<u8>, SandboxError> {
        let mut said = Vec::new();
        let take: &mut Take<'_> = &mut |answer| {
            let read = answer.take(QUERY_LIMIT).read_to_end(&mut said);
            read.map(|_| ()).map_err(|source| SandboxError::Step {
                reason: format!("the answer broke off: {source}"),
            })
        };
        let how = (Mode::Query, Some(limit));
        self.execute(request, how, &mut Sinks { log, take })?;
        Ok(said)
    }

    fn runner(&self) -> String {
        let info = self.native.info();
        format!("{} {}", info.name, info.version)
    }
}
