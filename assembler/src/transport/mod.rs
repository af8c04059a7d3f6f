//! Images in and out of the store by way of files: OCI layouts, OCI and Docker archives, root filesystem tarballs.
//!
//! | written as | is |
//! |---|---|
//! | `oci:DIR[:TAG]` | an OCI image layout; TAG is a name in its index |
//! | `oci-archive:FILE[:TAG]` | the same as a tar |
//! | `docker-archive:FILE[:REF]` | what `docker save` writes, old and new |
//! | `rootfs:FILE` | a root filesystem as a tar, maybe gzip or zstd; of a directory the caller makes one ([`import_tree`]) |
//!
//! Invariant: what is read is untrusted. Names inside an archive are looked up in a table and never become paths; sizes are
//! bounded; a blob is stored only under the digest of its bytes, and bytes that have no digest only if the image config
//! names the tar they unpack to.

mod archive;
mod docker;
mod error;
mod export;
mod layer_blob;
mod oci;
mod rootfs;
mod tree;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

pub use self::{
    error::TransportError,
    export::{Exported, export},
    rootfs::ROOTFS_PATH,
};

use self::tree::Tree;
use crate::{
    image::Image,
    platform::Platform,
    store::{BlobStore, SharedLock},
};

/// Where an image is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An OCI image layout.
    Oci {
        /// The layout's directory.
        directory: PathBuf,
        /// The name in its index.
        tag: Option<String>,
    },
    /// An OCI image layout as a tar.
    OciArchive {
        /// The tar.
        file: PathBuf,
        /// The name in its index.
        tag: Option<String>,
    },
    /// What `docker save` wrote.
    DockerArchive {
        /// The tar.
        file: PathBuf,
        /// The image's name in it.
        reference: Option<String>,
    },
    /// A root filesystem.
    Rootfs {
        /// The tar.
        file: PathBuf,
    },
}

/// Where an image is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An OCI image layout, made or added to.
    Oci {
        /// The layout's directory.
        directory: PathBuf,
        /// The name in its index, in place of the image's own.
        tag: Option<String>,
    },
    /// An OCI image layout as a tar.
    OciArchive {
        /// The tar.
        file: PathBuf,
    },
    /// A tar for `docker load`.
    DockerArchive {
        /// The tar.
        file: PathBuf,
    },
}

impl Source {
    /// Reads a source as a user writes it; `None` when it is none of these, but for example a registry's reference.
    pub fn parse(text: &str) -> Option<Self> {
        let (transport, rest) = text.split_once(':')?;
        Some(match transport {
            "oci" => {
                let (directory, tag) = split(rest);
                Self::Oci { directory, tag }
            }
            "oci-archive" => {
                let (file, tag) = split(rest);
                Self::OciArchive { file, tag }
            }
            "docker-archive" => {
                let (file, reference) = split(rest);
                Self::DockerArchive { file, reference }
            }
            "rootfs" => Self::Rootfs { file: rest.into() },
            _ => return None,
        })
    }

    /// Returns the file or directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Oci { directory, .. } => directory,
            Self::OciArchive { file, .. }
            | Self::DockerArchive { file, .. }
            | Self::Rootfs { file } => file,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, name) = match self {
            Self::Oci { tag, .. } => ("oci", tag.as_ref()),
            Self::OciArchive { tag, .. } => ("oci-archive", tag.as_ref()),
            Self::DockerArchive { reference, .. } => ("docker-archive", reference.as_ref()),
            Self::Rootfs { .. } => ("rootfs", None),
        };
        write!(f, "{transport}:{}", self.path().display())?;
        match name {
            Some(name) => write!(f, ":{name}"),
            None => Ok(()),
        }
    }
}

impl Target {
    /// Reads a target as a user writes it; `None` when it is none of these.
    pub fn parse(text: &str) -> Option<Self> {
        let (transport, rest) = text.split_once(':')?;
        if rest.is_empty() {
            return None;
        }
        Some(match transport {
            "oci" => {
                let (directory, tag) = split(rest);
                Self::Oci { directory, tag }
            }
            "oci-archive" => Self::OciArchive { file: rest.into() },
            "docker-archive" => Self::DockerArchive { file: rest.into() },
            _ => return None,
        })
    }
}

/// Splits a path from a name at the first colon, unless the whole is a path that is there.
fn split(rest: &str) -> (PathBuf, Option<String>) {
    match rest.split_once(':') {
        Some((path, name)) if !name.is_empty() && !Path::new(rest).exists() => {
            (path.into(), Some(name.to_owned()))
        }
        _ => (rest.into(), None),
    }
}

/// Brings an image into the store; `platform` picks where there are several.
///
/// It gets no name there: that is for the caller to give with [`BlobStore::tag`].
pub fn import(
    store: &BlobStore,
    lock: &SharedLock,
    source: &Source,
    platform: &Platform,
) -> Result<Image, TransportError> {
    let importer = Importer::new((store, lock), source.path(), platform);
    match source {
        Source::Oci { directory, tag } => importer.oci(&Tree::directory(directory), tag.as_deref()),
        Source::OciArchive { file, tag } => {
            importer.oci(&archive::open(store, file)?, tag.as_deref())
        }
        Source::DockerArchive { file, reference } => {
            importer.docker(&archive::open(store, file)?, reference.as_deref())
        }
        Source::Rootfs { .. } => importer.rootfs(),
    }
}

/// Makes an image of a root filesystem's tar, uncompressed, that is being written by somebody; `name` is what it is made of.
pub fn import_tree(
    store: &BlobStore,
    lock: &SharedLock,
    (name, tar): (&Path, impl Read),
    platform: &Platform,
) -> Result<Image, TransportError> {
    Importer::new((store, lock), name, platform).rootfs_of(tar)
}

/// What every import needs.
struct Importer<'a> {
    store: &'a BlobStore,
    lock: &'a SharedLock,
    platform: &'a Platform,
    path: &'a Path,
}

impl<'a> Importer<'a> {
    fn new(
        (store, lock): (&'a BlobStore, &'a SharedLock),
        path: &'a Path,
        platform: &'a Platform,
    ) -> Self {
        Self {
            store,
            lock,
            platform,
            path,
        }
    }
}
