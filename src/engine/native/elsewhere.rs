//! What stands in for this machine where it cannot make cages: only Linux can.
//!
//! Invariant: no [`Native`] can be made here, so what takes one is never called.

#[path = "error.rs"]
mod error;

use std::{
    convert::Infallible, ffi::OsString, io, marker::PhantomData, os::fd::OwnedFd, path::Path,
    process::ExitCode, time::Duration,
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

/// Functions of what cannot be, which nobody can call.
macro_rules! never {
    ($($(#[$note:meta])* $see:vis fn $name:ident(&self $(, $word:ident: $kind:ty)* $(,)?) $(-> $result:ty)?;)*) => {
        $($(#[$note])* $see fn $name(&self $(, $word: $kind)*) $(-> $result)? { match self.0 {} })*
    };
    ($($(#[$note:meta])* $see:vis async fn $name:ident(&self $(, $word:ident: $kind:ty)* $(,)?) $(-> $result:ty)?;)*) => {
        $($(#[$note])* $see async fn $name(&self $(, $word: $kind)*) $(-> $result)? { match self.0 {} })*
    };
}

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

    never! {
        pub(crate) fn kept_room(&self) -> Result<[(&'static str, u64, u64); 2], NativeError>;
        pub(crate) fn unneeded(&self, _caches: UnusedCaches<'_>) -> Result<Vec<Kept>, NativeError>;
        pub(crate) fn remove_unneeded(
            &self,
            _found: Vec<Kept>,
            _caches: UnusedCaches<'_>,
        ) -> Result<Vec<Kept>, NativeError>;
        /// Tells what kind of engine it is.
        pub fn info(&self) -> &EngineInfo;
        pub(crate) fn sessions(&self, _uid: u32) -> Result<Vec<EngineSession>, EngineError>;
        pub(crate) fn session_details(&self, _id: &str) -> Result<Option<SessionDetails>, EngineError>;
        pub(crate) fn image_facts(&self, _image: &str) -> Result<(String, Vec<String>), EngineError>;
        pub(crate) fn file_of_image(
            &self,
            _image: &str,
            _paths: &[&str],
            _limit: u64,
        ) -> Result<Option<Vec<u8>>, EngineError>;
        pub(crate) fn open_log(
            &self,
            _id: &str,
            _wanted: LogsWanted,
        ) -> Result<Box<dyn AsyncRead + Unpin + Send>, EngineError>;
        pub(crate) fn prepare_program(
            &self,
            _id: &str,
            _spec: &ExecSpec,
        ) -> Result<NativeProgram, EngineError>;
    }

    never! {
        pub(crate) async fn create_session(
            &self,
            _spec: &SessionSpec,
            _name: Option<String>,
        ) -> Result<String, EngineError>;
        pub(crate) async fn start_session(&self, _id: &str) -> Result<(), EngineError>;
        pub(crate) async fn leave_session(&self, _id: &str) -> Result<(), EngineError>;
        pub(crate) async fn remove_session(&self, _id: &str) -> Result<(), EngineError>;
        pub(crate) async fn sweep_sessions(&self) -> Result<(), EngineError>;
        pub(crate) async fn stop_session(
            &self,
            _id: &str,
            _how: (u32, Duration),
        ) -> Result<Stopped, EngineError>;
        pub(crate) async fn open_link(
            &self,
            _id: &str,
            _how: (SessionInput, WhenEnded),
        ) -> Result<Link, EngineError>;
        pub(crate) async fn resize_session(&self, _id: &str, _size: (u16, u16));
        pub(crate) async fn signal_session(&self, _id: &str, _name: &str);
    }
}

/// A program in a session.
#[derive(Debug)]
pub(crate) struct NativeProgram(Infallible);

impl NativeProgram {
    never! {
        pub(crate) fn resize(&self, _size: (u16, u16));
        pub(crate) fn signal(&self, _name: &str);
        pub(crate) fn status(&self) -> Option<i32>;
    }

    never! {
        pub(crate) async fn start(&self) -> Result<Box<dyn Bytes>, EngineError>;
    }
}

/// What runs steps.
#[derive(Debug)]
pub(crate) struct NativeSandbox<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> NativeSandbox<'a> {
    pub(crate) fn new(
        native: Native,
        _runtime: Handle,
        _settings: SandboxSettings,
        _reporter: impl Reporter + 'a,
    ) -> Self {
        match native.0 {}
    }

    never! {
        pub(crate) fn clean(&self);
        pub(crate) fn execute(
            &self,
            _request: &StepRequest<'_>,
            _how: (Mode, Option<Duration>),
            _sinks: &mut Sinks<'_>,
        ) -> Result<(), SandboxError>;
        pub(crate) fn runner(&self) -> String;
    }
}

/// What removes and checks unpacked layers.
#[derive(Debug)]
pub struct Upkeep<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> Upkeep<'a> {
    /// Takes what there cannot be.
    pub fn new(native: &'a Native) -> Self {
        match native.0 {}
    }
}

impl InMapping for Upkeep<'_> {
    never! {
        fn remove(&self, _mapping: &MappingName, _directory: &Path, _name: &str) -> io::Result<()>;
        fn check(
            &self,
            _mapping: &MappingName,
            _place: (&Path, &str),
            _tree: &[u8],
        ) -> io::Result<Vec<String>>;
    }
}
