//! Why a layer could not be unpacked.

use std::io;

use layer::{LayerPath, PathError, tar::ReadError};
use rustix::io::Errno;

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The tar cannot be read, or holds what no layer may.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file's content cannot be read.
    #[error("cannot read the content of {path}")]
    Content {
        /// The file.
        path: LayerPath,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what, in the layer.
        path: LayerPath,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk or the user's share of it is full.
    #[error("there is no space left to unpack {path}")]
    Full {
        /// What was being written.
        path: LayerPath,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An owner cannot be represented.
    #[error("{path} belongs to {whose} {id}, which is not mapped here")]
    Owner {
        /// The file.
        path: LayerPath,
        /// `user` or `group`.
        whose: &'static str,
        /// The number.
        id: u64,
    },
    /// A file is in the way of a directory.
    #[error("{path} cannot be put there: {parent} is not a directory")]
    NotDirectory {
        /// What was to be put somewhere.
        path: LayerPath,
        /// What is in the way.
        parent: LayerPath,
    },
    /// The symbolic links that lead to a place go round in circles.
    #[error("{path} cannot be put there: too many symbolic links lead to it")]
    Circle {
        /// What was to be put somewhere.
        path: LayerPath,
    },
    /// A symbolic link leads to a name that no layer may hold.
    #[error("{path} cannot be put there: a symbolic link leads astray")]
    Astray {
        /// What was to be put somewhere.
        path: LayerPath,
        /// What is wrong with the place.
        #[source]
        source: PathError,
    },
    /// A hard link's target is not in the layer, or is a directory.
    #[error("{path} is a hard link to {target}, which is no file of the same layer")]
    HardLink {
        /// The link.
        path: LayerPath,
        /// What it should be another name of.
        target: LayerPath,
    },
    /// The layer is larger than what is accepted.
    #[error("{path} is refused: {what} is over the limit of {limit}")]
    Limit {
        /// The entry.
        path: LayerPath,
        /// What there is too much of.
        what: &'static str,
        /// How much is accepted.
        limit: u64,
    },
    /// The directory to unpack into has something in it.
    #[error("the directory to unpack into is not empty")]
    NotEmpty,
}

impl UnpackError {
    pub(super) fn io(doing: &'static str, path: &LayerPath, source: Errno) -> Self {
        let path = path.clone();
        let full = matches!(source, Errno::NOSPC | Errno::DQUOT);
        let source = io::Error::from(source);
        if full {
            Self::Full { path, source }
        } else {
            Self::Io {
                doing,
                path,
                source,
            }
        }
    }
}
