//! Collects from the store what a report is made of.

use super::{BaseState, InspectInput, InspectReport, KnownImage, report};
use crate::{
    image::Image,
    provenance::Kind,
    reference::ImageReference,
    store::{BlobStore, ImageRecord, RemoteRecord, StoreError},
};

/// Makes the report of an image with all that the store knows; `record` is ours of it, if it is one of ours.
///
/// It reads manifests, configs and records, never a layer.
pub fn inspect(
    store: &BlobStore,
    reference: &str,
    image: &Image,
    record: Option<&ImageRecord>,
) -> Result<InspectReport, StoreError> {
    let known = if settled(image, record) {
        Vec::new()
    } else {
        known_images(store, image)?
    };
    let mut input = InspectInput {
        reference,
        image,
        record,
        upstream: BaseState::Unknown,
        known: &known,
    };
    let remote = remote(store, &input)?;
    if let Some(remote) = &remote {
        input.upstream = BaseState::Offered(remote);
    }
    Ok(report(&input))
}

/// Tells whether our record alone says all, so that other images need not be looked at.
fn settled(image: &Image, record: Option<&ImageRecord>) -> bool {
    record.is_some_and(|record| {
        record.base.is_some()
            && record.layers.len() == image.layers().len()
            && record
                .layers
                .iter()
                .all(|layer| layer.origin.kind != Kind::Unknown)
    })
}

/// Images that cannot be read explain nothing and are passed over.
fn known_images(store: &BlobStore, image: &Image) -> Result<Vec<KnownImage>, StoreError> {
    let mut known = Vec::new();
    for record in store.tags()? {
        if record.manifest.digest == *image.digest() {
            continue;
        }
        if let Ok(other) = store.image(&record.manifest.digest) {
            let records = if record.layers.len() == other.layers().len() {
                record.layers
            } else {
                Vec::new()
            };
            known.push(KnownImage {
                reference: record.reference.familiar(),
                digest: *other.digest(),
                diff_ids: other.diff_ids().to_vec(),
                records,
            });
        }
    }
    Ok(known)
}

/// Finds what a registry said last: of the base, or of the image itself where that is what was pulled.
fn remote(store: &BlobStore, input: &InspectInput<'_>) -> Result<Option<RemoteRecord>, StoreError> {
    if let Some(record) = input.record
        && record.base.is_none()
        && let Some(remote) = store.remote(&record.reference)?
    {
        return Ok(Some(remote));
    }
    let base = super::base_of(input).and_then(|(reference, _digest)| reference.parse().ok());
    let name: Option<ImageReference> = base.or_else(|| input.reference.parse().ok());
    match name {
        Some(name) => store.remote(&name),
        None => Ok(None),
    }
}
