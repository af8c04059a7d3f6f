//! Captures what changed in a root filesystem as a layer.
//!
//! A node is in the layer if its ctime is not before the moment the change began or if the index of what was there
//! does not have it. The ctime cannot be set by any program, so content, mode, owner, link or attribute cannot change
//! without it; "not in the index" finds what a rename of its directory brought to new paths; all below a directory that
//! took the place of another one ([`Places`]) is in the layer, whatever its ctime; and removals are index paths that are
//! gone. Directories whose metadata is as before are only in the layer as the way to something below them, because
//! an engine would else make them up with metadata of its own. What was put below a mountpoint ([`Beneath`]) is in the
//! layer in the mountpoint's place.
//!
//! Where the root is an overlay filesystem whose upper directory can be seen ([`Extent::Upper`]), all that can have changed
//! has a name there, so the walk looks nowhere else. What it writes is the same.
//!
//! **Invariants.** Nothing is followed: every step is one name under an open directory. At most a handful of
//! descriptors are open however deep the tree is. What comes out obeys every rule of [`LayerWriter`].

mod attributes;
mod beneath;
mod cursor;
mod mounts;
mod places;
mod upper;
mod walk;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use crate::index::PathIndex;
use crate::path::{LayerPath, PathError};
use crate::tar::{LayerWriter, WriteError};

pub use beneath::Beneath;
pub use mounts::mountpoints;
pub use places::Places;

/// A moment on the clock of the captured filesystem: seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nanoseconds: u32,
}

/// What to compare with, and what to leave out.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// What the root filesystem held before.
    pub index: &'a PathIndex,
    /// Where to look.
    pub extent: Extent<'a>,
    /// When the change began, as the filesystem's own clock told.
    pub since: Timestamp,
    /// Paths that are in no layer, with all below them: mountpoints, the engine's files, our own.
    pub skip: BTreeSet<LayerPath>,
    /// What is written in their place.
    pub beneath: &'a Beneath,
    /// No mtime in the layer is after this.
    pub latest: Option<i64>,
}

/// Where changes can be.
#[derive(Debug, Clone, Copy)]
pub enum Extent<'a> {
    /// Anywhere in the root filesystem, whose directories were in these places.
    Anywhere(&'a Places),
    /// Only where an overlay filesystem keeps them: the root is one, mounted with `userxattr`, over what the index names
    /// and this upper directory, which held nothing of the index when the change began.
    Upper(BorrowedFd<'a>),
    /// Everything, of a tree that nobody lives in. What is mounted in it, and `proc` and `sys` at its top, are directories with
    /// nothing in them.
    Tree {
        /// Directories of it in which something is mounted, of the same filesystem too.
        mounted: &'a BTreeSet<LayerPath>,
        /// The number that stands for all owners who have none here: what belongs to it is refused.
        nobody: Option<u32>,
    },
}

/// Something that a layer cannot hold and that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A socket: nothing listens to it in another container.
    Socket {
        /// Where it is.
        path: LayerPath,
    },
    /// A directory of a tree that is a filesystem of its own.
    Filesystem {
        /// Where it is.
        path: LayerPath,
    },
    /// An extended attribute whose name has a `=`.
    Attribute {
        /// Whose it is.
        path: LayerPath,
        /// Its name, made printable.
        name: String,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket { path } => write!(formatter, "the socket {path} is not in the layer"),
            Self::Filesystem { path } => write!(
                formatter,
                "what is in {path}, a filesystem or subvolume of its own, is left out"
            ),
            Self::Attribute { path, name } => {
                write!(
                    formatter,
                    "attribute {name} of {path} cannot be said in a layer and is left out"
                )
            }
        }
    }
}

/// Why the changes could not be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which node.
        path: LayerPath,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A name cannot be in a layer.
    #[error("a file cannot be in a layer")]
    Name {
        /// What about it.
        #[source]
        source: PathError,
    },
    /// A node cannot be in a layer.
    #[error("{path} cannot be in a layer: {reason}")]
    Unrepresentable {
        /// The node.
        path: LayerPath,
        /// What about it.
        reason: &'static str,
    },
    /// A node belongs to somebody who has no number in the layer.
    #[error("{path} belongs to somebody who has no number in the image")]
    Owner {
        /// The node.
        path: LayerPath,
    },
    /// The filesystem was changed during the walk.
    #[error("{path} changed while it was captured")]
    Changed {
        /// The node.
        path: LayerPath,
    },
    /// What was put below a mountpoint has no place any more.
    #[error("the directories that lead to {path} are gone")]
    Unreachable {
        /// The node.
        path: LayerPath,
    },
    /// The layer could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Walks a root filesystem once, as far as changes can be, and writes what changed.
pub fn capture<W: Write>(
    root: BorrowedFd<'_>,
    scope: &Scope<'_>,
    writer: &mut LayerWriter<W>,
    warn: &mut dyn FnMut(Warning),
) -> Result<(), CaptureError> {
    walk::Walk::new(root, scope, writer, warn)?.run()
}
