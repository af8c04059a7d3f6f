//! The sorted index of one layer's paths, or of a merged root filesystem.

use crate::entry::LayerItem;
use crate::path::LayerPath;

/// A sorted index of paths with their metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathIndex {}

/// Collects items in any order into a [`PathIndex`].
#[derive(Debug, Default)]
pub struct IndexBuilder {}

/// What an index knows about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry<'a> {
    /// What is there.
    pub kind: IndexKind<'a>,
    /// Permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Length of a regular file's content (of a hard link: its target's).
    pub size: u64,
    /// Last change of the content, in whole seconds since 1970.
    pub mtime: i64,
    /// Hash over the extended attributes; none where there are none.
    pub xattrs: Option<[u8; 16]>,
    key: &'a [u8],
}

/// What kind of node a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind<'a> {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to these bytes.
    Symlink(&'a [u8]),
    /// Another name of the file at these bytes.
    HardLink(&'a [u8]),
    /// A character device with its major and minor number.
    CharDevice(u32, u32),
    /// A block device with its major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// In a layer's own index: the lower layers' path is removed.
    Whiteout,
    /// In a layer's own index: what the lower layers have below this directory is removed.
    Opaque,
}

/// Why bytes are not an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The bytes are not what this version writes.
    #[error("the path index is damaged or of another version: {reason}")]
    Damaged {
        /// What does not fit.
        reason: &'static str,
    },
}

impl IndexBuilder {
    /// Takes one more item; of two with the same path the later one stays.
    pub fn add(&mut self, _item: &LayerItem) {
        todo!()
    }

    /// Sorts what was added.
    pub fn finish(self) -> PathIndex {
        todo!()
    }
}

impl IndexEntry<'_> {
    /// Returns the path.
    pub fn path(&self) -> LayerPath {
        todo!()
    }
}

impl PathIndex {
    /// Lays a layer's own index over this one, applying its whiteouts, opaque markers and replacements.
    pub fn merge(&self, _upper: &Self) -> Self {
        todo!()
    }
    /// Returns what is at a path; whiteouts and opaque markers are not found this way.
    pub fn get(&self, _path: &LayerPath) -> Option<IndexEntry<'_>> {
        todo!()
    }
    /// Returns all entries, a directory before what is below it, whiteouts of a directory first.
    pub fn iter(&self) -> impl Iterator<Item = IndexEntry<'_>> {
        std::iter::empty()
    }
    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Writes the index as bytes, the same for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
    /// Reads back what [`Self::to_bytes`] wrote; anything else is refused.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, IndexError> {
        todo!()
    }
}
