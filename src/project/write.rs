//! Replaces a project's file as a whole, under a lock that all projects share.
//!
//! Invariant: after a kill or a full disk the file is what it was or what it was to be, never a part of it.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;

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

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(&directory)?;
    file.write_all(text.as_bytes())?;
    if let Ok(there) = fs::metadata(path) {
        file.as_file().set_permissions(there.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync(directory)
}

/// A name is on disk only once its directory is.
fn sync(directory: PathBuf) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
