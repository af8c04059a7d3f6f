//! Blobs that arrive from elsewhere, maybe in several tries.
//!
//! Invariant: a part belongs to one writer at a time (it is flocked), holds no more bytes than its descriptor says, and
//! becomes a blob only when size and digest are right. What an earlier try left is hashed again, not trusted.

use std::{
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use fs_err as fs;

use super::{BlobStore, Doing, SharedLock, StoreError, notice::Attempt};
use crate::{
    descriptor::Descriptor,
    digest::{Digest, Hasher},
};

/// A download that may have begun earlier.
#[derive(Debug)]
pub enum Ingest {
    /// The blob is there.
    Present,
    /// It is to be fetched from [`PartWriter::position`] on.
    Part(PartWriter),
}

/// A resumable download, exclusively ours; kept when dropped, so that the next try resumes.
#[derive(Debug)]
pub struct PartWriter {
    store: BlobStore,
    file: fs::File,
    digest: Digest,
    size: u64,
    hasher: Hasher,
    position: u64,
}

impl BlobStore {
    /// Starts or resumes fetching a blob; waits while somebody else fetches the same one, then says `Present`.
    pub fn ingest(&self, _lock: &SharedLock, blob: &Descriptor) -> Result<Ingest, StoreError> {
        let path = self.part_path(&blob.digest);
        loop {
            if self.has(blob)? {
                return Ok(Ingest::Present);
            }
            let failed = |error| StoreError::io(Doing::Write, &path, error);
            let file = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            self.wait_for(
                || format!("another aicage that fetches {}", blob.digest),
                || Attempt::of(file.try_lock()),
            )
            .map_err(|error| StoreError::io(Doing::Lock, &path, error))?;
            // Whoever held the lock before us may have renamed or removed what we opened.
            let ours = file.metadata().map_err(failed)?;
            let there = fs::symlink_metadata(&path);
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                continue;
            }
            let mut part = PartWriter {
                store: self.clone(),
                file,
                digest: blob.digest,
                size: blob.size,
                hasher: blob.digest.hasher(),
                position: 0,
            };
            if ours.len() > blob.size {
                part.restart()?;
            } else {
                part.rehash()?;
            }
            return Ok(Ingest::Part(part));
        }
    }
}

impl PartWriter {
    /// Returns how many bytes are here; they were hashed again when the part was opened.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Throws away what is here, because the registry starts from the beginning.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| StoreError::io(Doing::Write, self.file.path(), error))?;
        self.hasher = self.digest.hasher();
        self.position = 0;
        Ok(())
    }

    /// Adds bytes; more than the descriptor says are refused.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let position = self.position + bytes.len() as u64;
        if position > self.size {
            return Err(self.wrong_size(position));
        }
        if let Err(error) = self.file.write_all(bytes) {
            // Some of them may have been written: the file must stay what the hash is of.
            let undone = self
                .file
                .set_len(self.position)
                .and_then(|()| self.file.seek(io::SeekFrom::Start(self.position)));
            let error = undone.err().unwrap_or(error);
            return Err(StoreError::io(Doing::Write, self.file.path(), error));
        }
        self.hasher.update(bytes);
        self.position = position;
        Ok(())
    }

    /// Makes the part a blob when size and digest are right.
    ///
    /// A part with wrong bytes is removed; one that is only short is kept, so that the next try resumes.
    pub fn commit(self) -> Result<(), StoreError> {
        if self.position != self.size {
            return Err(self.wrong_size(self.position));
        }
        let path: PathBuf = self.file.path().to_owned();
        let found = self.hasher.finish();
        if found != self.digest {
            fs::remove_file(&path).map_err(|error| StoreError::io(Doing::Remove, &path, error))?;
            return Err(StoreError::Corrupt {
                expected: self.digest,
                found,
            });
        }
        let failed = |error| StoreError::io(Doing::Write, &path, error);
        self.file.sync_all().map_err(failed)?;
        self.store.publish_part(&path, &self.digest)?;
        // Only now: a part that cannot be written could not be resumed after a kill in between.
        self.file
            .set_permissions(std::fs::Permissions::from_mode(0o444))
            .map_err(failed)
    }

    fn rehash(&mut self) -> Result<(), StoreError> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::io(Doing::Read, self.file.path(), error)),
            };
            self.hasher.update(buffer.get(..count).unwrap_or_default());
            self.position += count as u64;
        }
    }

    fn wrong_size(&self, found: u64) -> StoreError {
        StoreError::WrongSize {
            digest: self.digest,
            expected: self.size,
            found,
        }
    }
}
