//! Why the store could not do what it was asked.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    digest::{DiffId, Digest},
    manifest::ManifestError,
};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: Doing,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk or the user's share of it is full.
    #[error("there is no space left to write {}", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The directory is something else than a store that this version knows.
    #[error("{} is not a store: {reason}", path.display())]
    Layout {
        /// What was looked at.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// A newer aicage wrote this.
    #[error("{} has version {version}; this aicage knows version {known}", path.display())]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// The newest version that is understood.
        known: u64,
    },
    /// Others went on using the store.
    #[error("the store {} is still in use by others after {} s", path.display(), waited.as_secs())]
    Busy {
        /// The store.
        path: PathBuf,
        /// How long it was waited.
        waited: Duration,
    },
    /// A blob is not there.
    #[error("the store does not have blob {digest}")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// The bytes on disk, or those that arrived, are not those that the digest names.
    #[error("blob {expected} is corrupt: its content hashes to {found}")]
    Corrupt {
        /// What was asked for.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// A blob is shorter or longer than its descriptor says.
    #[error("blob {digest} has {found} bytes; {expected} were announced")]
    WrongSize {
        /// The blob.
        digest: Digest,
        /// Bytes announced.
        expected: u64,
        /// Bytes found; of one that does not end, those seen so far.
        found: u64,
    },
    /// A blob is larger than what is read into memory.
    #[error("blob {digest} has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A layer cannot be decompressed: cut off, or not what its first bytes promise.
    #[error("layer {layer} cannot be decompressed")]
    Decompress {
        /// The layer's blob.
        layer: Digest,
        /// What the decompressor said.
        #[source]
        source: io::Error,
    },
    /// A layer grows beyond all honest sizes when decompressed.
    #[error("layer {layer} is larger than {limit} bytes when decompressed")]
    Bomb {
        /// The layer's blob.
        layer: Digest,
        /// The limit.
        limit: u64,
    },
    /// A layer's tar is not the one that the image config names.
    #[error("layer {layer} unpacks to {found}, but the image config says {expected}")]
    DiffId {
        /// The layer's blob.
        layer: Digest,
        /// What the config says.
        expected: DiffId,
        /// What was found.
        found: DiffId,
    },
    /// A layer's tar cannot be read.
    #[error("layer {layer} is not a valid tar archive")]
    Tar {
        /// The layer's blob.
        layer: Digest,
        /// What is wrong with it.
        #[source]
        source: layer::tar::ReadError,
    },
    /// A manifest or config in the store is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What was tried when the system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Making a directory or a file.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Removing.
    Remove,
    /// Locking.
    Lock,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}

impl StoreError {
    /// Names what was tried on which path; a full disk gets its own variant.
    pub(crate) fn io(doing: Doing, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, source }
            }
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }

    /// Takes the store's error out of a reader's or writer's, if it is one.
    pub fn from_io(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<Self>()
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Io { source, .. } | StoreError::Full { source, .. } => source.kind(),
            StoreError::Missing { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
