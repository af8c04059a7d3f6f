//! Images in the store: manifest and config, read and joined.

use super::{BlobStore, StoreError};
use crate::{
    digest::Digest,
    image::Image,
    manifest::{CONFIG_LIMIT, ImageConfig, MANIFEST_LIMIT, Manifest, Raw},
};

impl BlobStore {
    /// Returns the image of a manifest; its layers need not be here.
    pub fn image(&self, manifest: &Digest) -> Result<Image, StoreError> {
        let manifest = self
            .manifest(manifest)?
            .ok_or(StoreError::Missing { digest: *manifest })?;
        let config = self.config(&manifest)?;
        Ok(Image::new(manifest, config)?)
    }

    /// Returns a manifest, if it is here.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Raw<Manifest>>, StoreError> {
        match self.read_found(digest, MANIFEST_LIMIT) {
            Ok(bytes) => Ok(Some(Raw::<Manifest>::read(bytes)?)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the config of an image.
    pub fn config(&self, manifest: &Raw<Manifest>) -> Result<Raw<ImageConfig>, StoreError> {
        let bytes = self.read_bytes(&manifest.value().config, CONFIG_LIMIT)?;
        Ok(Raw::<ImageConfig>::read(bytes)?)
    }
}
