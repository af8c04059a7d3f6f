//! Who contributed each layer, as far as anybody knows.

use std::collections::BTreeMap;

use super::{InspectInput, KnownImage};
use crate::{
    digest::Digest,
    image::Image,
    manifest::History,
    provenance::{How, Kind, LayerRecord, Origin, PROVENANCE_LABEL, Provenance},
};

/// What is known of where a layer came from.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) origin: Origin,
    pub(super) script: Option<Digest>,
    pub(super) how: How,
    pub(super) made_at: Option<String>,
}

impl From<&LayerRecord> for Known {
    fn from(record: &LayerRecord) -> Self {
        Self {
            origin: record.origin.clone(),
            script: record.script,
            how: record.how,
            made_at: Some(record.made_at.clone()),
        }
    }
}

/// Returns what is known of each layer, bottom first.
pub(super) fn origins(input: &InspectInput<'_>) -> Vec<Known> {
    let label = label(input.image);
    let count = input.image.layers().len();
    let records = input
        .record
        .map(|record| record.layers.as_slice())
        .filter(|records| records.len() == count)
        .unwrap_or_default();
    input
        .image
        .diff_ids()
        .iter()
        .enumerate()
        .map(|(index, diff_id)| {
            let record = records.get(index);
            if let Some(record) = record.filter(|record| record.origin.kind != Kind::Unknown) {
                return Known::from(record);
            }
            let mut known = record.map_or_else(unknown, Known::from);
            let said = label.as_ref().and_then(|label| label.layers.get(diff_id));
            if let Some(said) = said {
                known.origin = said.origin.clone();
                known.script = said.script;
            } else if let Some(below) = lowest_with(input, index) {
                // The image that brought the layer knows it best; how it came here is another matter.
                match below.records.get(index) {
                    Some(record) => known = Known::from(record),
                    None => known.origin = named(below),
                }
            }
            known
        })
        .collect()
}

fn unknown() -> Known {
    Known {
        origin: Origin {
            kind: Kind::Unknown,
            id: String::new(),
            version: None,
        },
        script: None,
        how: How::Pulled,
        made_at: None,
    }
}

/// A layer that a known image brings without saying more is that image's.
fn named(image: &KnownImage) -> Origin {
    Origin {
        kind: Kind::Base,
        id: image.reference.clone(),
        version: None,
    }
}

/// Returns the images of the store that this one is built on.
pub(super) fn known_below<'a>(
    input: &'a InspectInput<'a>,
) -> impl Iterator<Item = &'a KnownImage> + 'a {
    let ours = input.image.diff_ids();
    input.known.iter().filter(move |known| {
        !known.diff_ids.is_empty()
            && known.diff_ids.len() < ours.len()
            && ours.starts_with(&known.diff_ids)
    })
}

/// Returns the smallest known image that has this layer.
fn lowest_with<'a>(input: &'a InspectInput<'a>, index: usize) -> Option<&'a KnownImage> {
    known_below(input)
        .filter(|known| known.diff_ids.len() > index)
        .min_by_key(|known| known.diff_ids.len())
}

/// Returns who contributed each layer, bottom first, as far as the image's own label says; it needs nothing but the image.
pub fn contributors(image: &Image) -> Vec<Option<Origin>> {
    let label = label(image);
    let said = |diff_id| Some(label.as_ref()?.layers.get(diff_id)?.origin.clone());
    image.diff_ids().iter().map(said).collect()
}

/// Returns what the image's own label says, if it can be read.
pub(super) fn label(image: &Image) -> Option<Provenance> {
    let labels: &BTreeMap<String, String> = &image.config().value().config.labels;
    let provenance: Provenance = serde_json::from_str(labels.get(PROVENANCE_LABEL)?).ok()?;
    (provenance.v == 1).then_some(provenance)
}

/// Returns each layer's history line; none at all where there are not as many as layers.
pub(super) fn history(image: &Image) -> Vec<&History> {
    let lines: Vec<&History> = image
        .config()
        .value()
        .history
        .iter()
        .filter(|line| !line.empty_layer)
        .collect();
    if lines.len() == image.layers().len() {
        lines
    } else {
        Vec::new()
    }
}
