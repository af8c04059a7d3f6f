//! Reading blobs: what comes out is what the descriptor names, or an error.
//!
//! Invariant: the last bytes of a blob are handed out only after all of it has the right digest and nothing follows.

use std::io::{self, Read};

use fs_err as fs;

use super::{BlobStore, Doing, StoreError};
use crate::{
    descriptor::Descriptor,
    digest::{Digest, Hasher},
};

/// Reads a blob and checks its size and digest; ends in an error (`io::Error` around [`StoreError`]) when either differs.
#[derive(Debug)]
pub struct VerifiedReader {
    file: fs::File,
    digest: Digest,
    size: u64,
    remaining: u64,
    hasher: Option<Hasher>,
}

impl BlobStore {
    /// Opens a blob.
    pub fn read(&self, blob: &Descriptor) -> Result<VerifiedReader, StoreError> {
        let path = self.blob_path(&blob.digest);
        let file = fs::File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing {
                digest: blob.digest,
            },
            _ => StoreError::io(Doing::Read, &path, error),
        })?;
        VerifiedReader::of(file, blob)
    }

    /// Reads a whole blob into memory; one of more than `limit` bytes is refused.
    pub fn read_bytes(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, StoreError> {
        if blob.size > limit {
            return Err(StoreError::TooLarge {
                digest: blob.digest,
                size: blob.size,
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(blob.size).unwrap_or_default());
        let mut reader = self.read(blob)?;
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| self.read_error(&blob.digest, error))?;
        Ok(bytes)
    }

    /// Reads a blob whose size only the store knows.
    pub(super) fn read_found(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let size = self
            .blob_size(digest)?
            .ok_or(StoreError::Missing { digest: *digest })?;
        let blob = Descriptor {
            media_type: String::new(),
            digest: *digest,
            size,
            annotations: std::collections::BTreeMap::new(),
        };
        self.read_bytes(&blob, limit)
    }

    /// Says of a failed read of a blob what it was.
    pub(crate) fn read_error(&self, digest: &Digest, error: io::Error) -> StoreError {
        StoreError::from_io(error)
            .unwrap_or_else(|error| StoreError::io(Doing::Read, &self.blob_path(digest), error))
    }
}

impl VerifiedReader {
    /// Reads an open file as a blob.
    pub(super) fn of(file: fs::File, blob: &Descriptor) -> Result<Self, StoreError> {
        let found = file
            .metadata()
            .map_err(|error| StoreError::io(Doing::Read, file.path(), error))?
            .len();
        if found != blob.size {
            return Err(StoreError::WrongSize {
                digest: blob.digest,
                expected: blob.size,
                found,
            });
        }
        Ok(Self {
            file,
            digest: blob.digest,
            size: blob.size,
            remaining: blob.size,
            hasher: Some(blob.digest.hasher()),
        })
    }

    /// Returns how many bytes the blob has.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        let mut beyond = [0; 1];
        let trailing = self
            .file
            .read(&mut beyond)
            .map_err(|error| StoreError::io(Doing::Read, self.file.path(), error))?;
        if trailing > 0 {
            return Err(self.wrong_size(self.size + 1));
        }
        let found = hasher.finish();
        if found == self.digest {
            Ok(())
        } else {
            Err(StoreError::Corrupt {
                expected: self.digest,
                found,
            })
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

impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.remaining == 0 {
            self.finish()?;
            return Ok(0);
        }
        let wanted = buffer
            .len()
            .min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let count = self.file.read(buffer)?;
        if count == 0 {
            return Err(self.wrong_size(self.size - self.remaining).into());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..count).unwrap_or_default());
        } else {
            // A failed check is not forgotten by reading on.
            return Err(self.wrong_size(self.size - self.remaining).into());
        }
        self.remaining -= count as u64;
        if self.remaining == 0 {
            self.finish()?;
        }
        Ok(count)
    }
}
