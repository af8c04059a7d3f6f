//! Writing new blobs, and replacing small files, so that a killed process or a full disk changes nothing.

use std::{
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use fs_err as fs;
use tempfile::NamedTempFile;

use super::{BlobStore, Doing, SharedLock, StoreError};
use crate::{
    descriptor::Descriptor,
    digest::{Digest, Hasher},
};

/// A new blob whose digest is not known yet; dropped without commit leaves nothing.
///
/// It hashes on the writing thread: whoever writes big blobs compresses them, which is twenty times slower, or writes
/// several at once and has no idle core.
#[derive(Debug)]
pub struct BlobWriter {
    store: BlobStore,
    file: NamedTempFile,
    hasher: Hasher,
    size: u64,
}

impl BlobStore {
    /// Starts a new blob.
    pub fn writer(&self, _lock: &SharedLock) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter {
            store: self.clone(),
            file: self.temporary()?,
            hasher: Hasher::sha256(),
            size: 0,
        })
    }

    /// Stores bytes as a blob.
    pub fn write_bytes(
        &self,
        lock: &SharedLock,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Descriptor, StoreError> {
        let descriptor = Descriptor::of(media_type, bytes);
        // Not by its size alone: what is there may have been damaged, and these bytes put that right.
        if self.has(&descriptor)?
            && fs::read(self.blob_path(&descriptor.digest)).is_ok_and(|there| there == bytes)
        {
            return Ok(descriptor);
        }
        let mut writer = self.writer(lock)?;
        let path = self.blob_path(&descriptor.digest);
        writer
            .write_all(bytes)
            .map_err(|error| StoreError::io(Doing::Write, &path, error))?;
        writer.commit(media_type)
    }

    /// Replaces a small file as a whole, so that a power cut leaves the old or the new one.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        publish(self.small_file(path, bytes)?, path, 0o644)
    }

    /// Replaces a small file that can be made anew as a whole.
    ///
    /// A kill leaves the old or the new one. After a power cut it may be damaged, which counts as absent: syncing each
    /// of a step's dozen records would cost more than the step, for each waits for what containers write meanwhile.
    pub(super) fn replace_cached(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = |error| StoreError::io(Doing::Write, path, error);
        let file = self.small_file(path, bytes)?;
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o644))
            .map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn small_file(&self, path: &Path, bytes: &[u8]) -> Result<NamedTempFile, StoreError> {
        let mut file = self.temporary()?;
        file.write_all(bytes)
            .map_err(|error| StoreError::io(Doing::Write, path, error))?;
        Ok(file)
    }

    pub(crate) fn temporary(&self) -> Result<NamedTempFile, StoreError> {
        let directory = self.path("ingest");
        tempfile::Builder::new()
            .prefix("tmp-")
            .tempfile_in(&directory)
            .map_err(|error| StoreError::io(Doing::Create, &directory, error))
    }

    /// Gives a synced file its name as a blob.
    pub(super) fn publish_part(&self, part: &Path, digest: &Digest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        fs::rename(part, &path).map_err(|error| StoreError::io(Doing::Write, &path, error))?;
        sync_directory(&path)
    }
}

fn publish(file: NamedTempFile, path: &Path, mode: u32) -> Result<(), StoreError> {
    let failed = |error| StoreError::io(Doing::Write, path, error);
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))
        .map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    sync_directory(path)
}

/// Makes a rename last.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory: PathBuf = path.parent().unwrap_or(path).to_owned();
    fs::File::open(&directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::io(Doing::Write, &directory, error))
}

impl BlobWriter {
    /// Ends the blob: its digest is that of what was written. It takes the place of one that is there already, which was
    /// verified longer ago; whoever reads that one reads on.
    pub fn commit(self, media_type: &str) -> Result<Descriptor, StoreError> {
        let Self {
            store,
            file,
            hasher,
            size,
        } = self;
        let descriptor = Descriptor {
            media_type: media_type.to_owned(),
            digest: hasher.finish(),
            size,
            annotations: std::collections::BTreeMap::new(),
        };
        publish(file, &store.blob_path(&descriptor.digest), 0o444)?;
        Ok(descriptor)
    }

    /// Returns how many bytes were written so far.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self
            .file
            .write(bytes)
            .map_err(|error| StoreError::io(Doing::Write, self.file.path(), error))?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
