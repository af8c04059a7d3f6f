//! Names of images, and the layout's `index.json` that repeats them for other tools.
//!
//! Invariant: `images/` is the truth; `index.json` is made from it, whole, under a lock on the directory `images`.

use std::collections::BTreeMap;

use fs_err as fs;
use serde::Serialize;

use super::{
    BlobStore, Doing, ImageRecord, SharedLock, StoreError,
    record::{Look, look_at_record, read_record},
};
use crate::{
    descriptor::{Descriptor, media_type},
    reference::ImageReference,
};

/// The annotation by which a layout's users find an image.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which containerd names an image.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexFile {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

impl BlobStore {
    /// Names an image, in place of what had the name before.
    pub fn tag(&self, lock: &SharedLock, record: &ImageRecord) -> Result<(), StoreError> {
        if !self.has(&record.manifest)? {
            return Err(StoreError::Missing {
                digest: record.manifest.digest,
            });
        }
        self.write_lasting_record(&self.image_path(&record.reference), record)?;
        self.write_index(lock)
    }

    /// Returns the image of a name.
    pub fn tagged(&self, reference: &ImageReference) -> Result<Option<ImageRecord>, StoreError> {
        Ok(read_record::<ImageRecord>(&self.image_path(reference))?
            .filter(|record| record.reference == *reference))
    }

    /// Returns all images, in the order of their names.
    pub fn tags(&self) -> Result<Vec<ImageRecord>, StoreError> {
        let mut records = Vec::new();
        for path in self.list("images")? {
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
                && let Look::Whole(record) = look_at_record::<ImageRecord>(&path)?
            {
                records.push(record);
            }
        }
        records.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(records)
    }

    /// Removes a name; tells whether there was one. The blobs stay until the next prune.
    pub fn untag(&self, lock: &SharedLock, reference: &ImageReference) -> Result<bool, StoreError> {
        let path = self.image_path(reference);
        match fs::remove_file(&path) {
            Ok(()) => {
                self.write_index(lock)?;
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io(Doing::Remove, &path, error)),
        }
    }

    /// Makes `index.json` from the names. Two who do it at once would otherwise lose the later one's name.
    pub(super) fn write_index(&self, _lock: &SharedLock) -> Result<(), StoreError> {
        let images = self.path("images");
        let guard =
            fs::File::open(&images).map_err(|error| StoreError::io(Doing::Read, &images, error))?;
        guard
            .lock()
            .map_err(|error| StoreError::io(Doing::Lock, &images, error))?;
        let bytes = self.index_bytes()?;
        let path = self.path("index.json");
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        self.replace(&path, &bytes)
    }

    /// Returns what `index.json` should be.
    pub(super) fn index_bytes(&self) -> Result<Vec<u8>, StoreError> {
        let manifests = self.tags()?.iter().map(entry).collect();
        let index = IndexFile {
            schema_version: 2,
            media_type: media_type::OCI_INDEX,
            manifests,
        };
        Ok(serde_json::to_vec(&index).expect("descriptors have text keys only"))
    }
}

fn entry(record: &ImageRecord) -> Descriptor {
    let mut media_type = record.manifest.media_type.as_str();
    if media_type.is_empty() {
        media_type = media_type::OCI_MANIFEST;
    }
    Descriptor {
        media_type: media_type.to_owned(),
        digest: record.manifest.digest,
        size: record.manifest.size,
        annotations: BTreeMap::from([
            (CONTAINERD_NAME.to_owned(), record.reference.to_string()),
            (REF_NAME.to_owned(), record.reference.familiar()),
        ]),
    }
}
