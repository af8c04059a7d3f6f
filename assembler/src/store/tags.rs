//! Names of images, and the layout's `index.json` that repeats them for other tools.
//!
//! Invariant: `images/` is the truth; `index.json` is made from it, whole. Names change under a lock on the directory
//! `images`. A record that cannot be read is kept aside, and whoever asked is told that a name was lost.

use std::{collections::BTreeMap, path::Path};

use fs_err as fs;
use serde::Serialize;

use super::{
    BlobStore, Doing, ImageRecord, SharedLock, StoreError,
    notice::{Ear, Notice, aside_of},
    record::{Look, look_at_record},
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
    pub fn tag(&self, _lock: &SharedLock, record: &ImageRecord) -> Result<(), StoreError> {
        if !self.has(&record.manifest)? {
            return Err(StoreError::Missing {
                digest: record.manifest.digest,
            });
        }
        let _guard = self.names_guard()?;
        self.write_lasting_record(&self.image_path(&record.reference), record)?;
        self.write_guarded_index()
    }

    /// Returns the image of a name.
    pub fn tagged(&self, reference: &ImageReference) -> Result<Option<ImageRecord>, StoreError> {
        let record = self.read_name(&self.image_path(reference))?;
        Ok(record.filter(|record| record.reference == *reference))
    }

    /// Returns all images, in the order of their names.
    pub fn tags(&self) -> Result<Vec<ImageRecord>, StoreError> {
        self.names(|path| self.read_name(path))
    }

    /// Returns all images whose records can be read, and changes nothing.
    pub(super) fn whole_names(&self) -> Result<Vec<ImageRecord>, StoreError> {
        self.names(|path| match look_at_record(path)? {
            Look::Whole(record) => Ok(Some(record)),
            Look::Absent | Look::Damaged => Ok(None),
        })
    }

    /// Returns the same of the store below `root`, which need not be there; nothing is made.
    pub fn names_below(root: &Path) -> Result<Vec<ImageRecord>, StoreError> {
        let store = Self {
            root: root.to_owned(),
            ear: Ear::default(),
        };
        store.whole_names()
    }

    fn names(
        &self,
        read: impl Fn(&Path) -> Result<Option<ImageRecord>, StoreError>,
    ) -> Result<Vec<ImageRecord>, StoreError> {
        let mut records = Vec::new();
        for path in self.list("images")? {
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
                && let Some(record) = read(&path)?
            {
                records.push(record);
            }
        }
        records.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(records)
    }

    /// Removes a name; tells whether there was one. The blobs stay until the next prune.
    pub fn untag(
        &self,
        _lock: &SharedLock,
        reference: &ImageReference,
    ) -> Result<bool, StoreError> {
        let path = self.image_path(reference);
        let _guard = self.names_guard()?;
        match fs::remove_file(&path) {
            Ok(()) => {
                self.write_guarded_index()?;
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io(Doing::Remove, &path, error)),
        }
    }

    /// Makes `index.json` from the names.
    pub(super) fn write_index(&self) -> Result<(), StoreError> {
        let _guard = self.names_guard()?;
        self.write_guarded_index()
    }

    /// Two who change names at once would otherwise lose the later one's in `index.json`.
    fn names_guard(&self) -> Result<fs::File, StoreError> {
        let images = self.path("images");
        let guard =
            fs::File::open(&images).map_err(|error| StoreError::io(Doing::Read, &images, error))?;
        guard
            .lock()
            .map_err(|error| StoreError::io(Doing::Lock, &images, error))?;
        Ok(guard)
    }

    fn write_guarded_index(&self) -> Result<(), StoreError> {
        let bytes = self.index_bytes()?;
        let path = self.path("index.json");
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        self.replace(&path, &bytes)
    }

    /// Reads the record of a name; a damaged one is kept aside, told of, and counts as absent.
    fn read_name(&self, path: &Path) -> Result<Option<ImageRecord>, StoreError> {
        match look_at_record(path)? {
            Look::Absent => Ok(None),
            Look::Whole(record) => Ok(Some(record)),
            Look::Damaged => {
                let aside = aside_of(path);
                // Where it cannot be moved, it is told of each time it is met.
                let kept = match fs::rename(path, &aside) {
                    Ok(()) => aside,
                    Err(_) => path.to_owned(),
                };
                self.tell(&Notice::NameLost {
                    record: path.to_owned(),
                    kept,
                });
                Ok(None)
            }
        }
    }

    /// Returns what `index.json` should be.
    pub(super) fn index_bytes(&self) -> Result<Vec<u8>, StoreError> {
        let manifests = self.whole_names()?.iter().map(entry).collect();
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
