//! Whether what an image was built on is still what the registry offers.
//!
//! Invariant: layers are compared, not names or dates. A tag's digest is that of the index where there is one, and it
//! changes when any architecture's image does: the same manifest for our platform is current all the same.

use assembler::{
    descriptor::Descriptor, digest::Digest, platform::Platform, reference::ImageReference,
    store::RemoteRecord,
};

use crate::{Client, Destination, RegistryError};

/// What something was built on or pulled as.
#[derive(Clone, Debug)]
pub struct BuiltOn {
    /// The name it had.
    pub reference: ImageReference,
    /// The digest of the manifest for the platform.
    pub manifest: Digest,
    /// The manifest's layers, bottom first.
    pub layers: Vec<Digest>,
}

/// How what was built on relates to what the registry offers now.
#[derive(Debug)]
pub enum Freshness {
    /// The registry offers the same layers.
    Current,
    /// The registry offers something else under the same name.
    Superseded {
        /// The manifest it offers for the platform.
        manifest: Descriptor,
        /// Its layers from the first that was not built on, bottom first; none when layers were only taken away.
        new_layers: Vec<Descriptor>,
        /// How many bytes of these are not in the store.
        bytes: u64,
    },
    /// The registry no longer has the name.
    Gone,
    /// It never came from a registry; said by callers, never by the client.
    Local,
    /// The registry did not answer.
    Unknown {
        /// When it last did, RFC 3339.
        last_seen: Option<String>,
        /// Why it did not; nothing when it was not asked.
        reason: Option<RegistryError>,
    },
}

impl BuiltOn {
    /// Takes what a registry said of a reference as what was built on.
    pub fn of(record: &RemoteRecord) -> Self {
        Self {
            reference: record.reference.clone(),
            manifest: record.manifest.digest,
            layers: record.layers.iter().map(|layer| layer.digest).collect(),
        }
    }
}

impl Freshness {
    /// Judges by what the registry last said, without asking it; all new layers count as missing.
    pub fn remembered(built_on: &BuiltOn, record: Option<&RemoteRecord>) -> Self {
        match record {
            Some(record) => compare(built_on, record, |_layer| false),
            None => Self::Unknown {
                last_seen: None,
                reason: None,
            },
        }
    }
}

impl Client {
    /// Asks the registry whether `built_on` is still current; a HEAD suffices when nothing changed.
    pub async fn freshness(
        &self,
        built_on: &BuiltOn,
        platform: &Platform,
        to: &Destination,
    ) -> Freshness {
        let error = match self.resolve(&built_on.reference, platform, to).await {
            Ok(_resolved) => match to.store.remote(&built_on.reference) {
                Ok(Some(record)) => {
                    let in_store = |layer: &Descriptor| to.store.has(layer).unwrap_or(false);
                    return compare(built_on, &record, in_store);
                }
                Ok(None) => None,
                Err(source) => Some(RegistryError::Store { source }),
            },
            Err(RegistryError::NotFound { .. }) => return Freshness::Gone,
            Err(error) => Some(error),
        };
        let last = to.store.remote(&built_on.reference).ok().flatten();
        Freshness::Unknown {
            last_seen: last.map(|record| record.checked_at),
            reason: error,
        }
    }
}

fn compare(
    built_on: &BuiltOn,
    record: &RemoteRecord,
    in_store: impl Fn(&Descriptor) -> bool,
) -> Freshness {
    let same = |(now, then): &(&Descriptor, &Digest)| now.digest == **then;
    let common = record.layers.iter().zip(&built_on.layers);
    let common = common.take_while(same).count();
    let unchanged = common == record.layers.len() && common == built_on.layers.len();
    if record.manifest.digest == built_on.manifest || unchanged {
        return Freshness::Current;
    }
    let new_layers: Vec<Descriptor> = record.layers.iter().skip(common).cloned().collect();
    let missing = new_layers.iter().filter(|layer| !in_store(layer));
    let bytes = missing.fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
    Freshness::Superseded {
        manifest: record.manifest.clone(),
        new_layers,
        bytes,
    }
}
