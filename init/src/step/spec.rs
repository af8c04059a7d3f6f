//! What the caller wants: `step.json` in the step's directory.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The content of `step.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// Proves that the directory is the one that the caller meant.
    pub(super) nonce: String,
    /// Files below `scripts/`, in the order in which they run.
    #[serde(default)]
    pub(super) scripts: Vec<String>,
    /// What is carried out instead.
    #[serde(default)]
    pub(super) instructions: Vec<Instruction>,
    /// What programs of instructions are given besides their own environment.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// Files that are there while the step runs.
    #[serde(default)]
    pub(super) placed: Vec<Placed>,
    /// What comes through standard input, one after the other.
    #[serde(default)]
    pub(super) secrets: Vec<SecretFile>,
    /// What follows them there, and programs of instructions get as variables.
    #[serde(default)]
    pub(super) variables: Vec<SecretVariable>,
    pub(super) mode: Mode,
    pub(super) output: Output,
    /// Whether `ca.pem` is there and to be trusted while the scripts run.
    #[serde(default)]
    pub(super) ca: bool,
    /// No mtime in the layer is after this.
    #[serde(default)]
    pub(super) source_date_epoch: Option<i64>,
    /// Absolute paths that are in no layer.
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    /// The descriptor that this program was started with of the upper directory of `/`, which is an overlay filesystem
    /// mounted with `userxattr`. It held no name that the image has when the step began, but those of mountpoints.
    #[serde(default)]
    pub(super) upper: Option<i32>,
}

/// One thing to do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Instruction {
    /// How it is called in messages.
    pub(super) label: String,
    pub(super) action: Action,
}

/// What an instruction does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Action {
    /// Runs a program.
    Run {
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        user: Option<String>,
        directory: String,
    },
    /// Puts the entries of a tar, a file in the step's directory, somewhere.
    Unpack {
        tar: String,
        to: String,
        destination: Destination,
        conflict: Conflict,
        owner: Option<String>,
        mode: Option<u32>,
    },
    /// Makes a directory.
    Directory { path: String, owner: Option<String> },
}

/// What a destination means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Destination {
    /// A directory to put a file into, or else its name.
    Auto,
    /// A directory.
    Directory,
}

/// What happens when a directory is in the way of something else, or the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Conflict {
    /// It is an error.
    Refuse,
    /// It is replaced.
    Replace,
}

/// A file that is there while the step runs, where nothing can be mounted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Placed {
    pub(super) target: String,
    /// Where its content is.
    pub(super) from: String,
    /// Whether it is a copy, or else a link.
    pub(super) copy: bool,
}

/// A secret, and the file in memory for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretFile {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A secret that programs get as a variable.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretVariable {
    pub(super) name: String,
    pub(super) size: u64,
}

/// What follows the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// The changes, as a layer.
    Capture,
    /// What the scripts wrote to their standard output.
    Query,
}

/// Where the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Output {
    /// The pipe `out` in the step's directory, which the caller reads on the host.
    Fifo,
    /// This program's standard output.
    Stdout,
}

/// Why the step's directory says nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpecError {
    #[error("the step's description cannot be read")]
    Read(#[source] std::io::Error),
    #[error("the step's description cannot be understood")]
    Json(#[source] serde_json::Error),
    #[error("the step's nonce cannot be part of a file name")]
    Nonce,
}

impl Spec {
    pub(super) fn read(directory: &Path) -> Result<Self, SpecError> {
        let text = fs_err::read(directory.join("step.json")).map_err(SpecError::Read)?;
        let spec: Self = serde_json::from_slice(&text).map_err(SpecError::Json)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if spec.nonce.is_empty() || !spec.nonce.bytes().all(plain) {
            return Err(SpecError::Nonce);
        }
        Ok(spec)
    }
}
