//! Definitions of agents, bases and extensions: built-in ones from the program, custom ones from the user's directories.
//!
//! Invariant: one bad definition disables only itself; it becomes a [`DefinitionError`] with file, line and reason, and
//! everything else works on. A custom definition with a built-in's name replaces it.

pub mod agent;
pub mod base;
pub mod bundle;
pub mod catalogue;
pub mod extension;
pub mod identifier;

use std::path::PathBuf;

use assembler::recipe::ScriptFiles;

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

/// Returns the scripts that are run in the order of their names: `scripts/*.sh`, not those in directories below.
fn scripts_of(files: &ScriptFiles) -> Vec<String> {
    let is_script = |path: &&str| {
        path.strip_prefix("scripts/")
            .and_then(|name| name.strip_suffix(".sh"))
            .is_some_and(|name| !name.contains('/'))
    };
    let paths = files.iter().map(|(path, _)| path);
    paths.filter(is_script).map(str::to_owned).collect()
}
