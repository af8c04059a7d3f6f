//! Images: a manifest, its config, and layers whose parts are known to agree.
//!
//! Invariant: as many layers as diff ids, checked once when the image is made; an image is never changed, `append` and
//! its like return a new one.

use crate::{
    descriptor::Descriptor,
    digest::{ChainId, DiffId, Digest},
    manifest::{ImageConfig, Manifest, ManifestError, Raw},
    platform::Platform,
};

/// An image whose manifest and config are known; its layers may not be in the store yet.
#[derive(Clone, Debug)]
pub struct Image {
    manifest: Raw<Manifest>,
    config: Raw<ImageConfig>,
    layers: Vec<Layer>,
}

/// A layer: the blob that carries it and the digest of its uncompressed tar.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
}

impl Image {
    /// Joins a manifest with its config.
    pub fn new(manifest: Raw<Manifest>, config: Raw<ImageConfig>) -> Result<Self, ManifestError> {
        let invalid = |reason: String| ManifestError::Invalid {
            what: "manifest",
            digest: *manifest.digest(),
            reason,
        };
        if manifest.value().config.digest != *config.digest() {
            return Err(invalid(format!(
                "it names config {}, but {} was given",
                manifest.value().config.digest,
                config.digest()
            )));
        }
        let blobs = &manifest.value().layers;
        let diff_ids = &config.value().rootfs.diff_ids;
        if blobs.len() != diff_ids.len() {
            return Err(invalid(format!(
                "it has {} layers, but its config has {} diff ids",
                blobs.len(),
                diff_ids.len()
            )));
        }
        let layers = blobs
            .iter()
            .zip(diff_ids)
            .map(|(descriptor, diff_id)| Layer {
                descriptor: descriptor.clone(),
                diff_id: *diff_id,
            })
            .collect();
        Ok(Self {
            manifest,
            config,
            layers,
        })
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Raw<Manifest> {
        &self.manifest
    }

    /// Returns the config.
    pub fn config(&self) -> &Raw<ImageConfig> {
        &self.config
    }

    /// Returns the layers, bottom first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns the manifest's digest, by which the image is known in registries and in our store.
    pub fn digest(&self) -> &Digest {
        self.manifest.digest()
    }

    /// Returns the platform that the config names.
    pub fn platform(&self) -> Platform {
        self.config.value().platform()
    }

    /// Returns the layers' diff ids, bottom first.
    pub fn diff_ids(&self) -> &[DiffId] {
        &self.config.value().rootfs.diff_ids
    }

    /// Returns the chain id of all layers; `None` for an image without any.
    pub fn chain_id(&self) -> Option<ChainId> {
        ChainId::of(self.diff_ids())
    }
}
