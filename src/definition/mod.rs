//! Definitions of agents and bases: built-in ones from the program, custom ones from the user's directories.
//!
//! Invariant: one bad definition disables only itself; it becomes a [`DefinitionError`] with file, line and reason, and
//! everything else works on. A custom definition with a built-in's name replaces it.

pub mod agent;
pub mod base;
pub mod bundle;
pub mod catalogue;
pub mod identifier;

use std::path::PathBuf;

use crate::yaml::YamlError;

/// Where a definition comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is part of the program.
    BuiltIn,
    /// The user wrote it, in this directory.
    Custom(PathBuf),
}

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
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
