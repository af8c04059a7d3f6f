//! Takes a layer over into the store: from a sandbox's untrusted tar, or from files of ours.
//!
//! Invariant: what is stored is our own writing of the layer, entry by entry checked; one pass reads, checks, hashes,
//! compresses and indexes.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, BufWriter, Read, Write},
    num::NonZero,
};

use layer::{
    Entry, IndexKind, LayerItem, LayerPath, PathIndex,
    tar::{LayerReader, LayerWriter, Limits, RecanonicaliseError, recanonicalise},
};

use crate::{
    descriptor::{Descriptor, media_type},
    digest::{DiffId, Hasher},
    gzip::GzipWriter,
    place::place,
    recipe::PlacedFile,
    sandbox::CaptureError,
    store::{BlobStore, SharedLock},
};

/// A layer that was just stored.
#[derive(Debug)]
pub(crate) struct CapturedLayer {
    pub(crate) layer: Descriptor,
    pub(crate) diff_id: DiffId,
    pub(crate) uncompressed_size: u64,
}

/// Stores the layer that `tar` carries.
pub(crate) fn store_tar(
    store: &BlobStore,
    lock: &SharedLock,
    tar: &mut dyn Read,
) -> Result<CapturedLayer, CaptureError> {
    store_layer(store, lock, |sink| {
        let reader = LayerReader::new(BufReader::with_capacity(1 << 20, tar), Limits::default());
        recanonicalise(reader, LayerWriter::new(sink))
            .map(|(_sink, index)| index)
            .map_err(CaptureError::from)
    })
}

/// Stores a layer that puts `files` in place, owned by root; the directories that lead there stay as they are `below`.
pub(crate) fn store_files(
    store: &BlobStore,
    lock: &SharedLock,
    (files, below): (&[PlacedFile], &PathIndex),
) -> Result<CapturedLayer, CaptureError> {
    store_layer(store, lock, |sink| {
        let mut tar = Vec::new();
        let mut writer = LayerWriter::new(&mut tar);
        let mut directories = BTreeSet::new();
        for file in files {
            let path = place(&LayerPath::new(&file.path)?, below)?;
            // A layer names the directories of what it holds: an engine that finds none makes its own choice of them.
            let parents = std::iter::successors(path.parent(), LayerPath::parent);
            let parents: Vec<LayerPath> =
                parents.filter(|path| !path.as_bytes().is_empty()).collect();
            for directory in parents.into_iter().rev() {
                if directories.insert(directory.as_bytes().to_vec()) {
                    let item = LayerItem::Entry(directory_as_below(directory, below));
                    writer
                        .append(&item, io::empty())
                        .map_err(RecanonicaliseError::from)?;
                }
            }
            let size = file.content.len() as u64;
            let item = LayerItem::Entry(Entry::file(path, file.mode, size));
            writer
                .append(&item, file.content.as_ref())
                .map_err(RecanonicaliseError::from)?;
        }
        writer.finish().map_err(RecanonicaliseError::from)?;
        let reader = LayerReader::new(tar.as_slice(), Limits::default());
        recanonicalise(reader, LayerWriter::new(sink))
            .map(|(_sink, index)| index)
            .map_err(CaptureError::from)
    })
}

/// Returns the entry of a directory as it is below; a new one is root's and open to all.
fn directory_as_below(path: LayerPath, below: &PathIndex) -> Entry {
    let mut entry = Entry::directory(path, 0o755);
    if let Some(there) = below.get(&entry.path)
        && there.kind == IndexKind::Directory
    {
        entry.mode = there.mode;
        entry.uid = there.uid;
        entry.gid = there.gid;
        entry.mtime = there.mtime;
    }
    entry
}

/// Runs `write` with a sink that hashes, compresses and stores.
fn store_layer(
    store: &BlobStore,
    lock: &SharedLock,
    write: impl FnOnce(&mut dyn Write) -> Result<PathIndex, CaptureError>,
) -> Result<CapturedLayer, CaptureError> {
    let blob = store.writer(lock)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (blob, hasher, size, index) = std::thread::scope(|scope| {
        let gzip = GzipWriter::new(scope, threads.min(4), blob);
        let mut sink = BufWriter::with_capacity(
            1 << 18,
            Tee {
                inner: gzip,
                hasher: Hasher::sha256(),
                size: 0,
            },
        );
        let index = write(&mut sink)?;
        let Tee {
            inner,
            hasher,
            size,
        } = sink.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok::<_, CaptureError>((inner.finish()?, hasher, size, index))
    })?;
    let diff_id = DiffId::new(hasher.finish());
    let layer = blob.commit(media_type::OCI_LAYER_GZIP)?;
    store.keep_index(lock, &diff_id, &index)?;
    Ok(CapturedLayer {
        layer,
        diff_id,
        uncompressed_size: size,
    })
}

struct Tee<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
