//! The content-addressed store: a valid OCI image layout at all times, shared by concurrent processes.
//!
//! (skeleton; the format is documented here)
#![expect(clippy::todo, clippy::unused_self, reason = "skeleton, to be replaced")]
#![expect(unused_variables, reason = "skeleton, to be replaced")]
#![expect(missing_docs, reason = "skeleton, to be replaced")]

use std::{
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use crate::{
    descriptor::Descriptor,
    digest::{DiffId, Digest, LayerKey},
    image::{Image, Layer},
    manifest::{ImageConfig, Manifest, Raw},
    provenance::{BaseRecord, LayerRecord},
    reference::ImageReference,
};

#[derive(Debug, Clone)]
pub struct BlobStore;
/// Shared flock on `lock`; proof that nothing is pruned meanwhile.
#[derive(Debug)]
pub struct SharedLock;
/// Exclusive flock on `lock`; proof that nobody uses the store.
#[derive(Debug)]
pub struct ExclusiveLock;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct StoreError;
/// Checks size and digest; ends in an error (`io::Error` wrapping [`StoreError`]) when either differs.
#[derive(Debug)]
pub struct VerifiedReader;
/// A new blob of unknown digest; dropped without commit leaves nothing.
#[derive(Debug)]
pub struct BlobWriter;
/// A download that may have begun earlier.
#[derive(Debug)]
pub enum Ingest {
    /// The blob is there.
    Present,
    /// It is to be fetched from [`PartWriter::position`] on.
    Part(PartWriter),
}
/// A resumable download, exclusively ours (flock on the part); kept when dropped, so that the next try resumes.
#[derive(Debug)]
pub struct PartWriter;
/// A layer as a step gave it, kept under its key.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct KeptLayer {
    pub layer: Descriptor,
    pub diff_id: DiffId,
    pub uncompressed_size: u64,
    pub record: LayerRecord,
}
/// `images/<ref>.json`: an image of ours (built or pulled) under a name.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ImageRecord {
    pub reference: ImageReference,
    pub manifest: Descriptor,
    /// RFC 3339, given by the caller.
    pub made_at: String,
    /// What it was built on, if we built it.
    pub base: Option<BaseRecord>,
    /// Bottom to top, parallel to the manifest's layers; empty if nothing is known.
    pub layers: Vec<LayerRecord>,
    /// Why it was built or pulled, in words.
    pub reason: Option<String>,
}
/// `remote/<ref>.json`: what a registry last said of a reference.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct RemoteRecord {
    pub reference: ImageReference,
    /// The digest that the tag names: of the index if there is one, else of the manifest.
    pub digest: Digest,
    /// The manifest for our platform.
    pub manifest: Descriptor,
    /// Its layers, bottom first (compressed descriptors) as of then.
    pub layers: Vec<Descriptor>,
    /// When the registry was last asked, RFC 3339.
    pub checked_at: String,
}

impl BlobStore {
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        todo!()
    }
    pub fn root(&self) -> &Path {
        todo!()
    }
    pub fn share(&self) -> Result<SharedLock, StoreError> {
        todo!()
    }
    /// Waits at most `wait`.
    pub fn exclusive(&self, wait: Duration) -> Result<ExclusiveLock, StoreError> {
        todo!()
    }
    /// Present with the right size.
    pub fn has(&self, blob: &Descriptor) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn read(&self, blob: &Descriptor) -> Result<VerifiedReader, StoreError> {
        todo!()
    }
    /// Whole blob in memory, refused above `limit` bytes.
    pub fn read_bytes(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, StoreError> {
        todo!()
    }
    pub fn write_bytes(
        &self,
        lock: &SharedLock,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Descriptor, StoreError> {
        todo!()
    }
    pub fn writer(&self, lock: &SharedLock) -> Result<BlobWriter, StoreError> {
        todo!()
    }
    /// Waits while another process fetches the same blob, then says `Present`.
    pub fn ingest(&self, lock: &SharedLock, blob: &Descriptor) -> Result<Ingest, StoreError> {
        todo!()
    }

    /// Image whose manifest is in the store (size looked up).
    pub fn image(&self, manifest: &Digest) -> Result<Image, StoreError> {
        todo!()
    }
    /// The manifest's blob as descriptor, if present.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Raw<Manifest>>, StoreError> {
        todo!()
    }
    pub fn config(&self, manifest: &Raw<Manifest>) -> Result<Raw<ImageConfig>, StoreError> {
        todo!()
    }
    /// Decompressed tar of a layer (gzip, zstd, none: by content, not by media type); verifies blob digest AND diff_id at the end; bounded.
    pub fn layer_tar(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, StoreError> {
        todo!()
    }
    /// The layer's own path index: from `trees/`, or made (and kept) by inflating the layer once.
    pub fn layer_index(
        &self,
        lock: &SharedLock,
        layer: &Layer,
    ) -> Result<layer::PathIndex, StoreError> {
        todo!()
    }
    /// The merged index of an image's filesystem; cached by chain id.
    pub fn image_index(
        &self,
        lock: &SharedLock,
        image: &Image,
    ) -> Result<layer::PathIndex, StoreError> {
        todo!()
    }

    pub fn kept_layer(&self, key: &LayerKey) -> Result<Option<KeptLayer>, StoreError> {
        todo!()
    }
    pub fn keep_layer(
        &self,
        lock: &SharedLock,
        key: &LayerKey,
        kept: &KeptLayer,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// Names an image: writes images/<ref>.json and index.json.
    pub fn tag(&self, lock: &SharedLock, record: &ImageRecord) -> Result<(), StoreError> {
        todo!()
    }
    pub fn tagged(&self, reference: &ImageReference) -> Result<Option<ImageRecord>, StoreError> {
        todo!()
    }
    pub fn tags(&self) -> Result<Vec<ImageRecord>, StoreError> {
        todo!()
    }
    pub fn untag(&self, lock: &SharedLock, reference: &ImageReference) -> Result<bool, StoreError> {
        todo!()
    }

    pub fn remember_remote(
        &self,
        lock: &SharedLock,
        record: &RemoteRecord,
    ) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remote(&self, reference: &ImageReference) -> Result<Option<RemoteRecord>, StoreError> {
        todo!()
    }

    /// engines/<id>.json: free-form per-engine memory, atomic, versioned by the caller.
    pub fn engine_memory(&self, engine: &str) -> Result<Option<serde_json::Value>, StoreError> {
        todo!()
    }
    pub fn remember_engine(
        &self,
        lock: &SharedLock,
        engine: &str,
        memory: &serde_json::Value,
    ) -> Result<(), StoreError> {
        todo!()
    }
}

impl BlobWriter {
    /// Verifies nothing (the digest is what was written), fsyncs, renames, fsyncs the directory.
    pub fn commit(self, media_type: &str) -> Result<Descriptor, StoreError> {
        todo!()
    }
}
impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        todo!()
    }
    fn flush(&mut self) -> std::io::Result<()> {
        todo!()
    }
}
impl PartWriter {
    /// Bytes already here, re-hashed just now.
    pub fn position(&self) -> u64 {
        todo!()
    }
    /// Throws away what is here (the registry ignored `Range`).
    pub fn restart(&mut self) -> Result<(), StoreError> {
        todo!()
    }
    /// Refuses more bytes than the descriptor says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        todo!()
    }
    /// Size and digest are checked; on a mismatch the part is removed.
    pub fn commit(self) -> Result<(), StoreError> {
        todo!()
    }
}
impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        todo!()
    }
}
