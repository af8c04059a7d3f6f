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
    let remote = match upstream(store, &input)? {
        Found::Remote(remote) => Some(*remote),
        Found::Local => {
            input.upstream = BaseState::Local;
            None
        }
        Found::Nothing => None,
    };
    if let Some(remote) = &remote {
        input.upstream = match &remote.gone_at {
            Some(checked_at) => BaseState::Gone { checked_at },
            None => BaseState::Offered(remote),
        };
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

/// What the store knows of where an image's lowest layers came from.
enum Found {
    /// A registry, which said this last.
    Remote(Box<RemoteRecord>),
    /// No registry: a file, or an engine.
    Local,
    /// Nothing.
    Nothing,
}

/// The most images that are followed from one to what it was built on.
const STACK_LIMIT: usize = 8;

/// Finds what a registry said last: of the base, or of the image itself where that is what was pulled. A base that was
/// assembled here is followed to what it was built on.
fn upstream(store: &BlobStore, input: &InspectInput<'_>) -> Result<Found, StoreError> {
    if let Some(record) = input.record
        && record.base.is_none()
        && let Some(remote) = store.remote(&record.reference)?
    {
        return Ok(Found::Remote(Box::new(remote)));
    }
    let mut name = match super::base_of(input) {
        Some((base, _digest)) => base,
        // Where an image was found says nothing of where it was made.
        None if is_no_registry(input.reference) => return Ok(Found::Nothing),
        None => input.reference.to_owned(),
    };
    for _ in 0..STACK_LIMIT {
        if is_no_registry(&name) {
            return Ok(Found::Local);
        }
        let Ok(reference) = name.parse::<ImageReference>() else {
            return Ok(Found::Nothing);
        };
        if let Some(remote) = store.remote(&reference)? {
            return Ok(Found::Remote(Box::new(remote)));
        }
        match store.tagged(&reference)?.and_then(|record| record.base) {
            Some(below) => name = below.reference,
            None => return Ok(Found::Nothing),
        }
    }
    Ok(Found::Nothing)
}

/// Tells whether a base's name is of a kind that no registry gives.
fn is_no_registry(name: &str) -> bool {
    name.starts_with("docker-daemon:") || crate::transport::Source::parse(name).is_some()
}
