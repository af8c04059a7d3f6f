//! The directories of sessions.
//!
//! ```text
//! sessions/              0700
//! sessions/<name>/       a session; that only one can make it is what makes its name its own
//!   lock                 locked as long as its keeper lives
//!   state.json           what is known of it
//!   s                    where its keeper listens, as long as it does
//!   log.<n>              what it printed: the last two of these
//! sessions/.new-<id>/    one that is being made
//! sessions/.gone-<id>/   one that is being removed
//! ```
//!
//! Invariant: a directory under a session's name has a lock file, and is locked unless its keeper is dead. It gets its name,
//! and loses it, by being renamed.

use std::{
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::record::{Ended, Record};
use crate::clock;

const LOCK: &str = "lock";
const NEW: &str = ".new-";
const GONE: &str = ".gone-";
/// How often a directory is made that is swept away just then.
const TRIES: u32 = 100;

/// A session's directory that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is; its last part is the session's name.
    pub(super) path: PathBuf,
    /// What is known of it.
    pub(super) record: Record,
    /// Whether its keeper lives.
    pub(super) alive: bool,
}

impl Found {
    /// The session's name.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// How it ended, if it has: one whose keeper was killed ended with it.
    pub(super) fn ended(&self) -> Option<Ended> {
        let unseen = || Ended {
            status: None,
            at: clock::time_of(self.record.created).unwrap_or_default(),
        };
        let ended = self.record.ended.clone();
        ended.or_else(|| (!self.alive).then(unseen))
    }
}

/// Makes the directory of a session under a name; `None` if another has it. Whoever holds the file is its keeper.
pub(super) fn make(
    sessions: &Path,
    (name, record): (&str, &Record),
) -> io::Result<Option<fs_err::File>> {
    let mut tries = 0;
    loop {
        match try_to_make(sessions, (name, record)) {
            // Between its making and its locking it is nobody's, and a sweep may take it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => tries += 1,
            made => return made,
        }
    }
}

fn try_to_make(
    sessions: &Path,
    (name, record): (&str, &Record),
) -> io::Result<Option<fs_err::File>> {
    let mut private = std::fs::DirBuilder::new();
    private.mode(0o700);
    std::fs::DirBuilder::recursive(&mut private, true).create(sessions)?;
    let new = sessions.join(format!("{NEW}{}", record.id));
    match std::fs::DirBuilder::recursive(&mut private, false).create(&new) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let lock = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(new.join(LOCK))?;
    lock.lock()?;
    record.write(&new)?;
    match fs_err::rename(&new, sessions.join(name)) {
        Ok(()) => Ok(Some(lock)),
        Err(error) => {
            fs_err::remove_dir_all(&new)?;
            match error.kind() {
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => Ok(None),
                _ => Err(error),
            }
        }
    }
}

/// Removes a session's directory; whoever looks finds all of it or nothing.
pub(super) fn remove(directory: &Path, id: &str) -> io::Result<()> {
    let gone = directory.with_file_name(format!("{GONE}{id}"));
    match fs_err::rename(directory, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.and_then(|()| fs_err::remove_dir_all(&gone)),
    }
}

/// Lists the sessions; what cannot be read is none.
pub(super) fn all(sessions: &Path) -> io::Result<Vec<Found>> {
    let entries = match fs_err::read_dir(sessions) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with('.') {
            // It may be removed just now.
            found.extend(look(&path));
        }
    }
    Ok(found)
}

/// Looks at one directory.
pub(super) fn look(path: &Path) -> Option<Found> {
    // Asked first: what is written last is then seen, if the keeper is dead.
    let alive = is_locked(path)?;
    Some(Found {
        path: path.to_owned(),
        record: Record::read(path).ok()?,
        alive,
    })
}

/// Finds the session with this id.
pub(super) fn find(sessions: &Path, id: &str) -> io::Result<Option<Found>> {
    let all = all(sessions)?;
    Ok(all.into_iter().find(|found| found.record.id == id))
}

/// Removes what nobody comes back to: what never began, what was to be gone at its end, and what was being removed.
pub(super) fn sweep(sessions: &Path) -> io::Result<()> {
    let entries = match fs_err::read_dir(sessions) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Without a lock file, it was made a moment ago.
        if is_locked(&path) != Some(false) {
            continue;
        }
        let record = Record::read(&path);
        let stays = !name.starts_with('.')
            && matches!(&record, Ok(record) if record.kept && record.process.is_some());
        if !stays {
            let id = record.map_or_else(
                |_| name.trim_start_matches('.').to_owned(),
                |record| record.id,
            );
            remove(&path, &id)?;
        }
    }
    Ok(())
}

/// Tells whether somebody has the lock of a directory; `None` where there is none.
fn is_locked(directory: &Path) -> Option<bool> {
    let file = fs_err::File::open(directory.join(LOCK)).ok()?;
    // Shared, so that two who look at once do not take each other for the keeper.
    Some(file.try_lock_shared().is_err())
}
