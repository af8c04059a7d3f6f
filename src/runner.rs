//! The sandbox of this machine, connected when the first step must run.
//!
//! Invariant: a build whose layers are all known needs no container engine.

use std::{io::Write, sync::Arc, time::Duration};

use assembler::sandbox::{Consume, Sandbox, SandboxError, StepRequest};
use tokio::runtime::Handle;

use crate::{
    certificates,
    context::Context,
    engine::{EngineSandbox, SandboxSettings, session::Network},
    init_program, leftovers,
    proxy::{self, Redacting},
};

/// Runs steps in the context's engine.
#[derive(Debug)]
pub struct Runner<'a> {
    context: &'a Context,
}

impl<'a> Runner<'a> {
    /// Makes a runner; nothing is connected yet.
    pub fn new(context: &'a Context) -> Self {
        Self { context }
    }

    fn sandbox(
        &self,
        request: &StepRequest<'_>,
    ) -> Result<&'a EngineSandbox<'static>, SandboxError> {
        if let Some(sandbox) = self.context.sandbox.get() {
            return Ok(sandbox);
        }
        // Whoever makes such files takes away what others left.
        leftovers::sweep(self.context);
        let runtime = Handle::current();
        let none = |source| SandboxError::Engine {
            engine: "the container engine".to_owned(),
            source: Box::new(source),
        };
        let engine = runtime.block_on(self.context.engine()).map_err(none)?;
        let architecture = request.image.platform().architecture;
        let init = init_program::init_for(&architecture).map_err(|error| SandboxError::Step {
            reason: error.to_string(),
        })?;
        let told = proxy::for_containers(self.context, engine.info());
        let settings = SandboxSettings {
            init,
            scratch: leftovers::scratch(&self.context.settings),
            locks: self.context.settings.cache_locks(),
            env: told.variables,
            hosts: told.hosts,
            ca: certificates::configured_for_steps(self.context)
                .map_err(|diagnostic| SandboxError::Step {
                    reason: diagnostic.sentence(),
                })?
                .map(String::into_bytes),
            // `--offline` is a promise for scripts too.
            network: if self.context.options.offline {
                Network::None
            } else {
                Network::default()
            },
            interrupt: self.context.interrupt.token(),
        };
        let reporter = Arc::clone(&self.context.reporter);
        let sandbox = EngineSandbox::new(engine, runtime, settings, reporter);
        Ok(self.context.sandbox.get_or_init(|| sandbox))
    }
}

impl Sandbox for Runner<'_> {
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        let secrets = proxy::secrets(&self.context.settings);
        let mut log = Redacting::new(secrets, log);
        self.sandbox(request)?.run(request, &mut log, consume)
    }

    fn query(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        limit: Duration,
    ) -> Result<Vec<u8>, SandboxError> {
        let secrets = proxy::secrets(&self.context.settings);
        let mut log = Redacting::new(secrets, log);
        self.sandbox(request)?.query(request, &mut log, limit)
    }

    fn runner(&self) -> String {
        self.context
            .sandbox
            .get()
            .map_or_else(|| "no engine yet".to_owned(), Sandbox::runner)
    }
}

/// Takes away what the engine holds for steps only; to be called when the finished image is where it should be.
///
/// What is left behind is swept by the next run; it is no reason to fail this one.
pub async fn clean(context: &Context) {
    if let Some(sandbox) = context.sandbox.get()
        && let Err(error) = sandbox.clean().await
    {
        context.printer.warn(&format!(
            "the engine keeps a name that was for steps only: {error}"
        ));
    }
}
