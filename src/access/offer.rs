//! What could be given of one kind of access, here and now.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::kind::{Grant, Kind};
use crate::{
    diagnostic::Diagnostic,
    engine::session::{Access, SessionMount},
    session::guard::{real, tidy},
};

/// What could be given of one kind, why, and what was said to it before.
#[derive(Clone, Debug)]
pub struct AccessOffer {
    /// The kind.
    pub kind: Kind,
    /// What it is good for, as a sentence.
    pub why: String,
    /// What is asked, as a question for yes or no; nothing where it is given only to who names it.
    pub question: Option<String>,
    /// What it is, in few words.
    pub what: String,
    /// What is seen with [`Grant::Read`].
    pub read: Vec<SessionMount>,
    /// What is seen with [`Grant::Full`].
    pub full: Vec<SessionMount>,
    /// What is read only with [`Grant::Nothing`] where a mount around it shows it.
    pub withheld: Vec<SessionMount>,
    /// Variables that go with it.
    pub variables: BTreeMap<String, String>,
    /// What is given where nobody said anything.
    pub usual: Grant,
    /// What was said before, in this project or above.
    pub stored: Option<Grant>,
    /// Why it cannot be given here.
    pub refused: Option<Diagnostic>,
}

impl AccessOffer {
    /// Starts with a kind of which nothing is known yet.
    pub(super) fn new(kind: Kind, what: String, usual: Grant) -> Self {
        Self {
            kind,
            why: String::new(),
            question: None,
            what,
            read: Vec::new(),
            full: Vec::new(),
            withheld: Vec::new(),
            variables: BTreeMap::new(),
            usual,
            stored: None,
            refused: None,
        }
    }

    /// Returns what is mounted where so much is given.
    pub fn mounts(&self, grant: Grant) -> &[SessionMount] {
        match grant {
            Grant::Nothing => &[],
            Grant::Read => &self.read,
            Grant::Full => &self.full,
        }
    }

    /// Returns what is given if nobody is asked.
    pub fn unasked(&self) -> Grant {
        if self.refused.is_some() {
            return Grant::Nothing;
        }
        self.stored.unwrap_or(self.usual)
    }

    /// Returns the paths that are seen with all of it.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.full.iter().map(|mount| &mount.target)
    }
}

/// Mounts a path by the name that it is called by, from where it really is, for reading.
pub(super) fn read_only(path: &Path) -> SessionMount {
    SessionMount {
        source: real(path),
        target: tidy(path),
        access: Access::ReadOnly,
    }
}

/// The same, for writing.
pub(super) fn writable(path: &Path) -> SessionMount {
    SessionMount {
        access: Access::ReadWrite,
        ..read_only(path)
    }
}
