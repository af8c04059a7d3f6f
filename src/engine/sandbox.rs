//! Where the steps of images run: in whichever engine was chosen.
//!
//! Invariant: what a step changed comes to the same bytes, whatever ran it.

use std::{io::Write, sync::Arc, time::Duration};

use assembler::{
    reporter::Reporter,
    sandbox::{Consume, Sandbox, SandboxError, StepRequest},
};
use tokio::runtime::Handle;

#[cfg(target_os = "linux")]
use super::native::NativeSandbox;
use super::{
    Engine,
    docker::{DockerSandbox, EngineError, SandboxSettings},
};

/// The sandbox of an engine.
#[derive(Debug)]
pub enum EngineSandbox {
    /// Docker's or Podman's.
    Docker(DockerSandbox<'static>),
    /// This machine's own.
    #[cfg(target_os = "linux")]
    Native(NativeSandbox<'static>),
}

impl EngineSandbox {
    /// Makes the sandbox of an engine; nothing is done until a step runs.
    #[cfg_attr(
        target_os = "linux",
        expect(
            clippy::unnecessary_wraps,
            reason = "elsewhere not every engine has one"
        )
    )]
    pub fn new(
        engine: &Engine,
        runtime: Handle,
        settings: SandboxSettings,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, EngineError> {
        match engine {
            Engine::Docker(docker) => {
                let sandbox = DockerSandbox::new(docker.clone(), runtime, settings, reporter);
                Ok(Self::Docker(sandbox))
            }
            #[cfg(target_os = "linux")]
            Engine::Native(native) => {
                let sandbox = NativeSandbox::new(native.clone(), runtime, settings, reporter);
                Ok(Self::Native(sandbox))
            }
            #[cfg(not(target_os = "linux"))]
            Engine::Native(_) => Err(EngineError::NativeElsewhere),
        }
    }

    /// Takes away what is held for steps only.
    pub async fn clean(&self) -> Result<(), EngineError> {
        match self {
            Self::Docker(sandbox) => sandbox.clean().await,
            #[cfg(target_os = "linux")]
            Self::Native(sandbox) => {
                tokio::task::block_in_place(|| sandbox.clean());
                Ok(())
            }
        }
    }

    fn inner(&self) -> &dyn Sandbox {
        match self {
            Self::Docker(sandbox) => sandbox,
            #[cfg(target_os = "linux")]
            Self::Native(sandbox) => sandbox,
        }
    }
}

impl Sandbox for EngineSandbox {
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        self.inner().run(request, log, consume)
    }

    fn query(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        limit: Duration,
    ) -> Result<Vec<u8>, SandboxError> {
        self.inner().query(request, log, limit)
    }

    fn runner(&self) -> String {
        self.inner().runner()
    }
}
