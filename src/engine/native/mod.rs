//! Linux itself as the engine: no service, no root, only the kernel's namespaces.
//!
//! Invariant: nothing here needs another right than the caller's own, and what ends, however it ends, leaves no process
//! and no mount behind. Elsewhere `elsewhere` is in this room's place.

mod cage;
mod channel;
mod environment;
mod error;
mod ground;
mod ids;
mod job;
mod kept;
mod launch;
mod network_files;
mod pack;
mod pasta;
mod probe;
mod rootfs;
mod sandbox;
mod scratch;
mod session;
mod stage;

use std::path::PathBuf;

use assembler::platform::Platform;
use tokio_util::sync::CancellationToken;

pub use self::error::NativeError;
pub(crate) use self::ground::{filesystem, takes_no_overlay};
pub use self::{
    ids::{Extent, IdMaps},
    rootfs::Upkeep,
    stage::{NATIVE, run},
};
use super::{
    NativeSettings,
    docker::{EngineFiles, EngineInfo, EngineStore, EngineUsers},
};
pub(crate) use pack::pack;
pub(crate) use probe::probe;
pub(crate) use sandbox::NativeSandbox;
pub(crate) use session::NativeProgram;

/// This machine, as it is to run steps and sessions by itself; cheap to clone.
#[derive(Clone, Debug)]
pub struct Native {
    /// Where the store is, with unpacked layers and what cages leave.
    pub store: PathBuf,
    /// The caller's user id.
    pub uid: u32,
    /// The caller's group id.
    pub gid: u32,
    /// The caller's name, by which sub-ids are listed.
    pub name: String,
    /// Sessions that we created and have not left.
    ours: session::Ours,
    /// The program that makes cages: this one.
    pub program: PathBuf,
    /// Long work in the caller's mapping breaks off when this is cancelled.
    interrupt: CancellationToken,
    info: EngineInfo,
}

/// Returns this machine, if it can be an engine.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it cannot be one")]
pub(crate) fn here(settings: &NativeSettings) -> Option<Native> {
    let (uid, gid) = settings.ids;
    Some(Native::new(
        settings.store.clone(),
        (&settings.name, uid, gid),
    ))
}

impl Native {
    /// Joins what it works with; nothing is looked at yet.
    pub fn new(store: PathBuf, (name, uid, gid): (&str, u32, u32)) -> Self {
        let kernel = rustix::system::uname();
        Self {
            store,
            uid,
            gid,
            name: name.to_owned(),
            ours: session::Ours::default(),
            program: PathBuf::from("/proc/self/exe"),
            interrupt: CancellationToken::new(),
            info: EngineInfo {
                id: "native".to_owned(),
                version: kernel.release().to_string_lossy().into_owned(),
                name: "native",
                store: EngineStore::GraphDriver,
                // A session begins as its own root, and its init becomes the caller.
                users: EngineUsers::Same,
                labels: false,
                platform: Platform::linux(std::env::consts::ARCH),
                files: EngineFiles::Same,
                live_restore: true,
                api: (0, 0),
            },
        }
    }

    /// Tells what kind of engine it is, in the words that are common to all.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Has long work in the caller's mapping, such as unpacking, break off when the user interrupts.
    #[must_use]
    pub fn heeding(mut self, interrupt: CancellationToken) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Has another program make the cages, which has to be aicage: for tests, which are programs of their own.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Finds out how the caller's ids are mapped.
    pub fn maps(&self) -> Result<IdMaps, NativeError> {
        IdMaps::of_caller(&self.name)
    }
}
