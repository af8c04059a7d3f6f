//! What the program inside does itself about a step's mounts: files that it places, and secrets that it is told.
//!
//! Invariant: a secret is only ever in memory, here and inside.

use std::collections::BTreeMap;

use assembler::instruction::Secret;
use serde::Serialize;

/// What the program in the container does itself about a step's mounts.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) placed: Vec<Placed>,
    pub(super) secrets: Vec<SecretFile>,
    pub(super) variables: Vec<SecretVariable>,
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
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A secret that programs get as a variable.
#[derive(Debug, Serialize)]
pub(crate) struct SecretVariable {
    name: String,
    size: u64,
}

impl Inside {
    /// Adds a secret that is a file.
    pub(super) fn add_secret(&mut self, file: SecretFile, content: &Secret) {
        self.secrets.push(file);
        self.sealed.0.extend_from_slice(content.expose());
    }

    /// Adds the secrets that programs get as variables.
    pub(super) fn add_variables(&mut self, variables: &BTreeMap<String, Secret>) {
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
