//! What an engine has of an image already.
//!
//! Our own record (`engines/<id>.json` of the store) is asked first and believed after one look at the engine; only
//! when it does not help, all images of the engine are looked at. The record is
//! `{"v":1,"images":[{"id":…,"diff_ids":[…],"blobs":[…]}]}`, the latest last.
//!
//! Invariant: a wrong answer costs time, never correctness: whoever leaves layers out verifies the result.

use std::collections::BTreeSet;

use assembler::{
    digest::{DiffId, Digest},
    image::Image,
    store::{BlobStore, SharedLock},
};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{Docker, error::EngineError, info::EngineStore};

/// How many images are remembered of an engine.
const REMEMBERED: usize = 64;
/// How many remembered images are looked at before all of the engine's are.
const TRIES: usize = 3;
/// How many images of an engine are looked at, and how many at once.
const LOOKED_AT: usize = 200;
const AT_ONCE: usize = 8;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    v: u32,
    images: Vec<Remembered>,
}

/// An image that the engine had when we last looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    id: String,
    diff_ids: Vec<DiffId>,
    blobs: Vec<Digest>,
}

impl Remembered {
    /// Finds the positions of `image`'s layers that whoever has this image has too.
    fn shares(&self, image: &Image, store: EngineStore) -> BTreeSet<usize> {
        match store {
            EngineStore::GraphDriver => common_prefix(&self.diff_ids, image),
            EngineStore::Containerd => same_blobs(&self.blobs.iter().copied().collect(), image),
        }
    }
}

/// A graph driver has a layer if it has the whole stack below it too.
fn common_prefix(diff_ids: &[DiffId], image: &Image) -> BTreeSet<usize> {
    let pairs = diff_ids.iter().zip(image.diff_ids());
    (0..pairs.take_while(|(theirs, ours)| theirs == ours).count()).collect()
}

/// The containerd store has blobs, whatever they belong to.
fn same_blobs(blobs: &BTreeSet<Digest>, image: &Image) -> BTreeSet<usize> {
    let layers = image.layers().iter().enumerate();
    layers
        .filter(|(_, layer)| blobs.contains(&layer.descriptor.digest))
        .map(|(position, _)| position)
        .collect()
}

impl Docker {
    /// Finds the positions of layers that the engine has, most probably.
    pub(super) async fn layers_there(
        &self,
        store: &BlobStore,
        image: &Image,
    ) -> Result<BTreeSet<usize>, EngineError> {
        if self.info().is_podman() {
            // Podman takes whole archives only: containers/podman#8132.
            return Ok(BTreeSet::new());
        }
        let kind = self.info().store;
        let mut known: Vec<(usize, Remembered)> = memory(store, &self.info().id)
            .images
            .into_iter()
            .map(|remembered| (remembered.shares(image, kind).len(), remembered))
            .filter(|(shared, _)| *shared > 0)
            .collect();
        // The latest of the best first.
        known.reverse();
        known.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
        for (_, remembered) in known.into_iter().take(TRIES) {
            let there = self.image(&remembered.id).await?;
            if there.is_some_and(|there| there.diff_ids == remembered.diff_ids) {
                return Ok(remembered.shares(image, kind));
            }
        }
        match kind {
            EngineStore::GraphDriver => self.prefix_there(image).await,
            EngineStore::Containerd => self.blobs_there(store, image).await,
        }
    }

    async fn prefix_there(&self, image: &Image) -> Result<BTreeSet<usize>, EngineError> {
        let images = self.images().await?;
        let ids: Vec<String> = images.into_iter().map(|listed| listed.id).collect();
        let mut looked = stream::iter(ids.into_iter().take(LOOKED_AT))
            .map(|id| async move { self.image(&id).await })
            .buffer_unordered(AT_ONCE);
        let mut best = BTreeSet::new();
        while let Some(found) = looked.next().await {
            // An image that another program removes meanwhile does not help us.
            if let Ok(Some(found)) = found {
                let shared = common_prefix(&found.diff_ids, image);
                if shared.len() > best.len() {
                    best = shared;
                }
            }
        }
        Ok(best)
    }

    async fn blobs_there(
        &self,
        store: &BlobStore,
        image: &Image,
    ) -> Result<BTreeSet<usize>, EngineError> {
        let mut blobs = BTreeSet::new();
        for listed in self.images().await? {
            let manifests = match listed.manifests {
                Some(manifests) => manifests
                    .into_iter()
                    .filter(|manifest| manifest.available)
                    .map(|manifest| manifest.id)
                    .collect(),
                None => vec![listed.id],
            };
            for digest in manifests {
                // Only what we have ourselves can tell us its blobs.
                let ours = digest
                    .parse()
                    .ok()
                    .and_then(|digest: Digest| store.manifest(&digest).unwrap_or_default());
                if let Some(manifest) = ours {
                    let layers = &manifest.value().layers;
                    blobs.extend(layers.iter().map(|layer| layer.digest));
                }
            }
        }
        Ok(same_blobs(&blobs, image))
    }

    /// Notes that the engine has `image`.
    pub(super) fn remember(
        &self,
        store: &BlobStore,
        lock: &SharedLock,
        image: &Image,
    ) -> Result<(), EngineError> {
        let id = self.id_of(image);
        let engine = &self.info().id;
        let mut memory = memory(store, engine);
        let now = Remembered {
            id: id.clone(),
            diff_ids: image.diff_ids().to_vec(),
            blobs: image
                .layers()
                .iter()
                .map(|layer| layer.descriptor.digest)
                .collect(),
        };
        if memory.images.last() == Some(&now) {
            return Ok(());
        }
        memory.images.retain(|remembered| remembered.id != id);
        memory.images.push(now);
        let surplus = memory.images.len().saturating_sub(REMEMBERED);
        memory.images.drain(..surplus);
        let memory = serde_json::to_value(&memory).expect("digests and lists of them are JSON");
        store
            .remember_engine(lock, engine, &memory)
            .map_err(|source| EngineError::Memory { source })
    }
}

/// Reads the record; one that cannot be read, or of another version, is none.
fn memory(store: &BlobStore, engine: &str) -> Memory {
    let none = || Memory {
        v: 1,
        images: Vec::new(),
    };
    match store.engine_memory(engine) {
        Ok(Some(value)) => serde_json::from_value(value)
            .ok()
            .filter(|memory: &Memory| memory.v == 1)
            .unwrap_or_else(none),
        _ => none(),
    }
}
