//! What containers run in: Docker, Podman, or this machine by itself.
//!
//! Invariant: nothing here reads the environment or the home directory; where an engine is to be found comes in as
//! values.

mod choice;
pub mod docker;
mod kept;
#[cfg(native)]
pub mod native;
#[cfg(not(native))]
#[path = "native/elsewhere.rs"]
pub mod native;
mod sandbox;
pub mod session;
pub(crate) mod step;

pub(crate) use choice::stands_in;
pub use choice::{Chosen, EngineChoice, EngineReport, NativeSettings, choose};
pub use kept::{Kept, KeptKind, UnusedCaches};
pub use sandbox::EngineSandbox;
pub use step::SandboxSettings;

use self::{
    docker::{Docker, EngineInfo},
    native::Native,
};

/// What runs steps and sessions.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Docker, or Podman behind its interface.
    Docker(Docker),
    /// This machine, without any service.
    Native(Native),
}

impl Engine {
    /// Tells what kind of engine it is.
    pub fn info(&self) -> &EngineInfo {
        match self {
            Self::Docker(docker) => docker.info(),
            Self::Native(native) => native.info(),
        }
    }

    /// Returns the engine with an interface to call, if it is one.
    pub fn docker(&self) -> Option<&Docker> {
        match self {
            Self::Docker(docker) => Some(docker),
            Self::Native(_) => None,
        }
    }
}

impl From<&Docker> for Engine {
    fn from(docker: &Docker) -> Self {
        Self::Docker(docker.clone())
    }
}
