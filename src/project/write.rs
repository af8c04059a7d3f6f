//! Replaces a project's file as a whole, under a lock that all projects share.
//!
//! Invariant: after a kill or a full disk the file is what it was or what it was to be, never a part of it.

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use fs_err::{self as fs, os::unix::fs::OpenOptionsExt as _};

use super::ProjectError;

const POLL: Duration = Duration::from_millis(20);
const WAIT: Duration = Duration::from_secs(10);

/// Proof that no other program changes a project's file meanwhile.
#[derive(Debug)]
pub(super) struct Lock {
    _file: fs::File,
}

/// Locks the directory's files for changing them; waits for others, who need milliseconds.
pub(super) fn lock(directory: &Path) -> Result<Lock, ProjectError> {
    let path = directory.join(".lock");
    let failed = |source| ProjectError::Write {
        path: path.clone(),
        source,
    };
    fs::create_dir_all(directory).map_err(failed)?;
    let file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(failed)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) if waited < WAIT => {
                std::thread::sleep(POLL);
                waited += POLL;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(ProjectError::Busy {
                    path,
                    seconds: WAIT.as_secs(),
                });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// Writes `text` in place of what `path` holds; a symbolic link stays one.
pub(super) fn replace(_lock: &Lock, path: &Path, text: &str) -> Result<(), ProjectError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_new| path.to_owned());
    write_whole(&target, text).map_err(|source| ProjectError::Write {
        path: path.to_owned(),
        source,
    })
}

/// The new file has one name, so that what a killed program left of it is not left twice; the lock makes it ours.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let new = directory.join(".new");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    if let Ok(there) = fs::metadata(path) {
        file.set_permissions(there.permissions())?;
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    // A name is on disk only once its directory is.
    fs::File::open(directory)?.sync_all()
}
