//! What is known of an image's layers: where each came from, how it came to be here, and whether that is still current.
//!
//! Invariant: a claim has a source, tried in this order: our record of the image, the label that travels with it, an image
//! in the store whose layers are the lowest of this one. Where none speaks, the answer is `unknown`; history lines are only
//! a hint for people. Making a report reads no layer.

mod files;
mod gather;
mod origin;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::{
    files::{Cause, ChangeRow, FileKind, FileRow, WhyRow, diff, files, layer_files, why},
    gather::inspect,
    origin::contributors,
};

use self::origin::origins;
use crate::{
    digest::{DiffId, Digest},
    image::Image,
    provenance::{BaseRecord, How, LayerRecord, Origin},
    store::{ImageRecord, RemoteRecord},
};

/// Names the shape of [`InspectReport`] as JSON.
pub const SCHEMA: &str = "aicage.image.inspect/1";

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What was asked for.
    pub reference: String,
    /// The manifest's digest.
    pub digest: Digest,
    /// What the image is for.
    pub platform: InspectPlatform,
    /// What it was built on.
    pub base: Option<InspectBase>,
    /// Why it was built or pulled, in words, if it is one of ours; not a property of the schema.
    #[serde(skip)]
    pub reason: Option<String>,
    /// Bottom to top.
    pub layers: Vec<InspectLayer>,
}

/// What an image is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectPlatform {
    /// Operating system.
    pub os: String,
    /// Architecture.
    pub architecture: String,
}

/// What an image was built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectBase {
    /// The name it was resolved from.
    pub reference: String,
    /// Its manifest's digest, where anybody said.
    pub digest: Option<Digest>,
    /// When its registry was last asked, RFC 3339.
    pub checked_at: Option<String>,
}

/// What is known of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectLayer {
    /// Its position, from 0 at the bottom.
    pub index: usize,
    /// The digest of its blob.
    pub digest: Digest,
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// The size of its blob.
    pub size: u64,
    /// Its blob's media type.
    pub media_type: String,
    /// Who contributed it.
    pub origin: InspectOrigin,
    /// The script directory that made it.
    pub script: Option<InspectScript>,
    /// When it was made or fetched, RFC 3339; of a foreign layer, what its history says.
    pub made_at: Option<String>,
    /// How it came to be here.
    pub how: How,
    /// Whether its registry still has it in that place.
    pub upstream: Upstream,
    /// What the image's history says of it; only for people.
    #[serde(skip)]
    pub history: Option<String>,
}

/// Who contributed a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectOrigin {
    /// Which part of an image it is.
    pub kind: crate::provenance::Kind,
    /// Which one; empty when unknown.
    pub id: String,
    /// Its version, where it has one.
    pub version: Option<String>,
}

/// The script directory that made a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectScript {
    /// Its digest, in hexadecimal.
    pub sha256: String,
}

/// How a layer relates to what its registry offers now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Upstream {
    /// The registry still offers it in this place.
    Current,
    /// The registry offers something else in this place.
    Superseded,
    /// The registry no longer has the name.
    Gone,
    /// It was made on this machine.
    Local,
    /// Nobody asked.
    Unknown,
}

/// What a registry last said of what an image was built on.
#[derive(Debug, Clone, Copy)]
pub enum BaseState<'a> {
    /// What it offers.
    Offered(&'a RemoteRecord),
    /// That it no longer has the name.
    Gone {
        /// When, RFC 3339.
        checked_at: &'a str,
    },
    /// It never came from a registry.
    Local,
    /// Nothing: it was never asked.
    Unknown,
}

/// What a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct InspectInput<'a> {
    /// What was asked for.
    pub reference: &'a str,
    /// The image.
    pub image: &'a Image,
    /// Our record of it, if it is one of ours.
    pub record: Option<&'a ImageRecord>,
    /// What the registry last said of its base; of an image without base, of itself.
    pub upstream: BaseState<'a>,
    /// Other images of the store.
    pub known: &'a [KnownImage],
}

/// An image of the store as something that others may be built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownImage {
    /// Its name.
    pub reference: String,
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its layers.
    pub diff_ids: Vec<DiffId>,
    /// What is known of them; as many, or none.
    pub records: Vec<LayerRecord>,
}

