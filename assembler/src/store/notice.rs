//! What the store has to tell while it works on: waits, and names that were lost to damage.
//!
//! Invariant: nothing depends on somebody listening.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::BlobStore;

/// How long a wait is silent.
const SILENCE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// Something that a person may want to know, though nothing has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Somebody else holds a lock for longer than a moment.
    Waiting {
        /// For what, as in "waiting for …".
        what: String,
    },
    /// The record of a named image could not be read; the image has lost its name.
    NameLost {
        /// The record.
        record: PathBuf,
        /// Where it is kept now; the same if it could not be moved.
        kept: PathBuf,
    },
}

/// Hears what the store has to tell.
pub type Listener = Arc<dyn Fn(&Notice) + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Ear(Option<Listener>);

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Ear" } else { "nobody" })
    }
}

impl BlobStore {
    /// Has `listener` hear what there is to tell.
    #[must_use]
    pub fn telling(mut self, listener: Listener) -> Self {
        self.ear = Ear(Some(listener));
        self
    }

    pub(super) fn tell(&self, notice: &Notice) {
        if let Some(listener) = &self.ear.0 {
            listener(notice);
        }
    }

    /// Tries until it succeeds; after a second of that it tells what is waited for.
    pub(super) fn wait_for<E>(
        &self,
        what: impl Fn() -> String,
        mut attempt: impl FnMut() -> Result<Attempt, E>,
    ) -> Result<(), E> {
        let mut waited = Duration::ZERO;
        while attempt()? == Attempt::Busy {
            if waited == SILENCE {
                self.tell(&Notice::Waiting { what: what() });
            }
            std::thread::sleep(POLL);
            waited += POLL;
        }
        Ok(())
    }
}

/// What came of trying to get a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Done,
    Busy,
}

impl Attempt {
    /// Reads what a file's `try_lock` said.
    pub(super) fn of(result: Result<(), std::fs::TryLockError>) -> std::io::Result<Self> {
        match result {
            Ok(()) => Ok(Self::Done),
            Err(std::fs::TryLockError::WouldBlock) => Ok(Self::Busy),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Returns the path under which a damaged file is kept.
pub(super) fn aside_of(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".");
    aside.push(super::record::DAMAGED);
    PathBuf::from(aside)
}
