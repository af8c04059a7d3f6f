//! Docker Engine, and what else speaks its interface (Podman, Colima, `OrbStack`), through that interface.
//!
//! Invariants: no program is run and no environment is read. A container we make carries our label and is removed
//! whatever happens; what a crash left behind is removed by the next run.

mod attach;
mod connect;
mod endpoint;
mod error;
mod image;
mod image_file;
mod info;
mod load;
mod memory;
mod owner;
mod sandbox;
mod save;
mod session;
mod survey;
mod throwaway;
mod tls;
mod volumes;
mod wire;

use std::sync::Arc;

pub use self::{
    connect::connect,
    endpoint::{EngineKind, EngineSettings, is_named},
    error::{EngineError, WireError},
    image::EngineImage,
    info::{EngineFiles, EngineInfo, EngineStore, EngineUsers},
    load::{LoadRequest, Loaded},
    wire::Endpoint,
};

pub(crate) use self::{
    image::Listed,
    owner::Owner,
    sandbox::DockerSandbox,
    session::{DockerProgram, session_log},
    survey::{Particulars, Place, Reached, survey},
};

/// A connection to an engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Docker {
    endpoint: Arc<Endpoint>,
    client: bollard::Docker,
    patient: bollard::Docker,
    info: Arc<EngineInfo>,
}

impl Docker {
    /// Tells what kind of engine it is. Asked once, while connecting.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Tells where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Prefixes a path with the version of the interface.
    fn path(&self, path: &str) -> String {
        let (major, minor) = self.info.api;
        format!("/v{major}.{minor}{path}")
    }
}
