//! What a layer holds: entries, whiteouts and opaque markers.

use std::collections::BTreeMap;

use crate::path::LayerPath;

/// The extended attribute of a directory that an archive does not name, but has something in: where it is missing it is made,
/// and where it is there it stays as it is. It never gets into a layer.
pub const IMPLIED: &[u8] = b"user.aicage.implied";

/// One file, directory or other node of a layer, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: LayerPath,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with set-id and sticky, `0o7777` at most.
    pub mode: u32,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Last change of the content, in whole seconds since 1970.
    pub mtime: i64,
    /// Extended attributes, by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What kind of node an entry is, with what belongs to that kind alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file whose content has this many bytes.
    File {
        /// Length of the content.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points to, as stored: any bytes but NUL.
        target: Vec<u8>,
    },
    /// Another name of a file that came earlier in the same layer.
    HardLink {
        /// The earlier name.
        target: LayerPath,
    },
    /// A character device.
    CharDevice {
        /// Driver number.
        major: u32,
        /// Device number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Driver number.
        major: u32,
        /// Device number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Entry {
    /// Makes a directory owned by root, modified at the epoch.
    pub fn directory(path: LayerPath, mode: u32) -> Self {
        Self::plain(path, EntryKind::Directory, mode)
    }

    /// Makes a regular file owned by root, modified at the epoch.
    pub fn file(path: LayerPath, mode: u32, size: u64) -> Self {
        Self::plain(path, EntryKind::File { size }, mode)
    }

    /// Makes a symbolic link owned by root, modified at the epoch.
    pub fn symlink(path: LayerPath, target: impl Into<Vec<u8>>) -> Self {
        Self::plain(
            path,
            EntryKind::Symlink {
                target: target.into(),
            },
            0o777,
        )
    }

    fn plain(path: LayerPath, kind: EntryKind, mode: u32) -> Self {
        Self {
            path,
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
        }
    }
}

impl EntryKind {
    /// Returns how many bytes of content follow the entry in a tar.
    pub const fn content_size(&self) -> u64 {
        match self {
            Self::File { size } => *size,
            _ => 0,
        }
    }
}

/// One thing that a layer says about the layers below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerItem {
    /// This is here now.
    Entry(Entry),
    /// What the lower layers have at this path, and below it, is gone.
    Whiteout(LayerPath),
    /// What the lower layers have below this directory is gone.
    Opaque(LayerPath),
}

impl LayerItem {
    /// Returns the path that the item is about: the whiteout's victim, the opaque directory.
    pub const fn path(&self) -> &LayerPath {
        match self {
            Self::Entry(entry) => &entry.path,
            Self::Whiteout(path) | Self::Opaque(path) => path,
        }
    }

    /// Returns how many bytes of content follow the item in a tar.
    pub const fn content_size(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.kind.content_size(),
            Self::Whiteout(_) | Self::Opaque(_) => 0,
        }
    }

    /// Returns the bytes whose order, by [`crate::path::compare`], is the order of a layer.
    ///
    /// A whiteout of `d/x` is `d/\0x` and an opaque `d` is `d/\0\0`: within a directory both sort before every
    /// name, the opaque marker first, and neither can be confused with a name, which has no NUL.
    pub(crate) fn key(&self) -> Vec<u8> {
        match self {
            Self::Entry(entry) => entry.path.as_bytes().to_vec(),
            Self::Whiteout(path) => {
                let directory = crate::path::parent(path.as_bytes());
                marker(directory, &[b"\0", path.base_name()])
            }
            Self::Opaque(directory) => marker(directory.as_bytes(), &[b"\0\0"]),
        }
    }
}

fn marker(directory: &[u8], name: &[&[u8]]) -> Vec<u8> {
    let mut key = directory.to_vec();
    if !key.is_empty() {
        key.push(b'/');
    }
    for part in name {
        key.extend_from_slice(part);
    }
    key
}

/// Tells whether an attribute says something about the host and nothing about the file.
pub fn is_of_host(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [
        b"security.selinux",
        b"security.ima",
        b"security.evm",
        b"system.nfs4_acl",
    ];
    const PREFIXES: [&[u8]; 3] = [b"trusted.overlay.", b"user.overlay.", b"btrfs."];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
