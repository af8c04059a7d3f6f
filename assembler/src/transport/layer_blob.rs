//! Layers that come as tars without a digest of their own.

use std::{
    io::{self, Read, Write},
    num::NonZero,
};

use crate::{
    descriptor::{Descriptor, media_type},
    digest::{DiffId, Hasher},
    gzip::GzipWriter,
    store::{BlobStore, SharedLock, StoreError},
};

/// A layer as it was stored.
pub(super) struct StoredLayer {
    pub(super) descriptor: Descriptor,
    pub(super) diff_id: DiffId,
    pub(super) size: u64,
}

/// Compresses and stores a tar; `pass` reads it through and may refuse it.
pub(super) fn store_tar<E: From<StoreError>>(
    store: &BlobStore,
    lock: &SharedLock,
    pass: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<StoredLayer, E> {
    let blob = store.writer(lock)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (blob, hasher, size) = std::thread::scope(|scope| {
        let mut sink = Sink {
            gzip: GzipWriter::new(scope, threads.min(4), blob),
            hasher: Hasher::sha256(),
            size: 0,
        };
        pass(&mut sink)?;
        let Sink { gzip, hasher, size } = sink;
        Ok::<_, E>((gzip.finish().map_err(&failed)?, hasher, size))
    })?;
    Ok(StoredLayer {
        descriptor: blob.commit(media_type::OCI_LAYER_GZIP)?,
        diff_id: DiffId::new(hasher.finish()),
        size,
    })
}

/// Stores a blob that is compressed already, as it is.
pub(super) fn store_packed(
    store: &BlobStore,
    lock: &SharedLock,
    media_type: &str,
    source: &mut dyn Read,
) -> Result<Descriptor, StoreError> {
    let mut blob = store.writer(lock)?;
    io::copy(source, &mut blob).map_err(|error| {
        StoreError::from_io(error)
            .unwrap_or_else(|error| StoreError::io(crate::store::Doing::Write, store.root(), error))
    })?;
    blob.commit(media_type)
}

struct Sink<W> {
    gzip: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gzip.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()
    }
}
