//! The team file, `aicage.yml` in a repository: what it wants for all who work there, and what this user agreed to.
//!
//! Format: [`TeamFile`]; agreements are `~/.aicage/trust/<sha256 of the file's path>.yml`. Invariants: a repository is not
//! trusted: its file is bounded, read once, and no link; what gives the agent or the repository more than it has without
//! the file counts only after this user agreed to exactly that, where it really is; what is not known to tighten is taken
//! to widen.

mod agreement;
mod file;
mod option;
mod settle;
mod wish;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use assembler::digest::Digest;
use clap::{Args, ValueEnum};

use crate::{settings::Layer, yaml::YamlError};

pub use agreement::{Agreement, Agreements};
pub use file::{FILE, Homes, TeamFile, find};
pub use settle::{refuse_fault, settle, show, warn_if_left_out};
pub use wish::Wish;

/// A team file that was read.
#[derive(Clone, Debug)]
pub struct Team {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub file: TeamFile,
    /// Options of the container, quoted as in a shell, and whether each can only tighten.
    pub options: Vec<(String, bool)>,
    /// Paths to share, `PATH` or `PATH:ro`, as they are from here, and where each really is.
    pub shares: Vec<(String, PathBuf)>,
    /// The lines of its keys.
    pub lines: BTreeMap<&'static str, u64>,
    /// Settings of the program.
    pub settings: Layer,
    /// What it asks for that needs consent.
    pub wishes: Vec<Wish>,
    /// What it means, comments left out, and where the paths in it lead.
    pub digest: Digest,
    /// What this user said to that.
    pub consent: Consent,
}

/// What the user said to what a team file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nothing yet, or no: it does not count.
    None,
    /// Something else was agreed to, these wishes; what is asked now does not count.
    Other(Vec<String>),
    /// It counts.
    Given,
}

/// Options of a run that concern the team file.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct TrustOptions {
    /// What to do about what the repository's `aicage.yml` asks for, this time.
    #[arg(long, value_enum, value_name = "once|never", hide_short_help = true)]
    pub trust: Option<TrustWord>,
}

/// What `--trust` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TrustWord {
    /// Give it what it asks for, in this run only.
    Once,
    /// Start without it.
    Never,
}

impl TrustOptions {
    /// Lays the options after `run` over those before it.
    #[must_use]
    pub fn overridden_by(self, after: Self) -> Self {
        Self {
            trust: after.trust.or(self.trust),
        }
    }
}

/// Why a team file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TeamError {
    /// It is not YAML, or has what it may not have.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// It is a symbolic link, or no file at all.
    #[error("{} is {what}; the file of a team has to be a file of its own", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Team {
    /// Tells whether all that it says counts.
    pub fn is_agreed(&self) -> bool {
        self.wishes.is_empty() || self.consent == Consent::Given
    }

    /// Returns those of its options that count, as one text.
    pub fn options_in_force(&self) -> String {
        let is_agreed = self.is_agreed();
        let options = self.options.iter();
        let options = options.filter(|(_, tightens)| is_agreed || *tightens);
        let options: Vec<&str> = options.map(|(text, _)| text.as_str()).collect();
        options.join(" ")
    }

    /// Returns those of its settings that count.
    pub fn settings_in_force(&self) -> Layer {
        let mut layer = self.settings.clone();
        if !self.is_agreed() {
            layer.retain(wish::tightens);
        }
        layer
    }

    /// Returns the directory that paths in it are meant from.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}
