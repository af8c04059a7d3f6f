//! Why an image could not be brought in or out.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{archive::ArchiveError, manifest::ManifestError, store::StoreError};

/// Why an image could not be brought in or out.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or the decompressor said.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no tar, or not one that is taken.
    #[error("{} is not a usable tar archive", path.display())]
    Tar {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: layer::tar::ReadError,
    },
    /// Something that belongs to an image is not there.
    #[error("{} has no `{member}`", path.display())]
    Member {
        /// The archive or layout.
        path: PathBuf,
        /// What is missing.
        member: String,
    },
    /// A part of an archive or layout is not what it should be.
    #[error("`{member}` in {} is not valid: {reason}", path.display())]
    Invalid {
        /// The archive or layout.
        path: PathBuf,
        /// Which part.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no image of that name, or there are several to choose from.
    #[error("{} has {what}; it has {available}", path.display())]
    Choice {
        /// The archive or layout.
        path: PathBuf,
        /// What is missing or too much.
        what: String,
        /// What there is.
        available: String,
    },
    /// A manifest or config is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store could not take or give a blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive could not be made.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl TransportError {
    /// Says of a failed copy what it was: the store's trouble, or the file's.
    pub(super) fn read(path: &Path, error: io::Error) -> Self {
        match StoreError::from_io(error) {
            Ok(error) => Self::Store(error),
            Err(source) => Self::Read {
                path: path.to_owned(),
                source,
            },
        }
    }
}
