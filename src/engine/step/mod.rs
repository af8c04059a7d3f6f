//! What a step is to the program that runs inside, whatever it runs in: its files, its answer, its log.

pub(crate) mod answer;
pub(crate) mod caches;
pub(crate) mod files;
pub(crate) mod filling;
pub(crate) mod log;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use assembler::{
    instruction::Secret,
    sandbox::{CaptureError, SandboxError},
};
use serde::Serialize;

/// What the program in the container does itself about a step's mounts.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) placed: Vec<Placed>,
    pub(crate) secrets: Vec<SecretFile>,
    pub(crate) variables: Vec<SecretVariable>,
    /// The secrets, one after the other, and then the variables.
    pub(crate) sealed: Sealed,
}

/// A file that is there while the step runs.
#[derive(Debug, Serialize)]
pub(crate) struct Placed {
    pub(crate) target: String,
    pub(crate) from: String,
    pub(crate) copy: bool,
}

/// The place in memory for a secret.
#[derive(Debug, Serialize)]
pub(crate) struct SecretFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A secret that programs get as a variable.
#[derive(Debug, Serialize)]
pub(crate) struct SecretVariable {
    name: String,
    size: u64,
}

impl Inside {
    /// Adds the secrets that programs get as variables.
    pub(crate) fn add_variables(&mut self, variables: &BTreeMap<String, Secret>) {
        for (name, content) in variables {
            self.variables.push(SecretVariable {
                name: name.clone(),
                size: content.expose().len() as u64,
            });
            self.sealed.0.extend_from_slice(content.expose());
        }
    }
}

/// Bytes that are never printed.
#[derive(Default)]
pub(crate) struct Sealed(pub(crate) Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(…)")
    }
}

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

/// Tells whether the layer ended too early, which is how the program in the container says that it failed.
pub(crate) fn broke_off(answered: &Result<bool, SandboxError>) -> bool {
    use layer::tar::RecanonicaliseError as Error;
    let Err(SandboxError::Capture(CaptureError::Layer(error))) = answered else {
        return false;
    };
    matches!(error, Error::Read(_) | Error::NoEnd)
}
