//! What this user agreed to, a file a team file.
//!
//! Format: `~/.aicage/trust/<sha256 of the team file's path>.yml` with `path`, `digest` of what the file means, the wishes
//! `agreed` to in words, and `agreed_at`.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use assembler::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{Consent, Team};
use crate::{
    diagnostic::Diagnostic,
    whole_file::{self, WholeFileError},
    yaml,
};

/// Where agreements are.
#[derive(Clone, Debug)]
pub struct Agreements {
    directory: PathBuf,
}

/// One agreement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Agreement {
    /// The team file; what of its path is not UTF-8 is replaced, and the file's name tells it from others.
    pub path: String,
    /// What it meant.
    pub digest: String,
    /// What it asked for, in words.
    pub agreed: Vec<String>,
    /// When.
    pub agreed_at: String,
}

impl Agreements {
    /// Returns those below a directory such as `~/.aicage`.
    pub fn below(home: &Path) -> Self {
        Self {
            directory: home.join("trust"),
        }
    }

    /// Returns what was said to the team file at `path` that means `digest`; an agreement that cannot be read is none.
    pub(super) fn consent(&self, path: &Path, digest: &Digest) -> Consent {
        match self.of(path) {
            Some(agreement) if agreement.digest == digest.to_string() => Consent::Given,
            Some(agreement) => Consent::Other(agreement.agreed),
            None => Consent::None,
        }
    }

    /// Returns what was agreed to of the team file at `path`.
    pub fn of(&self, path: &Path) -> Option<Agreement> {
        let agreement: Option<Agreement> = yaml::read(&self.file(path)).ok().flatten();
        agreement.filter(|agreement| agreement.path == path.to_string_lossy())
    }

    /// Keeps that the user agreed to all that a team file asks for.
    pub fn keep(&self, team: &Team, now: &str) -> Result<(), Diagnostic> {
        let agreement = Agreement {
            path: team.path.to_string_lossy().into_owned(),
            digest: team.digest.to_string(),
            agreed: team.wishes.iter().map(ToString::to_string).collect(),
            agreed_at: now.to_owned(),
        };
        let path = self.file(&team.path);
        let text = yaml::to_text(&agreement, &path)?;
        let lock = whole_file::lock(&self.directory.join(".lock"))?;
        whole_file::replace(&lock, &path, text.as_bytes())?;
        Ok(())
    }

    /// Takes an agreement back; tells whether there was one.
    pub fn revoke(&self, path: &Path) -> Result<bool, WholeFileError> {
        let file = self.file(path);
        match fs_err::remove_file(&file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(WholeFileError::Write { path: file, source }),
        }
    }

    /// Lists all agreements, by path.
    pub fn list(&self) -> Vec<Agreement> {
        let entries = fs_err::read_dir(&self.directory).into_iter().flatten();
        let mut all: Vec<Agreement> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let is_ours = path.extension().is_some_and(|end| end == "yml");
                is_ours.then(|| yaml::read(&path).ok().flatten())?
            })
            .collect();
        all.sort_by(|one, other| one.path.cmp(&other.path));
        all
    }

    fn file(&self, path: &Path) -> PathBuf {
        let digest = Digest::of(path.as_os_str().as_bytes());
        self.directory.join(format!("{}.yml", digest.hex()))
    }
}
