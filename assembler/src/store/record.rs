//! Records: small JSON files that say what blobs are and what was done with them.
//!
//! Invariant: a record is replaced as a whole, carries its version and its checksum, and is never the only copy of anything that cannot be
//! made again, except for the names of images. One that cannot be read counts as absent and is set aside.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{BlobStore, DockerfileRecord, Doing, SharedLock, StoreError, name, notice::aside_of};
use crate::{
    descriptor::Descriptor,
    digest::{DiffId, Digest, LayerKey},
    image::Layer,
    provenance::{BaseRecord, LayerRecord},
    reference::ImageReference,
};

const VERSION: u64 = 2;
/// Records of this version have no sum; they are still read.
const WITHOUT_SUM: u64 = 1;
/// The largest record that is read; an image of 127 layers needs some 60 KiB.
const RECORD_LIMIT: u64 = 16 << 20;
/// The key of a record's own checksum.
const SUM: &str = "sum";
/// What a record's name ends in after it could not be read.
pub(super) const DAMAGED: &str = "damaged";

/// A layer as a step gave it, kept under its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLayer {
    /// The blob.
    pub layer: Descriptor,
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// The size of its uncompressed tar.
    pub uncompressed_size: u64,
    /// How it came to be.
    pub record: LayerRecord,
}

/// An image of ours, built or pulled, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The name.
    pub reference: ImageReference,
    /// The image.
    pub manifest: Descriptor,
    /// When it was built or pulled, RFC 3339; given by the caller.
    pub made_at: String,
    /// What it was built on, if we built it.
    pub base: Option<BaseRecord>,
    /// Bottom to top, parallel to the manifest's layers; empty if nothing is known.
    pub layers: Vec<LayerRecord>,
    /// Why it was built or pulled, in words.
    pub reason: Option<String>,
    /// What was put together in it, where that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// What its Dockerfiles were built with, in the order of its steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dockerfiles: Vec<DockerfileRecord>,
    /// The clamp of times (`SOURCE_DATE_EPOCH`) that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date: Option<i64>,
}

/// What an agent's image was put together of, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The agent.
    pub agent: String,
    /// The base.
    pub base: String,
    /// The extensions, in the order in which they were added.
    #[serde(default)]
    pub extensions: Vec<String>,
}

/// What a registry last said of a reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRecord {
    /// What was asked for.
    pub reference: ImageReference,
    /// The digest that the tag names: of the index if there is one, else of the manifest.
    pub digest: Digest,
    /// The manifest for our platform.
    pub manifest: Descriptor,
    /// Its layers, bottom first (compressed descriptors) as of then.
    pub layers: Vec<Descriptor>,
    /// When the registry was last asked and had it, RFC 3339.
    pub checked_at: String,
    /// When the registry said that it has no such name any more, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<String>,
}

/// What is known of a layer's blob since it was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// The size of its uncompressed tar.
    pub uncompressed_size: u64,
    /// Its media type, as whoever named it first did.
    pub media_type: String,
}

impl BlobStore {
    /// Returns what a step gave the last time, if its blob is still there.
    pub fn kept_layer(&self, key: &LayerKey) -> Result<Option<KeptLayer>, StoreError> {
        let path = self.kept_path(key);
        let Some(kept) = read_record::<KeptLayer>(&path)? else {
            return Ok(None);
        };
        Ok(self.has(&kept.layer)?.then_some(kept))
    }

    /// Has what a step gave count as used now, so that it is kept for longer.
    pub fn use_kept_layer(&self, _lock: &SharedLock, key: &LayerKey) {
        touch(&self.kept_path(key));
    }

    /// Keeps what a step gave under its key.
    pub fn keep_layer(
        &self,
        _lock: &SharedLock,
        key: &LayerKey,
        kept: &KeptLayer,
    ) -> Result<(), StoreError> {
        let facts = LayerFacts {
            diff_id: kept.diff_id,
            uncompressed_size: kept.uncompressed_size,
            media_type: kept.layer.media_type.clone(),
        };
        self.write_record(&self.facts_path(&kept.layer.digest), &facts)?;
        self.write_record(&self.kept_path(key), kept)
    }

    /// Notes what a registry said.
    pub fn remember_remote(
        &self,
        _lock: &SharedLock,
        record: &RemoteRecord,
    ) -> Result<(), StoreError> {
        self.write_record(&self.remote_path(&record.reference), record)
    }

    /// Returns what a registry said last of a reference.
    pub fn remote(&self, reference: &ImageReference) -> Result<Option<RemoteRecord>, StoreError> {
        Ok(read_record::<RemoteRecord>(&self.remote_path(reference))?
            .filter(|record| record.reference == *reference))
    }

    /// Returns what was remembered of an engine; its versions are the engine's own business.
    pub fn engine_memory(&self, engine: &str) -> Result<Option<Value>, StoreError> {
        let memory: Option<EngineMemory> = read_record(&self.engine_path(engine))?;
        Ok(memory
            .filter(|memory| memory.engine == engine)
            .map(|memory| memory.memory))
    }

    /// Remembers something of an engine in place of what was remembered before.
    pub fn remember_engine(
        &self,
        _lock: &SharedLock,
        engine: &str,
        memory: &Value,
    ) -> Result<(), StoreError> {
        let record = EngineMemory {
            engine: engine.to_owned(),
            memory: memory.clone(),
        };
        self.write_record(&self.engine_path(engine), &record)
    }

