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
//! and loses it, by being renamed; whoever takes it away has looked at it while nobody else took any away.

use std::{
    io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use super::record::{Ended, Record};
use crate::{clock, engine::step::files::Nonce};

const LOCK: &str = "lock";
const NEW: &str = ".new-";
const GONE: &str = ".gone-";
/// How often a directory is made that is swept away just then.
const TRIES: u32 = 100;
/// How old something without a lock is, in seconds, before it was left by a killed run and is not just being made.
const OLD: i64 = 3600;

/// A session's directory that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is; its last part is the session's name.
    pub(super) path: PathBuf,
    /// What is known of it.
    pub(super) record: Record,
    /// Whether its keeper lives.
    pub(super) alive: bool,
    /// When something of it was written last, in seconds since 1970.
    written: i64,
}

impl Found {
    /// The session's name.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// How it ended, if it has: one whose keeper was killed ended with it, not before the last of it was written.
    pub(super) fn ended(&self) -> Option<Ended> {
        let unseen = || Ended {
            status: None,
            at: clock::time_of(self.written.max(self.record.created)).unwrap_or_default(),
        };
        let ended = self.record.ended.clone();
        ended.or_else(|| (!self.alive).then(unseen))
    }
}

/// Makes the directory of a session under a name; `None` if another has it. Whoever holds the file is its keeper. A name
/// that a killed keeper left is free, unless its log is to be read.
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
    let at = sessions.join(name);
    let mut tries = 0;
    loop {
        match fs_err::rename(&new, &at) {
            Ok(()) => return Ok(Some(lock)),
            Err(error) if !is_taken(&error) => {
                fs_err::remove_dir_all(&new)?;
                return Err(error);
            }
            Err(_) if tries < TRIES && take_away(&at, is_abandoned)? => tries += 1,
            Err(_) => {
                fs_err::remove_dir_all(&new)?;
                return Ok(None);
            }
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
    )
}

/// Removes the directory of the session with this id; whoever looks finds all of it or nothing. Another session may have
/// the name by now, and keeps it.
pub(super) fn remove(directory: &Path, id: &str) -> io::Result<()> {
    let is_its = |path: &Path| Record::read(path).is_ok_and(|record| record.id == id);
    take_away(directory, is_its).map(|_| ())
}

/// Removes a directory if it still is what it was taken for; tells whether it was. One that is not there was not.
fn take_away(directory: &Path, is_meant: impl Fn(&Path) -> bool) -> io::Result<bool> {
    let sessions = directory.parent().unwrap_or(directory);
    let gone = {
        let _turn = match turn(sessions) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            turn => turn?,
        };
        if !is_meant(directory) {
            return Ok(false);
        }
        let gone = sessions.join(format!("{GONE}{}", Nonce::new()?.text()));
        fs_err::rename(directory, &gone)?;
        gone
    };
    clear(&gone)?;
    Ok(true)
}

/// Waits until nobody else takes anything away; others wait for the file.
fn turn(sessions: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open(sessions, flags, Mode::empty())?;
    flock(&opened, FlockOperation::LockExclusive)?;
    Ok(opened)
}

/// Removes what nobody uses; somebody else may just be doing it, too.
fn clear(gone: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Tells whether nobody comes back to a directory: its keeper is dead, and it never began or was to be gone at its end.
fn is_abandoned(path: &Path) -> bool {
    match is_locked(path) {
        Some(true) => false,
        // Without a lock file, it is no session.
        None => path.is_dir(),
        Some(false) => {
            let record = Record::read(path);
            !record.is_ok_and(|record| {
                record.kept && (record.process.is_some() || record.ended.is_some())
            })
        }
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
        written: written(path),
    })
}

/// Returns when a file of a directory was written last.
fn written(directory: &Path) -> i64 {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    let times = entries.filter_map(|entry| Some(entry.metadata().ok()?.mtime()));
    times.max().unwrap_or_default()
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
        if name.starts_with(GONE) {
            clear(&path)?;
        } else if name.starts_with(NEW) {
            take_away(&path, is_left)?;
        } else {
            take_away(&path, is_abandoned)?;
        }
    }
    Ok(())
}

