//! Layers as uncompressed tars.
//!
//! Invariant: a reader that came to its end without an error has given exactly the tar that the diff id names, out of
//! exactly the blob that the digest names. It never gives more than [`TAR_LIMIT`] bytes, nor more than [`RATIO_LIMIT`]
//! times the blob's size once it is past [`RATIO_FREE`].

use std::io::{self, BufReader, Read};

use super::{BlobStore, StoreError, VerifiedReader};
use crate::{
    compression::Decoder,
    digest::{DiffId, Digest, Hasher},
    image::Layer,
};

/// The largest tar of a layer, 1 TiB.
pub const TAR_LIMIT: u64 = 1 << 40;
/// The largest factor by which a large layer grows: deflate's own limit is 1032.
pub const RATIO_LIMIT: u64 = 1100;
/// Up to 16 GiB a layer may grow by any factor: zstd makes next to nothing of a sparse file.
pub const RATIO_FREE: u64 = 16 << 30;

/// Large enough that reading costs few calls, small enough for the cache.
const BUFFER: usize = 128 << 10;

/// A layer's tar, checked while it is read.
pub(super) struct LayerTar {
    decoder: Decoder<BufReader<VerifiedReader>>,
    layer: Digest,
    diff_id: DiffId,
    hasher: Option<Hasher>,
    given: u64,
    limit: u64,
}

impl BlobStore {
    /// Opens a layer's uncompressed tar; it checks the blob's digest and the diff id at its end.
    ///
    /// Errors while reading are [`StoreError`]s inside `io::Error`.
    pub fn layer_tar(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, StoreError> {
        self.layer_tar_within(layer, limit_of(layer.descriptor.size))
    }

    pub(super) fn layer_tar_within(
        &self,
        layer: &Layer,
        limit: u64,
    ) -> Result<Box<dyn Read + Send>, StoreError> {
        let blob = self.read(&layer.descriptor)?;
        Ok(Box::new(LayerTar::new(blob, layer, limit)?))
    }

    /// Returns the size of a layer's uncompressed tar: from its facts, or by reading it once.
    pub fn uncompressed_size(&self, layer: &Layer) -> Result<u64, StoreError> {
        if let Some(facts) = self.facts(&layer.descriptor.digest)?
            && facts.diff_id == layer.diff_id
        {
            return Ok(facts.uncompressed_size);
        }
        let size = io::copy(&mut self.layer_tar(layer)?, &mut io::sink())
            .map_err(|error| self.read_error(&layer.descriptor.digest, error))?;
        self.remember_facts(layer, size)?;
        Ok(size)
    }
}

impl LayerTar {
    /// Reads a layer's blob as its tar, which may have `limit` bytes.
    pub(super) fn new(blob: VerifiedReader, layer: &Layer, limit: u64) -> Result<Self, StoreError> {
        let digest = layer.descriptor.digest;
        let source = BufReader::with_capacity(BUFFER, blob);
        let decoder = Decoder::new(source).map_err(|error| decompress_error(digest, error))?;
        Ok(Self {
            decoder,
            layer: digest,
            diff_id: layer.diff_id,
            hasher: Some(layer.diff_id.digest().hasher()),
            given: 0,
            limit,
        })
    }

    /// The decompressor stops at its own end; what follows in the blob must still be what the digest is of.
    fn finish(&mut self) -> Result<(), StoreError> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        io::copy(self.decoder.get_mut(), &mut io::sink())
            .map_err(|error| decompress_error(self.layer, error))?;
        let found = DiffId::new(hasher.finish());
        if found == self.diff_id {
            Ok(())
        } else {
            Err(StoreError::DiffId {
                layer: self.layer,
                expected: self.diff_id,
                found,
            })
        }
    }
}

impl Read for LayerTar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.decoder.read(buffer) {
            Ok(0) => {
                self.finish()?;
                return Ok(0);
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(decompress_error(self.layer, error).into()),
        };
        self.given += count as u64;
        if self.given > self.limit {
            return Err(StoreError::Bomb {
                layer: self.layer,
                limit: self.limit,
            }
            .into());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

/// Returns how large a tar a blob of this size may become.
pub(super) fn limit_of(blob: u64) -> u64 {
    blob.saturating_mul(RATIO_LIMIT)
        .clamp(RATIO_FREE, TAR_LIMIT)
}

/// A wrong blob is reported as such; anything else is the decompressor's complaint about right bytes.
fn decompress_error(layer: Digest, error: io::Error) -> StoreError {
    StoreError::from_io(error).unwrap_or_else(|source| StoreError::Decompress { layer, source })
}
