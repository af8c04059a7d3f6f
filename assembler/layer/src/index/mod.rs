//! The sorted index of one layer's paths, or of a merged root filesystem.
//!
//! An index holds every path with its metadata, a directory right before what is below it. The index of a layer also
//! holds its whiteouts and opaque markers, first in their directory; [`PathIndex::merge`] lays it over what is below.
//! Paths live in one arena under the keys of `LayerItem::key`, so 60,000 of them cost a few megabytes.

mod builder;
mod bytes;
mod merge;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::path::{LayerPath, base_name, compare, is_at_or_below, is_below, parent};

pub use builder::IndexBuilder;
pub use bytes::IndexError;

/// A sorted index of paths with their metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathIndex {
    arena: Vec<u8>,
    records: Vec<Record>,
}

/// A piece of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    key: Span,
    kind: Kind,
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: i64,
    xattrs: Option<[u8; 16]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Symlink(Span),
    HardLink(Span),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    Whiteout,
    Opaque,
}

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
    /// Hash over the extended attributes, see [`hash_xattrs`]; none where there are none.
    pub xattrs: Option<[u8; 16]>,
    pub(crate) key: &'a [u8],
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

impl IndexEntry<'_> {
    /// Returns the path: of a whiteout its victim, of an opaque marker its directory.
    pub fn path(&self) -> LayerPath {
        LayerPath::from_normal(path_of_key(self.key, self.kind))
    }

    /// Tells whether this stands for a removal and not for a node.
    pub const fn is_marker(&self) -> bool {
        matches!(self.kind, IndexKind::Whiteout | IndexKind::Opaque)
    }

    /// Compares where two entries stand in an index.
    pub(crate) fn place(&self, other: &IndexEntry<'_>) -> Ordering {
        compare(self.key, other.key)
    }
}

fn path_of_key(key: &[u8], kind: IndexKind<'_>) -> Vec<u8> {
    match kind {
        IndexKind::Opaque => parent(key).to_vec(),
        IndexKind::Whiteout => {
            let name = base_name(key);
            [
                &key[..key.len() - name.len()],
                name.get(1..).unwrap_or_default(),
            ]
            .concat()
        }
        _ => key.to_vec(),
    }
}

