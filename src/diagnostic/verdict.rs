//! What a failure means for the user: its code, the exit status and the next step.
//!
//! Invariant: the innermost error decides, because it knows best; the outer ones only say what was being done.

use std::{error::Error, io, path::PathBuf};

use super::Diagnostic;
use crate::exit_status::ExitStatus;

/// What a failure means.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// What scripts and `doc/errors.md` know it by.
    pub(crate) code: &'static str,
    /// How the program ends.
    pub(crate) status: ExitStatus,
    /// The one next step.
    pub(crate) hint: Option<String>,
    /// The log that tells more.
    pub(crate) log: Option<PathBuf>,
}

/// An error whose variants each have a verdict.
pub(crate) trait Explain: Error {
    /// Judges the failure, by an exhaustive match.
    fn verdict(&self) -> Verdict;
}

impl Verdict {
    /// A failure that is nobody's mistake.
    pub(crate) const fn failed(code: &'static str) -> Self {
        Self::ending(code, ExitStatus::Failed)
    }

    /// A mistake in the command line or in a file the user wrote.
    pub(crate) const fn usage(code: &'static str) -> Self {
        Self::ending(code, ExitStatus::Usage)
    }

    /// A failure with another status.
    pub(crate) const fn ending(code: &'static str, status: ExitStatus) -> Self {
        Self {
            code,
            status,
            hint: None,
            log: None,
        }
    }

    /// A failure of the operating system; the kind of the error gives the hint.
    pub(crate) fn system(code: &'static str, error: &(dyn Error + 'static)) -> Self {
        let verdict = Self::failed(code);
        match io_kind(error) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => verdict.hint(
                "free some space; `aicage cache du` shows what the cache holds and `aicage cache prune` empties it",
            ),
            Some(io::ErrorKind::PermissionDenied) => verdict.hint(
                "check the owner and mode of that path; `sudo aicage` may have left files of root's behind",
            ),
            Some(io::ErrorKind::ReadOnlyFilesystem) => {
                verdict.hint("set `AICAGE_HOME` to a directory that can be written")
            }
            _ => verdict,
        }
    }

    /// Tells whether there is a next step.
    pub(crate) fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    /// Sets the next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the log that tells more.
    pub(crate) fn log(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = Some(log.into());
        self
    }
}

impl<E: Explain + 'static> From<E> for Diagnostic {
    fn from(error: E) -> Self {
        let Verdict {
            code,
            status,
            hint,
            log,
        } = error.verdict();
        let diagnostic = Self::of(code, status, &error).hint(hint.as_deref());
        match log {
            Some(log) => diagnostic.log(&log),
            None => diagnostic,
        }
    }
}

/// Finds the operating system's word in a chain of errors.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}
