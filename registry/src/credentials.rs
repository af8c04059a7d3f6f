//! skeleton
#![expect(missing_docs, reason = "skeleton")]
use std::path::PathBuf;
#[derive(Clone, Debug, Default)]
pub struct CredentialSources {
    /// Docker's `config.json` and Podman's `auth.json` files, the first that knows a registry wins; missing ones are skipped.
    pub files: Vec<PathBuf>,
    /// Directories in which `docker-credential-*` programs are looked for.
    pub helper_path: Vec<PathBuf>,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct CredentialError;
