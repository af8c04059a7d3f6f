//! Reading what `docker save` writes: the old shape with a directory a layer, and the new one with an OCI layout beside.
//!
//! Its layers have no digest of their own, so every one is unpacked to see that it is what the config names.

use std::io::{self, BufRead as _, BufReader};

use serde::Deserialize;
use serde_json::json;

use super::{
    Importer, TransportError,
    layer_blob::{StoredLayer, store_packed, store_tar},
    tree::Tree,
};
use crate::{
    compression::Compression,
    descriptor::{Descriptor, media_type},
    digest::DiffId,
    image::{Image, Layer},
    manifest::{CONFIG_LIMIT, ImageConfig, LAYER_LIMIT, MANIFEST_LIMIT, Raw},
    reference::ImageReference,
    store::StoreError,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Importer<'_> {
    pub(super) fn docker(
        &self,
        tree: &Tree,
        reference: Option<&str>,
    ) -> Result<Image, TransportError> {
        let name = "manifest.json";
        let bytes = tree.read(name, MANIFEST_LIMIT)?;
        let saved: Vec<Saved> = serde_json::from_slice(&bytes)
            .map_err(|error| tree.invalid(name, error.to_string()))?;
        let saved = self.saved(&saved, reference)?;
        let bytes = tree.read(&saved.config, CONFIG_LIMIT)?;
        let config = Raw::<ImageConfig>::read(bytes)?;
        let diff_ids = &config.value().rootfs.diff_ids;
        if saved.layers.len() != diff_ids.len() || diff_ids.len() > LAYER_LIMIT {
            let (layers, ids) = (saved.layers.len(), diff_ids.len());
            let reason = format!("it has {layers} layers, but its config has {ids} diff ids");
            return Err(tree.invalid(name, reason));
        }
        let mut layers: Vec<Descriptor> = Vec::new();
        for (position, (member, diff_id)) in saved.layers.iter().zip(diff_ids).enumerate() {
            // The same layer twice is read once.
            let earlier = diff_ids
                .iter()
                .take(position)
                .position(|other| other == diff_id);
            let layer = match earlier.and_then(|earlier| layers.get(earlier)) {
                Some(layer) => layer.clone(),
                None => self.docker_layer(tree, member, *diff_id)?,
            };
            layers.push(layer);
        }
        self.finish(&layers, config.bytes())
    }

    /// Writes config and manifest around layers that are stored.
    pub(super) fn finish(
        &self,
        layers: &[Descriptor],
        config: &[u8],
    ) -> Result<Image, TransportError> {
        let config = self
            .store
            .write_bytes(self.lock, media_type::OCI_CONFIG, config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": config,
            "layers": layers,
        });
        let manifest = manifest.to_string();
        let manifest =
            self.store
                .write_bytes(self.lock, media_type::OCI_MANIFEST, manifest.as_bytes())?;
        Ok(self.store.image(&manifest.digest)?)
    }

    fn docker_layer(
        &self,
        tree: &Tree,
        member: &str,
        diff_id: DiffId,
    ) -> Result<Descriptor, TransportError> {
        let (_, file) = tree.open(member)?;
        let failed = |error| TransportError::read(self.path, error);
        let mut file = BufReader::with_capacity(256 << 10, file);
        let packed = match Compression::of(file.fill_buf().map_err(failed)?) {
            Compression::None => None,
            Compression::Gzip => Some(media_type::OCI_LAYER_GZIP),
            Compression::Zstd => Some(media_type::OCI_LAYER_ZSTD),
            other => {
                return Err(tree.invalid(
                    member,
                    format!("its compression, {other:?}, is not one of layers"),
                ));
            }
        };
        if let Some(media_type) = packed {
            let descriptor = store_packed(self.store, self.lock, media_type, &mut file)?;
            let layer = Layer {
                descriptor,
                diff_id,
            };
            self.check_packed(&layer)?;
            return Ok(layer.descriptor);
        }
        let StoredLayer {
            descriptor,
            diff_id: found,
            size,
        } = store_tar(
            self.store,
            self.lock,
            |sink| io::copy(&mut file, sink).map(drop).map_err(failed),
            failed,
        )?;
        if found != diff_id {
            return Err(TransportError::Store(StoreError::DiffId {
                layer: descriptor.digest,
                expected: diff_id,
                found,
            }));
        }
        let layer = Layer {
            descriptor,
            diff_id,
        };
        self.store.remember_facts(&layer, size)?;
        Ok(layer.descriptor)
    }

    /// Facts are noted only of layers that were read to their end with the right diff id.
    fn check_packed(&self, layer: &Layer) -> Result<(), TransportError> {
        self.store.uncompressed_size(layer)?;
        Ok(())
    }

    fn saved<'s>(
        &self,
        saved: &'s [Saved],
        reference: Option<&str>,
    ) -> Result<&'s Saved, TransportError> {
        let tags = |saved: &Saved| saved.repo_tags.clone().unwrap_or_default();
        let what = if let Some(wanted) = reference {
            let parsed = |text: &str| text.parse::<ImageReference>().ok();
            let found = saved.iter().find(|saved| {
                tags(saved).iter().any(|tag| {
                    tag == wanted || (parsed(tag).is_some() && parsed(tag) == parsed(wanted))
                })
            });
            if let Some(found) = found {
                return Ok(found);
            }
            format!("no image `{wanted}`")
        } else {
            if let [only] = saved {
                return Ok(only);
            }
            "several images; name one".to_owned()
        };
        let mut available: Vec<String> = saved.iter().flat_map(tags).collect();
        available.truncate(20);
        Err(TransportError::Choice {
            path: self.path.to_owned(),
            what,
            available: if available.is_empty() {
                "no named ones".to_owned()
            } else {
                available.join(", ")
            },
        })
    }
}
