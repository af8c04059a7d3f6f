//! Small files of ours that several programs change: one at a time, and always as a whole.
//!
//! Invariant: after a kill or a full disk a file is what it was or what it was to be, never a part of it; its mode stays,
//! and a symbolic link stays one.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err::{self as fs, os::unix::fs::OpenOptionsExt as _};

const POLL: Duration = Duration::from_millis(20);
const WAIT: Duration = Duration::from_secs(10);

/// Proof that no other program changes what the lock is for.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

/// Why a file could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum WholeFileError {
    /// The system refused.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Another program holds the lock.
    #[error("cannot lock {}: another program has held it for {seconds} seconds", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long we waited.
        seconds: u64,
    },
}

/// Takes the lock at `path`, a file that is made for it or a directory that is there; waits for others, who need
/// milliseconds.
pub fn lock(path: &Path) -> Result<Lock, WholeFileError> {
    let failed = |source| WholeFileError::Write {
        path: path.to_owned(),
        source,
    };
    let file = if path.is_dir() {
        fs::File::open(path).map_err(failed)?
    } else {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?
    };
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) if waited < WAIT => {
                std::thread::sleep(POLL);
                waited += POLL;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(WholeFileError::Busy {
                    path: path.to_owned(),
                    seconds: WAIT.as_secs(),
                });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// Puts `content` in the place of what `path` holds. A file that was not there is its owner's alone.
pub fn replace(_lock: &Lock, path: &Path, content: &[u8]) -> Result<(), WholeFileError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_new| path.to_owned());
    write(&target, content).map_err(|source| WholeFileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// The new file has one name, so that what a killed program left of it is not left twice; the lock makes it ours.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        Some(_) | None => Path::new("."),
    };
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let new = directory.join(name);
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
    let written = (|| {
        file.write_all(content)?;
        if let Ok(there) = fs::metadata(path) {
            file.set_permissions(there.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    if let Err(error) = written {
        fs::remove_file(&new).ok();
        return Err(error);
    }
    // A name is on disk only once its directory is.
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn mode_and_link_stay_and_nothing_is_left_beside_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        let link = directory.path().join("link");
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        // What a killed program left.
        fs::write(directory.path().join(".real.new"), "half").unwrap();
        let lock = lock(&directory.path().join(".lock")).unwrap();
        replace(&lock, &link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = fs::metadata(&real).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640);
        assert!(!directory.path().join(".real.new").exists());
    }

    #[test]
    fn what_is_written_for_the_first_time_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        let lock = lock(directory.path()).unwrap();
        replace(&lock, &path, b"x").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}
