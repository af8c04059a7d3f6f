//! Definitions of agents, bases and extensions: built-in ones from the program, custom ones from the user's directories.
//!
//! Invariant: one bad definition disables only itself; it becomes a [`DefinitionError`] with file, line and reason, and
//! everything else works on. A custom definition with a built-in's name replaces it.

pub mod agent;
pub mod base;
pub mod bundle;
pub mod catalogue;
mod directory;
pub mod extension;
mod found;
pub mod identifier;
pub(crate) mod kept_digest;
mod on_disk;
pub(crate) mod others;

use std::path::{Path, PathBuf};

use assembler::{
    definition_files::{DefinitionFiles, FilesError},
    recipe::ScriptFile,
};

use crate::yaml::YamlError;

/// Where a definition comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is part of the program.
    BuiltIn,
    /// The user wrote it, in this directory.
    Custom(PathBuf),
}

/// The file that takes the place of scripts.
pub const DOCKERFILE: &str = "Dockerfile";

/// Why a definition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The definition's file is not right.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A file that it must have is missing.
    #[error("{} has no `{missing}`", directory.display())]
    Missing {
        /// The definition's directory.
        directory: PathBuf,
        /// What is missing.
        missing: String,
    },
    /// A value is not allowed.
    #[error("{}: {reason}", path.display())]
    Value {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its files cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Reads the file that describes a definition, `<stem>.yml` or `<stem>.yaml`.
fn description(
    files: &DefinitionFiles,
    directory: &Path,
    stem: &str,
) -> Result<(PathBuf, ScriptFile), DefinitionError> {
    let [yml, yaml] = [format!("{stem}.yml"), format!("{stem}.yaml")];
    match (files.read(&yml)?, files.read(&yaml)?) {
        (Some(one), Some(other)) if one.content != other.content => Err(DefinitionError::Value {
            path: directory.to_owned(),
            reason: format!("`{yml}` and `{yaml}` differ; remove one of them"),
        }),
        (Some(file), _) => Ok((directory.join(yml), file)),
        (None, Some(file)) => Ok((directory.join(yaml), file)),
        (None, None) => Err(DefinitionError::Missing {
            directory: directory.to_owned(),
            missing: yml,
        }),
    }
}

/// Returns the scripts that are run in the order of their names: `scripts/*.sh` as the shell reads it, so not hidden ones,
/// and not those in directories below.
fn scripts_of(files: &DefinitionFiles) -> Result<Vec<String>, FilesError> {
    let names = files.names("scripts")?.into_iter();
    Ok(names
        .filter(|name| !others::is_hidden(name.as_bytes()))
        .filter(|name| name.strip_suffix(".sh").is_some())
        .map(|name| format!("scripts/{name}"))
        .collect())
}