/// Tells whether whoever was making a directory is dead. Between its making and its locking a moment passes.
fn is_left(path: &Path) -> bool {
    match is_locked(path) {
        Some(is_locked) => !is_locked,
        None => fs_err::symlink_metadata(path)
            .is_ok_and(|found| found.mtime() < clock::microseconds() / 1_000_000 - OLD),
    }
}

/// Tells whether somebody has the lock of a directory; `None` where there is none. One that cannot be looked at is had.
fn is_locked(directory: &Path) -> Option<bool> {
    let file = match fs_err::File::open(directory.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(_unseen) => return Some(true),
        Ok(file) => file,
    };
    // Shared, so that two who look at once do not take each other for the keeper.
    Some(file.try_lock_shared().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::session::WhenEnded::{self, Kept, Removed};

    fn record(id: &str, when: WhenEnded) -> Record {
        let kept = when == WhenEnded::Kept;
        let text = serde_json::json!({
            "id": id, "image": "", "created": 1, "labels": {}, "command": [], "env": {}, "user": [0, 0],
            "terminal": false, "log": true, "kept": kept, "limits": [], "process": {"pid": 1, "start": 0}, "ended": null,
            "confinement": {"capabilities": [], "filter": true, "no_new_privileges": false},
        });
        serde_json::from_value(text).unwrap()
    }

    fn names(sessions: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(sessions).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_name_of_a_session_whose_keeper_was_killed_is_free_unless_it_was_to_stay() {
        let sessions = tempfile::tempdir().unwrap();
        let make = |id: &str, when| make(sessions.path(), ("app", &record(id, when))).unwrap();
        let keeper = make("1", Removed).unwrap();
        assert!(make("2", Removed).is_none(), "its keeper lives");
        drop(keeper);
        drop(make("2", Kept).expect("its keeper is dead"));
        assert!(make("3", Removed).is_none(), "its log may be read");
        assert_eq!(names(sessions.path()), ["app"]);
        remove(&sessions.path().join("app"), "1").unwrap();
        assert_eq!(
            find(sessions.path(), "2")
                .unwrap()
                .map(|found| found.name()),
            Some("app".to_owned())
        );
    }

    #[test]
    fn a_session_that_ended_at_once_keeps_its_log_and_its_name() {
        let sessions = tempfile::tempdir().unwrap();
        let mut record = record("1", Kept);
        record.process = None;
        record.ended =
            serde_json::from_value(serde_json::json!({"status": 0, "at": "2026-01-01T00:00:00Z"}))
                .ok();
        assert!(record.ended.is_some(), "the end is written so");
        drop(make(sessions.path(), ("app", &record)).unwrap());
        sweep(sessions.path()).unwrap();
        assert_eq!(names(sessions.path()), ["app"]);
    }

    #[test]
    fn an_end_that_nobody_saw_was_not_before_the_last_of_it_was_written() {
        let sessions = tempfile::tempdir().unwrap();
        drop(make(sessions.path(), ("app", &record("1", Kept))).unwrap());
        let path = sessions.path().join("app");
        let log = fs_err::File::create(path.join("log.1")).unwrap();
        let found = look(&path).unwrap();
        let times = log.metadata().unwrap().mtime();
        assert_eq!(found.ended().unwrap().at, clock::time_of(times).unwrap());
    }

    #[test]
    fn what_killed_runs_left_in_whatever_state_is_swept_and_what_is_being_made_stays() {
        let sessions = tempfile::tempdir().unwrap();
        for (name, file) in [(".gone-1", "log.1"), (".new-2", LOCK), ("damaged", "s")] {
            fs_err::create_dir(sessions.path().join(name)).unwrap();
            fs_err::write(sessions.path().join(name).join(file), "").unwrap();
        }
        for name in [".new-now", ".new-old"] {
            fs_err::create_dir(sessions.path().join(name)).unwrap();
        }
        let old = fs_err::File::open(sessions.path().join(".new-old")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        let alive = make(sessions.path(), ("alive", &record("3", Removed))).unwrap();
        drop(make(sessions.path(), ("kept", &record("4", Kept))).unwrap());
        sweep(sessions.path()).unwrap();
        assert_eq!(names(sessions.path()), [".new-now", "alive", "kept"]);
        drop(alive);
    }
}