impl PathIndex {
    /// Returns what is at a path; whiteouts and opaque markers are not found this way.
    pub fn get(&self, path: &LayerPath) -> Option<IndexEntry<'_>> {
        self.get_bytes(path.as_bytes())
    }

    pub(crate) fn get_bytes(&self, path: &[u8]) -> Option<IndexEntry<'_>> {
        let at = self.lower_bound(path);
        self.records
            .get(at)
            .filter(|record| self.span(record.key) == path)
            .map(|record| self.entry(record))
    }

    /// Returns all entries, a directory before what is below it, whiteouts of a directory first.
    pub fn iter(&self) -> impl Iterator<Item = IndexEntry<'_>> {
        self.records.iter().map(|record| self.entry(record))
    }

    /// Returns the names right below a directory, also those that only follow from a longer path.
    pub fn children(&self, directory: &LayerPath) -> Vec<&[u8]> {
        self.child_names(directory.as_bytes())
    }

    pub(crate) fn child_names(&self, directory: &[u8]) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> = Vec::new();
        let start = if directory.is_empty() {
            0
        } else {
            directory.len() + 1
        };
        let mut at = self.lower_bound(directory);
        while let Some(record) = self.records.get(at) {
            let key = self.span(record.key);
            if key == directory {
                at += 1;
                continue;
            }
            if !is_below(key, directory) {
                break;
            }
            let rest = &key[start..];
            let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
            if !name.starts_with(b"\0") {
                names.push(name);
            }
            // A name's subtree is contiguous: leap over it.
            at = self.past(&key[..start + name.len()], at);
        }
        names
    }

    /// Tells whether a directory is at a path, also one that only follows from a longer path.
    pub(crate) fn has_directory(&self, path: &[u8]) -> bool {
        let mut from = self.records.iter().skip(self.lower_bound(path));
        let Some(first) = from.next() else {
            return false;
        };
        let key = self.span(first.key);
        is_below(key, path) || (key == path && first.kind == Kind::Directory)
    }

    /// Tells whether a directory has a child of a name, also one that only follows from a longer path.
    pub(crate) fn has_child(&self, directory: &[u8], name: &[u8]) -> bool {
        let mut path = directory.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let first = self.records.get(self.lower_bound(&path));
        first.is_some_and(|first| is_at_or_below(self.span(first.key), &path))
    }

    /// Returns the directories that only follow from longer paths.
    pub(crate) fn implied_directories(&self) -> BTreeSet<LayerPath> {
        let mut implied = BTreeSet::new();
        let mut known: &[u8] = &[];
        for record in &self.records {
            let directory = parent(self.span(record.key));
            let mut above = directory;
            // Of a directory that has an entry, those above it were looked at with that entry.
            while !above.is_empty() && above != known && self.get_bytes(above).is_none() {
                implied.insert(LayerPath::from_normal(above.to_vec()));
                above = parent(above);
            }
            known = directory;
        }
        implied
    }

    /// Returns the place after a path and all that is below it, searching from `from`.
    fn past(&self, path: &[u8], from: usize) -> usize {
        let rest = &self.records[from..];
        from + rest.partition_point(|record| {
            let key = self.span(record.key);
            compare(key, path) != Ordering::Greater || is_below(key, path)
        })
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn lower_bound(&self, key: &[u8]) -> usize {
        self.records
            .partition_point(|record| compare(self.span(record.key), key) == Ordering::Less)
    }

    fn span(&self, span: Span) -> &[u8] {
        &self.arena[span.start as usize..][..span.length as usize]
    }

    fn entry(&self, record: &Record) -> IndexEntry<'_> {
        IndexEntry {
            kind: match record.kind {
                Kind::File => IndexKind::File,
                Kind::Directory => IndexKind::Directory,
                Kind::Symlink(target) => IndexKind::Symlink(self.span(target)),
                Kind::HardLink(target) => IndexKind::HardLink(self.span(target)),
                Kind::CharDevice(major, minor) => IndexKind::CharDevice(major, minor),
                Kind::BlockDevice(major, minor) => IndexKind::BlockDevice(major, minor),
                Kind::Fifo => IndexKind::Fifo,
                Kind::Whiteout => IndexKind::Whiteout,
                Kind::Opaque => IndexKind::Opaque,
            },
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            size: record.size,
            mtime: record.mtime,
            xattrs: record.xattrs,
            key: self.span(record.key),
        }
    }

    /// Appends an entry that sorts after all that are there. An arena holds 4 GiB; builders stay far below.
    pub(crate) fn push(&mut self, entry: &IndexEntry<'_>) {
        let key = self.store(entry.key);
        let kind = match entry.kind {
            IndexKind::File => Kind::File,
            IndexKind::Directory => Kind::Directory,
            IndexKind::Symlink(target) => Kind::Symlink(self.store(target)),
            IndexKind::HardLink(target) => Kind::HardLink(self.store(target)),
            IndexKind::CharDevice(major, minor) => Kind::CharDevice(major, minor),
            IndexKind::BlockDevice(major, minor) => Kind::BlockDevice(major, minor),
            IndexKind::Fifo => Kind::Fifo,
            IndexKind::Whiteout => Kind::Whiteout,
            IndexKind::Opaque => Kind::Opaque,
        };
        self.records.push(Record {
            key,
            kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            mtime: entry.mtime,
            xattrs: entry.xattrs,
        });
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let start =
            u32::try_from(self.arena.len()).expect("the paths of an index stay under 4 GiB");
        let length = u32::try_from(bytes.len()).expect("a path stays under 4 GiB");
        self.arena.extend_from_slice(bytes);
        Span { start, length }
    }
}

/// Hashes extended attributes as an index does: half of the SHA-256 over lengths, names and values in order,
/// leaving out what hosts add on their own.
pub fn hash_xattrs(xattrs: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>) -> Option<[u8; 16]> {
    use sha2::Digest as _;
    let mut own = xattrs
        .iter()
        .filter(|(name, _)| !crate::entry::is_of_host(name))
        .peekable();
    own.peek()?;
    let mut hash = sha2::Sha256::new();
    for part in own.flat_map(|(name, value)| [name, value]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let full: [u8; 32] = hash.finalize().into();
    full.first_chunk().copied()
}
