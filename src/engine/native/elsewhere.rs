//! What stands in for this machine where it cannot make cages: only Linux can.
//!
//! Invariant: no [`Native`] can be made here, so what takes one is never called.

#[path = "error.rs"]
mod error;

use std::{
    convert::Infallible, ffi::OsString, io, os::fd::OwnedFd, path::Path, process::ExitCode,
    time::Duration,
};

use assembler::{
    reporter::Reporter,
    sandbox::{SandboxError, StepRequest},
    store::rootfs::{InMapping, MappingName},
};
use tokio::{io::AsyncRead, runtime::Handle};
use tokio_util::sync::CancellationToken;

pub use self::error::NativeError;
use super::{
    Kept, NativeSettings, UnusedCaches,
    docker::{EngineError, EngineInfo},
    session::{
        Bytes, EngineSession, ExecSpec, Link, LogsWanted, SessionDetails, SessionInput,
        SessionSpec, Stopped, WhenEnded,
    },
    step::{SandboxSettings, Sinks, files::Mode},
};

/// The hidden first argument.
pub const NATIVE: &str = "__native";

/// Says that there is no such thing here.
pub fn run(_arguments: &[OsString]) -> ExitCode {
    use std::io::Write as _;
    drop(writeln!(io::stderr(), "aicage: native needs Linux"));
    ExitCode::from(2)
}

/// This machine, which cannot run steps and sessions by itself.
#[derive(Clone, Debug)]
pub struct Native(Infallible);

/// Returns this machine, if it can be an engine.
pub(crate) fn here(_settings: &NativeSettings) -> Option<Native> {
    None
}

/// Names the file system that a path is on: none is special here.
pub(crate) fn filesystem(_path: &Path) -> &'static str {
    ""
}

/// Tells whether no overlay can be laid over a file system.
pub(crate) fn takes_no_overlay(_filesystem: &str) -> bool {
    false
}

/// Packs a directory with a root file system.
pub(crate) fn pack(
    native: &Native,
    _directory: &Path,
    _to: OwnedFd,
) -> Result<Vec<String>, NativeError> {
    match native.0 {}
}

/// Makes the smallest cage there is.
pub(crate) fn probe(native: &Native, _program: &[u8]) -> Result<(), NativeError> {
    match native.0 {}
}

impl Native {
    /// Has long work break off when the user interrupts.
    #[must_use]
    pub fn heeding(self, _interrupt: CancellationToken) -> Self {
        match self.0 {}
    }

    pub(crate) fn kept_room(&self) -> Result<[(&'static str, u64, u64); 2], NativeError> {
        match self.0 {}
    }

    pub(crate) fn unneeded(&self, _caches: UnusedCaches<'_>) -> Result<Vec<Kept>, NativeError> {
        match self.0 {}
    }

    pub(crate) fn remove_unneeded(
        &self,
        _found: Vec<Kept>,
        _caches: UnusedCaches<'_>,
    ) -> Result<Vec<Kept>, NativeError> {
        match self.0 {}
    }

    /// Tells what kind of engine it is.
    pub fn info(&self) -> &EngineInfo {
        match self.0 {}
    }

    pub(crate) fn sessions(&self, _uid: u32) -> Result<Vec<EngineSession>, EngineError> {
        match self.0 {}
    }

    pub(crate) fn session_details(&self, _id: &str) -> Result<Option<SessionDetails>, EngineError> {
        match self.0 {}
    }

    pub(crate) fn image_facts(&self, _image: &str) -> Result<(String, Vec<String>), EngineError> {
        match self.0 {}
    }

    pub(crate) fn file_of_image(
        &self,
        _image: &str,
        _paths: &[&str],
        _limit: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        match self.0 {}
    }

    pub(crate) async fn create_session(
        &self,
        _spec: &SessionSpec,
        _name: Option<String>,
    ) -> Result<String, EngineError> {
        match self.0 {}
    }

    pub(crate) async fn start_session(&self, _id: &str) -> Result<(), EngineError> {
        match self.0 {}
    }

    pub(crate) async fn leave_session(&self, _id: &str) -> Result<(), EngineError> {
        match self.0 {}
    }

    pub(crate) async fn remove_session(&self, _id: &str) -> Result<(), EngineError> {
        match self.0 {}
    }

    pub(crate) async fn sweep_sessions(&self) -> Result<(), EngineError> {
        match self.0 {}
    }

    pub(crate) async fn stop_session(
        &self,
        _id: &str,
        _how: (u32, Duration),
    ) -> Result<Stopped, EngineError> {
        match self.0 {}
    }

    pub(crate) async fn open_link(
        &self,
        _id: &str,
        _how: (SessionInput, WhenEnded),
    ) -> Result<Link, EngineError> {
        match self.0 {}
    }

    pub(crate) async fn resize_session(&self, _id: &str, _size: (u16, u16)) {
        match self.0 {}
    }

    pub(crate) async fn signal_session(&self, _id: &str, _name: &str) {
        match self.0 {}
    }

    pub(crate) fn open_log(
        &self,
        _id: &str,
        _wanted: LogsWanted,
    ) -> Result<Box<dyn AsyncRead + Unpin + Send>, EngineError> {
        match self.0 {}
    }

    pub(crate) fn prepare_program(
        &self,
        _id: &str,
        _spec: &ExecSpec,
    ) -> Result<NativeProgram, EngineError> {
        match self.0 {}
    }
}

/// A program in a session.
#[derive(Debug)]
pub(crate) enum NativeProgram {}

impl NativeProgram {
    pub(crate) async fn start(&self) -> Result<Box<dyn Bytes>, EngineError> {
        match *self {}
    }

    pub(crate) fn resize(&self, _size: (u16, u16)) {
        match *self {}
    }

    pub(crate) fn signal(&self, _name: &str) {
        match *self {}
    }

    pub(crate) fn status(&self) -> Option<i32> {
        match *self {}
    }
}

/// What runs steps.
#[derive(Debug)]
pub(crate) struct NativeSandbox<'a> {
    native: &'a Native,
}

impl<'a> NativeSandbox<'a> {
    pub(crate) fn new(
        native: Native,
        _runtime: Handle,
        _settings: SandboxSettings,
        _reporter: impl Reporter + 'a,
    ) -> Self {
        match native.0 {}
    }

    pub(crate) fn clean(&self) {
        match self.native.0 {}
    }

    pub(crate) fn execute(
        &self,
        _request: &StepRequest<'_>,
        _how: (Mode, Option<Duration>),
        _sinks: &mut Sinks<'_>,
    ) -> Result<(), SandboxError> {
        match self.native.0 {}
    }

    pub(crate) fn runner(&self) -> String {
        match self.native.0 {}
    }
}

/// What removes and checks unpacked layers.
#[derive(Debug)]
pub struct Upkeep<'a> {
    native: &'a Native,
}

impl<'a> Upkeep<'a> {
    /// Takes what there cannot be.
    pub fn new(native: &'a Native) -> Self {
        Self { native }
    }
}

impl InMapping for Upkeep<'_> {
    fn remove(&self, _mapping: &MappingName, _directory: &Path, _name: &str) -> io::Result<()> {
        match self.native.0 {}
    }

    fn check(
        &self,
        _mapping: &MappingName,
        _place: (&Path, &str),
        _tree: &[u8],
    ) -> io::Result<Vec<String>> {
        match self.native.0 {}
    }
}
