//! What the store still needs: the closure of the names, of what their images were built on, and of kept layers.
//!
//! Invariant: marking only reads, and when in doubt it marks.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    BlobStore, ImageRecord, StoreError,
    record::{Look, look_at_record},
    tree::chains,
};
use crate::{
    descriptor::Descriptor,
    digest::{ChainId, DiffId, Digest},
    image::Image,
};

/// What is needed.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) diff_ids: BTreeSet<DiffId>,
    pub(super) chains: BTreeSet<ChainId>,
}

impl Marked {
    fn image(&mut self, image: &Image) {
        self.diff_ids.extend(image.diff_ids());
        self.chains.extend(chains(image.diff_ids()));
        self.blobs.extend(blobs_of(image).map(|blob| blob.digest));
    }
}

/// Returns the config and the layers of an image.
pub(super) fn blobs_of(image: &Image) -> impl Iterator<Item = &Descriptor> {
    let manifest = image.manifest().value();
    std::iter::once(&manifest.config).chain(&manifest.layers)
}

impl BlobStore {
    /// Marks what these manifests need.
    pub(super) fn mark(&self, manifests: &BTreeSet<Digest>) -> Result<Marked, StoreError> {
        let mut marked = Marked::default();
        for digest in manifests {
            marked.blobs.insert(*digest);
            match self.image(digest) {
                Ok(image) => marked.image(&image),
                Err(error @ (StoreError::Io { .. } | StoreError::Full { .. })) => {
                    return Err(error);
                }
                // Without its config, or with a damaged one, an image is broken, but what its manifest names may be
                // all that is left of it. A manifest that cannot be read names nothing; verifying says so.
                Err(_) => {
                    if let Ok(Some(manifest)) = self.manifest(digest) {
                        let layers = manifest.value().layers.iter();
                        marked.blobs.extend(layers.map(|layer| layer.digest));
                        marked.blobs.insert(manifest.value().config.digest);
                    }
                }
            }
        }
        Ok(marked)
    }

    /// Marks a manifest and its config, and none of its layers.
    pub(super) fn mark_documents(
        &self,
        manifest: &Digest,
        marked: &mut Marked,
    ) -> Result<(), StoreError> {
        marked.blobs.insert(*manifest);
        match self.manifest(manifest) {
            Ok(found) => {
                let config = found.map(|manifest| manifest.value().config.digest);
                marked.blobs.extend(config);
                Ok(())
            }
            Err(error @ (StoreError::Io { .. } | StoreError::Full { .. })) => Err(error),
            // One that cannot be read names nothing; verifying says so.
            Err(_) => Ok(()),
        }
    }

    /// Returns the manifests that names need: of the images and of what they were built on.
    pub(super) fn roots(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let records = self.tags()?;
        let bases = records
            .iter()
            .filter_map(|record| record.base.as_ref().map(|base| base.digest));
        let mut roots: BTreeSet<Digest> = bases.collect();
        roots.extend(records.iter().map(|record| record.manifest.digest));
        Ok(roots)
    }

    /// Returns every name with its image, as far as they can be read.
    pub(super) fn named_images(
        &self,
    ) -> Result<BTreeMap<String, (ImageRecord, Image)>, StoreError> {
        let mut images = BTreeMap::new();
        for path in self.list("images")? {
            if let Look::Whole(record) = look_at_record::<ImageRecord>(&path)?
                && let Ok(image) = self.image(&record.manifest.digest)
            {
                images.insert(record.reference.familiar(), (record, image));
            }
        }
        Ok(images)
    }
}
