//! Records of Dockerfiles: what one gave, kept under its step's key, and what an image's were built with.
//!
//! Invariant: a record is returned only while the documents and the layers that it speaks of are there. The layers of
//! stages that were only copied from need not be: with the record nobody asks for them again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    BlobStore, KeptLayer, SharedLock, StoreError,
    record::{read_record, touch},
};
use crate::{
    digest::{Digest, LayerKey},
    image::Image,
    provenance::Origin,
};

/// What a Dockerfile gave, kept under its step's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDockerfile {
    /// The manifest of the image after the step.
    pub image: Digest,
    /// Whether the image below the step is in it; else another one took its place.
    pub on_image_so_far: bool,
    /// Its own layers, bottom first; they are the topmost of the image's.
    pub layers: Vec<KeptLayer>,
}

/// What a Dockerfile of an image was built with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerfileRecord {
    /// Whose it is.
    pub origin: Origin,
    /// The digest of its text, its arguments and its build context.
    pub digest: Digest,
    /// The manifests of the images that it names, by the names that it gives them.
    #[serde(default)]
    pub images: BTreeMap<String, Digest>,
    /// The key under which what it gave is kept.
    pub key: LayerKey,
}

impl BlobStore {
    /// Returns what a Dockerfile gave the last time and the image after it, if all of that is still there.
    pub fn kept_dockerfile(
        &self,
        key: &LayerKey,
    ) -> Result<Option<(KeptDockerfile, Image)>, StoreError> {
        let Some(kept) = read_record::<KeptDockerfile>(&self.kept_dockerfile_path(key))? else {
            return Ok(None);
        };
        let image = match self.image(&kept.image) {
            Ok(image) => image,
            Err(error @ (StoreError::Io { .. } | StoreError::Full { .. })) => return Err(error),
            Err(_) => return Ok(None),
        };
        // What is below is whoever's who put it there; what is there instead of it came with the Dockerfile.
        let own = if kept.on_image_so_far {
            kept.layers.len()
        } else {
            image.layers().len()
        };
        for layer in image.layers().iter().rev().take(own) {
            if !self.has(&layer.descriptor)? {
                return Ok(None);
            }
        }
        Ok(Some((kept, image)))
    }

    /// Keeps what a Dockerfile gave; the documents of its image are in the store.
    pub fn keep_dockerfile(
        &self,
        _lock: &SharedLock,
        key: &LayerKey,
        kept: &KeptDockerfile,
    ) -> Result<(), StoreError> {
        self.write_record(&self.kept_dockerfile_path(key), kept)
    }

    /// Has what a Dockerfile gave count as used now, its layers too, so that they are kept for longer.
    pub fn use_kept_dockerfile(&self, lock: &SharedLock, key: &LayerKey, kept: &KeptDockerfile) {
        touch(&self.kept_dockerfile_path(key));
        for key in kept.layers.iter().filter_map(|layer| layer.record.key) {
            self.use_kept_layer(lock, &key);
        }
    }
}
