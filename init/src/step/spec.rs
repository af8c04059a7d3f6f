//! What the caller wants: `step.json` in the step's directory.

use std::path::Path;

use serde::Deserialize;

/// The content of `step.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// Proves that the directory is the one that the caller meant.
    pub(super) nonce: String,
    /// Files below `scripts/`, in the order in which they run.
    pub(super) scripts: Vec<String>,
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
