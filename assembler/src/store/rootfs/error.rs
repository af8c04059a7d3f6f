//! Why a layer could not be unpacked into the store.

use std::io;

use crate::{
    digest::{DiffId, Digest},
    store::{Doing, StoreError},
};

/// Why a layer could not be unpacked into the store.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// What is in the layer cannot be put on this disk.
    #[cfg(target_os = "linux")]
    #[error("cannot unpack layer {layer}")]
    Unpack {
        /// The layer's blob.
        layer: Digest,
        /// What about it.
        #[source]
        source: crate::unpack::UnpackError,
    },
    /// The blob is not what it should be, or not a layer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused.
    #[error("cannot {doing} {name} among the unpacked layers")]
    Io {
        /// What was tried.
        doing: Doing,
        /// The layer's name, or a file's.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The layer leaves directories out, and a layer below, which may have them, is not unpacked.
    #[error("layer {layer} is not unpacked, which one above it needs")]
    Below {
        /// The layer below.
        layer: DiffId,
        /// The blob of the layer above.
        above: Digest,
    },
}