/// Makes the report.
pub fn report(input: &InspectInput<'_>) -> InspectReport {
    let image = input.image;
    let base = base_of(input);
    let checked_at = match input.upstream {
        BaseState::Offered(record) => Some(record.checked_at.clone()),
        BaseState::Gone { checked_at } => Some(checked_at.to_owned()),
        BaseState::Local | BaseState::Unknown => None,
    };
    let judge = Judge::new(input);
    let history = origin::history(image);
    let origins = origins(input);
    let layers = image
        .layers()
        .iter()
        .zip(origins)
        .enumerate()
        .map(|(index, (layer, known))| {
            let line = history.get(index).copied();
            InspectLayer {
                index,
                digest: layer.descriptor.digest,
                diff_id: layer.diff_id,
                size: layer.descriptor.size,
                media_type: layer.descriptor.media_type.clone(),
                upstream: judge.upstream(index, known.how),
                origin: known.origin.into(),
                script: known.script.map(|script| InspectScript {
                    sha256: script.hex(),
                }),
                made_at: known
                    .made_at
                    .or_else(|| line.and_then(|line| line.created.clone())),
                how: known.how,
                history: line.and_then(|line| line.created_by.clone().or(line.comment.clone())),
            }
        })
        .collect();
    let platform = image.platform();
    InspectReport {
        schema: SCHEMA,
        reference: input.reference.to_owned(),
        digest: *image.digest(),
        platform: InspectPlatform {
            os: platform.os,
            architecture: platform.architecture,
        },
        base: base.map(|(reference, digest)| InspectBase {
            reference,
            digest,
            checked_at,
        }),
        reason: input.record.and_then(|record| record.reason.clone()),
        layers,
    }
}

/// Returns what an image was built on: by our record, by its label, by its annotations, or by the layers it shares.
fn base_of(input: &InspectInput<'_>) -> Option<(String, Option<Digest>)> {
    let said = |base: &BaseRecord| (base.reference.clone(), Some(base.digest));
    if let Some(base) = input.record.and_then(|record| record.base.as_ref()) {
        return Some(said(base));
    }
    claimed_base(input.image).or_else(|| {
        origin::known_below(input)
            .max_by_key(|known| known.diff_ids.len())
            .map(|known| (known.reference.clone(), Some(known.digest)))
    })
}

/// Returns the base that an image names itself.
fn claimed_base(image: &Image) -> Option<(String, Option<Digest>)> {
    use crate::provenance::{BASE_DIGEST, BASE_NAME};
    if let Some(base) = origin::label(image).and_then(|label| label.base) {
        return Some((base.reference, Some(base.digest)));
    }
    let labels = &image.config().value().config.labels;
    let annotations = &image.manifest().value().annotations;
    [annotations, labels].into_iter().find_map(|map| {
        let digest = map.get(BASE_DIGEST).and_then(|text| text.parse().ok());
        Some((map.get(BASE_NAME)?.clone(), digest))
    })
}

/// Judges layers against what the registry offers.
struct Judge<'a> {
    input: &'a InspectInput<'a>,
    /// Whether a difference means that the registry moved on. In an image that came through an engine it may also mean
    /// that the engine compressed the layer anew.
    comparable: bool,
    /// Whether the registry was asked for this very image and not for its base.
    whole: bool,
}

impl<'a> Judge<'a> {
    fn new(input: &'a InspectInput<'a>) -> Self {
        let whole = match (input.record, input.upstream) {
            (Some(record), BaseState::Offered(remote)) => {
                record.base.is_none() && record.reference == remote.reference
            }
            _ => false,
        };
        let mut judge = Self {
            input,
            comparable: true,
            whole,
        };
        judge.comparable = input.record.is_some() || judge.same(0) == Some(true);
        judge
    }

    fn upstream(&self, index: usize, how: How) -> Upstream {
        if how != How::Pulled {
            return Upstream::Local;
        }
        match (self.input.upstream, self.same(index)) {
            (BaseState::Local, _) => Upstream::Local,
            (BaseState::Gone { .. }, _) => Upstream::Gone,
            (BaseState::Offered(_), Some(true)) => Upstream::Current,
            (BaseState::Offered(_), Some(false)) if self.comparable => Upstream::Superseded,
            _ => Upstream::Unknown,
        }
    }

    /// Tells whether the registry offers this image's layer in this place.
    fn same(&self, index: usize) -> Option<bool> {
        let BaseState::Offered(record) = self.input.upstream else {
            return None;
        };
        let layer = self.input.image.layers().get(index)?;
        match record.layers.get(index) {
            Some(offered) => Some(offered.digest == layer.descriptor.digest),
            // What a base does not have may be the image's own; what the name itself no longer has is superseded.
            None => self.whole.then_some(false),
        }
    }
}

impl From<Origin> for InspectOrigin {
    fn from(origin: Origin) -> Self {
        Self {
            kind: origin.kind,
            id: origin.id,
            version: origin.version,
        }
    }
}
