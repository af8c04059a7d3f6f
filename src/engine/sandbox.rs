//! Where the steps of images run: in whichever engine was chosen.
//!
//! Invariant: what a step changed comes to the same bytes, whatever ran it.

use std::{io::Write, sync::Arc, time::Duration};

use assembler::{
    reporter::{Event, Reporter},
    sandbox::{Consume, Sandbox, SandboxError, StepRequest},
};
use tokio::runtime::Handle;

use super::{
    Engine, SandboxSettings,
    docker::{DockerSandbox, EngineError},
    native::NativeSandbox,
    step::{Sinks, Take, files::Mode, heard::printed},
};

/// The sandbox of an engine.
pub struct EngineSandbox<'a> {
    kind: Kind<'a>,
    reporter: Arc<dyn Reporter + 'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    /// Docker's or Podman's.
    Docker(DockerSandbox<'a>),
    /// This machine's own.
    Native(NativeSandbox<'a>),
}

impl std::fmt::Debug for EngineSandbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind.fmt(f)
    }
}

impl<'a> EngineSandbox<'a> {
    /// Makes the sandbox of an engine; nothing is done until a step runs.
    ///
    /// Steps are run on a thread that may block, never on one of the runtime's own.
    pub fn new(
        engine: &Engine,
        runtime: Handle,
        settings: SandboxSettings,
        reporter: Arc<dyn Reporter + 'a>,
    ) -> Self {
        let told = Arc::clone(&reporter);
        let kind = match engine {
            Engine::Docker(docker) => {
                Kind::Docker(DockerSandbox::new(docker.clone(), runtime, settings, told))
            }
            Engine::Native(native) => {
                Kind::Native(NativeSandbox::new(native.clone(), runtime, settings, told))
            }
        };
        Self { kind, reporter }
    }

    /// Has all files uploaded, as for an engine on another machine; this machine by itself has no such way.
    #[must_use]
    pub fn uploading(self) -> Self {
        let kind = match self.kind {
            Kind::Docker(sandbox) => Kind::Docker(sandbox.uploading()),
            native @ Kind::Native(_) => native,
        };
        Self { kind, ..self }
    }

    /// Waits until all that steps left is gone, and takes away what the engine holds for steps only.
    ///
    /// To be called when the finished image is in the engine: until then its layers are held.
    pub async fn clean(&self) -> Result<(), EngineError> {
        match &self.kind {
            Kind::Docker(sandbox) => sandbox.clean().await,
            Kind::Native(sandbox) => {
                tokio::task::block_in_place(|| sandbox.clean());
                Ok(())
            }
        }
    }

    fn execute(
        &self,
        request: &StepRequest<'_>,
        how: (Mode, Option<Duration>),
        sinks: &mut Sinks<'_>,
    ) -> Result<(), SandboxError> {
        match &self.kind {
            Kind::Docker(sandbox) => sandbox.execute(request, how, sinks),
            Kind::Native(sandbox) => sandbox.execute(request, how, sinks),
        }
    }

    /// Says what an image declares as volumes. An engine mounts something there, and one image is to be the same whatever
    /// made it.
    fn warn_of_volumes(&self, request: &StepRequest<'_>) {
        let volumes = &request.image.config().value().config.volumes;
        if volumes.is_empty() {
            return;
        }
        let paths: Vec<&str> = volumes.keys().map(String::as_str).collect();
        let message = format!(
            "the image declares volumes; what {} writes there is in no layer: {}",
            request.title,
            paths.join(", ")
        );
        self.reporter.event(Event::Warning { message: &message });
    }
}

impl Sandbox for EngineSandbox<'_> {
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        self.warn_of_volumes(request);
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
        let take: &mut Take<'_> = &mut |answer| printed(answer, &mut said);
        let how = (Mode::Query, Some(limit));
        self.execute(request, how, &mut Sinks { log, take })?;
        Ok(said)
    }

    fn runner(&self) -> String {
        match &self.kind {
            Kind::Docker(sandbox) => sandbox.runner(),
            Kind::Native(sandbox) => sandbox.runner(),
        }
    }
}