    /// Returns what is known of a layer's blob.
    pub fn facts(&self, blob: &Digest) -> Result<Option<LayerFacts>, StoreError> {
        read_record(&self.facts_path(blob))
    }

    /// Notes what was seen of a layer that was just read to its end. It needs no proof of a lock: facts are true for
    /// as long as digests are.
    pub(crate) fn remember_facts(&self, layer: &Layer, size: u64) -> Result<(), StoreError> {
        let facts = LayerFacts {
            diff_id: layer.diff_id,
            uncompressed_size: size,
            media_type: layer.descriptor.media_type.clone(),
        };
        self.write_record(&self.facts_path(&layer.descriptor.digest), &facts)
    }

    pub(super) fn image_path(&self, reference: &ImageReference) -> PathBuf {
        self.record_path("images", &name::of_word(&reference.to_string()))
    }

    fn remote_path(&self, reference: &ImageReference) -> PathBuf {
        self.record_path("remote", &name::of_word(&reference.to_string()))
    }

    fn engine_path(&self, engine: &str) -> PathBuf {
        self.record_path("engines", &name::of_word(engine))
    }

    fn kept_path(&self, key: &LayerKey) -> PathBuf {
        self.record_path("layers", &name::of_digest(key.digest()))
    }

    pub(super) fn kept_dockerfile_path(&self, key: &LayerKey) -> PathBuf {
        self.record_path("dockerfiles", &name::of_digest(key.digest()))
    }

    fn facts_path(&self, blob: &Digest) -> PathBuf {
        self.record_path("facts", &name::of_digest(blob))
    }

    fn record_path(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join(kind).join(format!("{name}.json"))
    }

    /// Writes a record that can be made anew.
    pub(super) fn write_record<T: Serialize>(
        &self,
        path: &Path,
        record: &T,
    ) -> Result<(), StoreError> {
        self.replace_cached(path, &record_bytes(record))
    }

    /// Writes a record that must outlast a power cut.
    pub(super) fn write_lasting_record<T: Serialize>(
        &self,
        path: &Path,
        record: &T,
    ) -> Result<(), StoreError> {
        self.replace(path, &record_bytes(record))
    }
}

/// Spells a record with its version and sum.
pub(super) fn record_bytes<T: Serialize>(record: &T) -> Vec<u8> {
    let mut value = serde_json::to_value(record).expect("records have text keys only");
    if let Value::Object(fields) = &mut value {
        fields.insert("version".to_owned(), VERSION.into());
    }
    let sum = sum_of(&value);
    if let Value::Object(fields) = &mut value {
        fields.insert(SUM.to_owned(), sum.into());
    }
    let mut bytes = serde_json::to_vec_pretty(&value).expect("a value is always JSON");
    bytes.push(b'\n');
    bytes
}

/// The digest of a record without its sum, in its shortest spelling with sorted keys.
fn sum_of(value: &Value) -> String {
    let bytes = serde_json::to_vec(value).expect("a value is always JSON");
    Digest::of(&bytes).to_string()
}

/// Reads a record; a damaged one is set aside and counts as absent.
pub(super) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match look_at_record(path)? {
        Look::Absent => Ok(None),
        Look::Whole(record) => Ok(Some(record)),
        Look::Damaged => {
            set_aside(path);
            Ok(None)
        }
    }
}

/// Reads a record and changes nothing.
pub(super) fn look_at_record<T: DeserializeOwned>(path: &Path) -> Result<Look<T>, StoreError> {
    let failed = |error| StoreError::io(Doing::Read, path, error);
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.len() <= RECORD_LIMIT && metadata.is_file() => {}
        Ok(_) => return Ok(Look::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Absent),
        Err(error) => return Err(failed(error)),
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Absent),
        Err(error) => return Err(failed(error)),
    };
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        return Ok(Look::Damaged);
    };
    let Some(fields) = value.as_object_mut() else {
        return Ok(Look::Damaged);
    };
    let sum = fields.remove(SUM);
    let version = fields.get("version").and_then(Value::as_u64);
    let is_whole = match version {
        Some(WITHOUT_SUM) => sum.is_none(),
        _ => sum.as_ref().and_then(Value::as_str) == Some(&sum_of(&value)),
    };
    if let Value::Object(fields) = &mut value {
        fields.remove("version");
    }
    match version {
        Some(version) if version > VERSION => Err(StoreError::Newer {
            path: path.to_owned(),
            version,
            known: VERSION,
        }),
        Some(_) if is_whole => Ok(serde_json::from_value(value).map_or(Look::Damaged, Look::Whole)),
        _ => Ok(Look::Damaged),
    }
}

/// What a look at a record found.
pub(super) enum Look<T> {
    Absent,
    Damaged,
    Whole(T),
}

#[derive(Serialize, Deserialize)]
struct EngineMemory {
    engine: String,
    memory: Value,
}

/// Moves a damaged file out of the way, where that is possible; it counts as absent in any case.
pub(super) fn set_aside(path: &Path) {
    drop(fs::rename(path, aside_of(path)));
}

/// Marks a record as used now, by the file system's own clock; where that is refused, it only ages faster.
pub(super) fn touch(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap_or_default();
}
