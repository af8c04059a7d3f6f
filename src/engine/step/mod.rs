//! What a step is to the program that runs inside, whatever it runs in: its files, its caches and mounts, its log, and from
//! its answer to the verdict.
//!
//! Invariant: nothing here knows an engine.

mod answer;
pub(crate) mod caches;
pub(crate) mod files;
pub(crate) mod filling;
pub(crate) mod heard;
pub(crate) mod inside;
pub(crate) mod log;
pub(crate) mod mounts;
mod settings;
mod spec;
pub(crate) mod timer;

use std::sync::{Arc, Mutex};

use assembler::sandbox::SandboxError;

pub use self::settings::SandboxSettings;

/// Keeps a FIFO from ending until it is let go.
#[derive(Clone, Debug)]
pub(crate) struct Hold(Arc<Mutex<Option<fs_err::File>>>);

impl Hold {
    pub(crate) fn new(end: fs_err::File) -> Self {
        Self(Arc::new(Mutex::new(Some(end))))
    }

    pub(crate) fn let_go(&self) {
        let mut end = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        drop(end.take());
    }
}

/// Takes what comes after a good answer's first line.
pub(crate) type Take<'a> = dyn FnMut(&mut dyn std::io::Read) -> Result<(), SandboxError> + 'a;

/// Where what comes of a step goes.
pub(crate) struct Sinks<'a> {
    pub(crate) log: &'a mut (dyn std::io::Write + Send),
    pub(crate) take: &'a mut Take<'a>,
}
