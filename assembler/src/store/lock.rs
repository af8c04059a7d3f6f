//! The store's lock: shared for use, exclusive for removing things.
//!
//! Invariant: a value of these types is an open, locked file; dropping it, or the process's death, releases the lock.

use std::{io, time::Duration};

use fs_err as fs;

use super::{BlobStore, Doing, StoreError, notice::Attempt};

const POLL: Duration = Duration::from_millis(20);

/// Proof that nothing is removed from the store meanwhile.
#[derive(Debug)]
pub struct SharedLock {
    _file: fs::File,
}

/// Proof that nobody else uses the store.
#[derive(Debug)]
pub struct ExclusiveLock {
    _file: fs::File,
}

impl BlobStore {
    /// Locks the store for use, beside any number of others; waits while somebody removes things from it.
    pub fn share(&self) -> Result<SharedLock, StoreError> {
        let file = self.lock_file()?;
        self.wait_for(
            || {
                format!(
                    "another aicage that removes things from {}",
                    self.root.display()
                )
            },
            || Attempt::of(file.try_lock_shared()),
        )
        .map_err(|error| StoreError::io(Doing::Lock, file.path(), error))?;
        Ok(SharedLock { _file: file })
    }

    /// Locks the store for removing things; waits at most `wait` for others to finish.
    pub fn exclusive(&self, wait: Duration) -> Result<ExclusiveLock, StoreError> {
        let file = self.lock_file()?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(ExclusiveLock { _file: file }),
                Err(std::fs::TryLockError::WouldBlock) if waited < wait => {
                    std::thread::sleep(POLL);
                    waited += POLL;
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(StoreError::Busy {
                        path: self.root.clone(),
                        waited: wait,
                    });
                }
                Err(std::fs::TryLockError::Error(error)) => {
                    return Err(StoreError::io(Doing::Lock, file.path(), error));
                }
            }
        }
    }

    /// A store that cannot be written can still be read, so the file is opened for reading where it is there.
    fn lock_file(&self) -> Result<fs::File, StoreError> {
        let path = self.path("lock");
        match fs::File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .open(&path)
                .map_err(|error| StoreError::io(Doing::Create, &path, error)),
            Err(error) => Err(StoreError::io(Doing::Lock, &path, error)),
        }
    }
}
