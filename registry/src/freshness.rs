//! Whether what an image was built on is still what the registry offers.
#![expect(
    clippy::todo,
    unused_variables,
    clippy::unused_async,
    reason = "skeleton, to be replaced"
)]

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
    /// The registry offers the same.
    Current,
    /// The registry offers something else under the same name.
    Superseded {
        /// The manifest it offers for the platform.
        manifest: Descriptor,
        /// Its layers that were not built on, bottom first.
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

impl Freshness {
    /// Judges by what the registry last said, without asking it.
    pub fn remembered(built_on: &BuiltOn, record: Option<&RemoteRecord>) -> Self {
        todo!()
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
        todo!()
    }
}
