//! Path indexes of layers and of whole images, made once and kept under `trees/`.
//!
//! Invariant: a kept index ends in the SHA-256 of all before it; one that does not is made again.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use layer::{
    IndexBuilder, PathIndex,
    tar::{LayerReader, Limits},
};

use super::{
    BlobStore, Doing, SharedLock, StoreError, name,
    record::{Look, set_aside},
};
use crate::{
    digest::{ChainId, DiffId, Digest},
    image::{Image, Layer},
};

const SUM: usize = 32;

impl BlobStore {
    /// Returns a layer's own path index: kept, or made and kept by reading the layer once.
    pub fn layer_index(&self, _lock: &SharedLock, layer: &Layer) -> Result<PathIndex, StoreError> {
        let path = self.tree_path(&layer.diff_id);
        if let Some(index) = read_tree(&path)? {
            return Ok(index);
        }
        let (index, size) = self.index_layer(layer)?;
        self.write_tree(&path, &index)?;
        self.remember_facts(layer, size)?;
        Ok(index)
    }

    /// Keeps the path index of a layer that was just written, so that it need not be read again.
    pub fn keep_index(
        &self,
        _lock: &SharedLock,
        diff_id: &DiffId,
        index: &PathIndex,
    ) -> Result<(), StoreError> {
        self.write_tree(&self.tree_path(diff_id), index)
    }

    /// Returns the merged path index of an image's filesystem.
    pub fn image_index(&self, lock: &SharedLock, image: &Image) -> Result<PathIndex, StoreError> {
        let chains = chains(image.diff_ids());
        // The longest stack that is known already spares its layers.
        let mut known = PathIndex::default();
        let mut from = 0;
        for (position, chain) in chains.iter().enumerate().rev() {
            if let Some(index) = read_tree(&self.chain_path(chain))? {
                known = index;
                from = position + 1;
                break;
            }
        }
        let layers = image.layers().get(from..).unwrap_or_default();
        if layers.is_empty() {
            return Ok(known);
        }
        let merged = self
            .layer_indexes(lock, layers)?
            .iter()
            .fold(known, |below, layer| below.merge(layer));
        if let Some(chain) = chains.last() {
            self.write_tree(&self.chain_path(chain), &merged)?;
        }
        Ok(merged)
    }

    /// Returns the merged path index of an image's filesystem as bytes, without reading it where it is kept.
    pub fn image_index_bytes(
        &self,
        lock: &SharedLock,
        image: &Image,
    ) -> Result<Vec<u8>, StoreError> {
        let chains = chains(image.diff_ids());
        if let Some(chain) = chains.last()
            && let Ok(mut bytes) = fs::read(self.chain_path(chain))
            && let Some(length) = whole(&bytes).map(<[u8]>::len)
            && PathIndex::is_begun(&bytes)
        {
            bytes.truncate(length);
            return Ok(bytes);
        }
        Ok(self.image_index(lock, image)?.to_bytes())
    }

    /// Reads the indexes of several layers, two at a time: inflating is bound by the processor.
    fn layer_indexes(
        &self,
        lock: &SharedLock,
        layers: &[Layer],
    ) -> Result<Vec<PathIndex>, StoreError> {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let position = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(layer) = layers.get(position) else {
                    return done;
                };
                done.push((position, self.layer_index(lock, layer)));
            }
        };
        let mut done = std::thread::scope(|scope| {
            let other = (layers.len() > 1).then(|| scope.spawn(work));
            let mut done = work();
            if let Some(other) = other {
                match other.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        done.sort_by_key(|(position, _)| *position);
        done.into_iter().map(|(_, index)| index).collect()
    }

    fn index_layer(&self, layer: &Layer) -> Result<(PathIndex, u64), StoreError> {
        let blob = layer.descriptor.digest;
        let tar = Counted {
            inner: self.layer_tar(layer)?,
            count: 0,
        };
        let mut reader = LayerReader::new(
            io::BufReader::with_capacity(256 << 10, tar),
            Limits::default(),
        );
        let mut builder = IndexBuilder::default();
        let tar_error = |error| tar_error(blob, error);
        while let Some(item) = reader.next_item().map_err(tar_error)? {
            builder.add(&item);
        }
        // Only at its end does the tar's reader know that all of it was right.
        let mut rest = reader.finish().map_err(tar_error)?;
        io::copy(&mut rest, &mut io::sink()).map_err(|error| self.read_error(&blob, error))?;
        Ok((builder.finish(), rest.get_ref().count))
    }

    fn write_tree(&self, path: &Path, index: &PathIndex) -> Result<(), StoreError> {
        self.replace_cached(path, &tree_bytes(index))
    }

    pub(super) fn tree_path(&self, diff_id: &DiffId) -> PathBuf {
        self.path("trees").join(name::of_digest(diff_id.digest()))
    }

    fn chain_path(&self, chain: &ChainId) -> PathBuf {
        let name = name::of_digest(chain.digest());
        self.path("trees").join(format!("{CHAIN}{name}"))
    }
}

/// Reads a kept index; a damaged one is set aside and counts as absent.
fn read_tree(path: &Path) -> Result<Option<PathIndex>, StoreError> {
    match look_at_tree(path)? {
        Look::Absent => Ok(None),
        Look::Whole(index) => Ok(Some(index)),
        Look::Damaged => {
            set_aside(path);
            Ok(None)
        }
    }
}

/// Reads a kept index and changes nothing.
pub(super) fn look_at_tree(path: &Path) -> Result<Look<PathIndex>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Absent),
        Err(error) => return Err(StoreError::io(Doing::Read, path, error)),
    };
    Ok(tree_of_bytes(&bytes).map_or(Look::Damaged, Look::Whole))
}

/// Spells an index with its sum.
pub(super) fn tree_bytes(index: &PathIndex) -> Vec<u8> {
    let mut bytes = index.to_bytes();
    if let Digest::Sha256(sum) = Digest::of(&bytes) {
        bytes.extend_from_slice(&sum);
    }
    bytes
}

/// Reads what [`tree_bytes`] spelt, unless it is damaged.
pub(super) fn tree_of_bytes(bytes: &[u8]) -> Option<PathIndex> {
    whole(bytes).and_then(|index| PathIndex::from_bytes(index).ok())
}

/// Returns what is before the sum, if the sum is right.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (index, sum) = bytes.split_last_chunk::<SUM>()?;
    (Digest::of(index) == Digest::Sha256(*sum)).then_some(index)
}

/// What the name of a merged index begins with.
pub(super) const CHAIN: &str = "chain-";

/// Returns the chain id of every stack, from the lowest layer alone to all of them.
pub(super) fn chains(diff_ids: &[DiffId]) -> Vec<ChainId> {
    let mut chains: Vec<ChainId> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chains.extend(match chains.last() {
            Some(below) => Some(below.push(*diff_id)),
            None => ChainId::of(std::slice::from_ref(diff_id)),
        });
    }
    chains
}

/// Takes the store's own error out of the tar reader's, where it is the cause.
pub(super) fn tar_error(layer: Digest, error: layer::tar::ReadError) -> StoreError {
    match error {
        layer::tar::ReadError::Io { source } => {
            StoreError::from_io(source).unwrap_or_else(|source| StoreError::Tar {
                layer,
                source: layer::tar::ReadError::Io { source },
            })
        }
        source => StoreError::Tar { layer, source },
    }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
