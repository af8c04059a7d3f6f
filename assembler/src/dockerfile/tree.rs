//! Trees that a Dockerfile copies from: the build context, or the filesystem of an image in the store.
//!
//! Invariant: paths stay inside of the tree: `..` at its root is its root, and symbolic links are followed as if the tree
//! were the whole filesystem.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufWriter, Write as _},
};

use layer::{
    Entry, EntryKind, IMPLIED, IndexKind, LayerItem, LayerPath, PathIndex, tar::LayerWriter,
};
use tempfile::TempPath;

use super::{
    chmod::Chmod,
    context::{BuildContext, ContextKind},
    error::TreeError,
    gather::{self, Gathered},
    glob::{Glob, is_pattern},
    ignore::Ignore,
};
use crate::{
    image::Image,
    store::{BlobStore, SharedLock, StoreError},
};

/// How many symbolic links one path may lead through.
const LINKS: usize = 255;

/// A tree to copy from.
#[derive(Debug)]
pub(crate) enum Tree<'a> {
    /// The build context.
    Context(&'a BuildContext),
    /// An image's filesystem.
    Image {
        /// The image.
        image: &'a Image,
        /// Its merged index.
        index: PathIndex,
    },
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    Symlink(Vec<u8>),
    Other,
}

/// What is changed about what is copied.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) mode: Option<Chmod>,
    pub(crate) exclude: Ignore,
}

/// Where temporary files go and layers are read from.
#[derive(Clone, Copy)]
pub(crate) struct Shelf<'a> {
    pub(crate) store: &'a BlobStore,
    pub(crate) lock: &'a SharedLock,
}

impl Shelf<'_> {
    /// Makes a file that the next prune removes if we are killed.
    pub(crate) fn file(&self) -> io::Result<(fs_err::File, TempPath)> {
        let file = tempfile::Builder::new()
            .prefix("tmp-dockerfile-")
            .tempfile_in(self.store.root().join("ingest"))?;
        let (file, path) = file.into_parts();
        let file = fs_err::File::from_parts(file, path.to_path_buf());
        Ok((file, path))
    }
}

impl<'a> Tree<'a> {
    /// Opens an image's filesystem.
    pub(crate) fn of_image(shelf: Shelf<'_>, image: &'a Image) -> Result<Self, StoreError> {
        let index = shelf.store.image_index(shelf.lock, image)?;
        Ok(Self::Image { image, index })
    }

    pub(crate) fn node(&self, path: &LayerPath) -> Option<Node> {
        match self {
            Self::Context(context) => match &context.get(path)?.kind {
                ContextKind::File { .. } => Some(Node::Other),
                ContextKind::Directory => Some(Node::Directory),
                ContextKind::Symlink(target) => Some(Node::Symlink(target.clone())),
            },
            Self::Image { index, .. } => match index.get(path)?.kind {
                IndexKind::Directory => Some(Node::Directory),
                IndexKind::Symlink(target) => Some(Node::Symlink(target.to_vec())),
                _ => Some(Node::Other),
            },
        }
    }

    /// Follows symbolic links to what is really there.
    pub(crate) fn resolve(&self, path: &[u8]) -> Option<LayerPath> {
        let mut todo: VecDeque<Vec<u8>> = components(path).collect();
        let mut at: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                at.pop();
                continue;
            }
            at.push(name);
            let here = LayerPath::new(at.join(&b'/')).ok()?;
            if let Some(Node::Symlink(target)) = self.node(&here) {
                links += 1;
                if links > LINKS {
                    return None;
                }
                at.pop();
                if target.starts_with(b"/") {
                    at.clear();
                }
                for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
                    todo.push_front(component);
                }
            }
        }
        let here = LayerPath::new(at.join(&b'/')).ok()?;
        (here.is_root() || self.node(&here).is_some()).then_some(here)
    }

    /// Finds what a source of `COPY` names: as it is called, and where it really is. Nothing if the source is no pattern
    /// and nothing is there; a pattern may fit nothing.
    pub(crate) fn find(&self, source: &str) -> Option<Vec<(LayerPath, LayerPath)>> {
        let parts: Vec<Vec<u8>> = normal(source.as_bytes());
        let split = parts
            .iter()
            .position(|part| std::str::from_utf8(part).is_ok_and(is_pattern))
            .unwrap_or(parts.len());
        let (plain, pattern) = parts.split_at(split);
        let directory = self.resolve(&plain.join(&b'/'));
        if pattern.is_empty() {
            let called = LayerPath::new(plain.join(&b'/')).ok()?;
            return Some(vec![(called, directory?)]);
        }
        let Some(directory) = directory else {
            return Some(Vec::new());
        };
        let pattern = String::from_utf8_lossy(&pattern.join(&b'/')).into_owned();
        let glob = Glob::of_copy(&pattern)?;
        let mut found: Vec<(LayerPath, LayerPath)> = Vec::new();
        for path in self.below(&directory) {
            if path == directory || found.last().is_some_and(|(last, _)| path.starts_with(last)) {
                continue;
            }
            let relative = below_of(&path, &directory);
            if glob.matches(relative)
                && let Some(real) = self.resolve(path.as_bytes())
            {
                found.push((path, real));
            }
        }
        Some(found)
    }

    /// Lists a path and all below it, in the order of a layer.
    pub(crate) fn below(&self, directory: &LayerPath) -> Vec<LayerPath> {
        match self {
            Self::Context(context) => context
                .iter()
                .map(|(path, _)| path)
                .filter(|path| path.starts_with(directory))
                .cloned()
                .collect(),
            Self::Image { index, .. } => index
                .iter()
                .map(|entry| entry.path())
                .filter(|path| path.starts_with(directory))
                .collect(),
        }
    }

    /// Says whether a path is a directory; the root is one.
    pub(crate) fn is_directory(&self, path: &LayerPath) -> bool {
        path.is_root() || self.node(path) == Some(Node::Directory)
    }

    /// Writes a tar of what is at `real`: of a directory its content below the tar's root, of anything else one entry with
    /// the name under which it was found.
    pub(crate) fn tar(
        &self,
        shelf: Shelf<'_>,
        (called, real): (&LayerPath, &LayerPath),
        changes: &Changes,
    ) -> Result<TempPath, TreeError> {
        let mut wanted: BTreeMap<LayerPath, LayerPath> = BTreeMap::new();
        if self.is_directory(real) {
            for path in self.below(real) {
                let relative = LayerPath::new(below_of(&path, real)).unwrap_or_default();
                if relative.is_root() || !changes.exclude.leaves_out(relative.as_bytes()) {
                    wanted.insert(relative, path);
                }
            }
        } else if !changes.exclude.leaves_out(called.base_name()) {
            let name = LayerPath::new(called.base_name()).unwrap_or_default();
            wanted.insert(name, real.clone());
        }
        let (file, path) = shelf.file()?;
        let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 18, file));
        match self {
            Self::Context(context) => write_context(context, &wanted, changes, &mut writer)?,
            Self::Image { image, .. } => {
                let mut gathered = gather::gather(shelf, image, wanted.values())?;
                write_image(&mut gathered, &wanted, changes, &mut writer)?;
            }
        }
        writer.finish()?.flush()?;
        Ok(path)
    }
}

fn write_context(
    context: &BuildContext,
    wanted: &BTreeMap<LayerPath, LayerPath>,
    changes: &Changes,
    writer: &mut LayerWriter<BufWriter<fs_err::File>>,
) -> Result<(), TreeError> {
    let mut parents = Parents::default();
    for (relative, path) in wanted {
        let Some(found) = context.get(path) else {
            continue;
        };
        let mut content: &[u8] = &[];
        let kind = match &found.kind {
            ContextKind::File { content: bytes, .. } => {
                content = bytes;
                EntryKind::File {
                    size: bytes.len() as u64,
                }
            }
            ContextKind::Directory => EntryKind::Directory,
            ContextKind::Symlink(target) => EntryKind::Symlink {
                target: target.clone(),
            },
        };
        let mut entry = Entry::directory(relative.clone(), found.mode);
        entry.kind = kind;
        entry.mtime = found.mtime;
        parents.lead_to(&entry, writer)?;
        change(&mut entry, changes);
        writer.append(&LayerItem::Entry(entry), content)?;
    }
    Ok(())
}

fn write_image(
    gathered: &mut Gathered,
    wanted: &BTreeMap<LayerPath, LayerPath>,
    changes: &Changes,
    writer: &mut LayerWriter<BufWriter<fs_err::File>>,
) -> Result<(), TreeError> {
    let mut parents = Parents::default();
    // Names of one file that are copied together stay names of one file.
    let mut names: BTreeMap<gather::Inode, LayerPath> = BTreeMap::new();
    for (relative, path) in wanted {
        let Some((inode, mut entry)) = gathered.entry(path) else {
            continue;
        };
        entry.path = relative.clone();
        parents.lead_to(&entry, writer)?;
        change(&mut entry, changes);
        if !matches!(entry.kind, EntryKind::File { .. }) {
            writer.append(&LayerItem::Entry(entry), io::empty())?;
        } else if let Some(first) = names.get(&inode) {
            entry.kind = EntryKind::HardLink {
                target: first.clone(),
            };
            writer.append(&LayerItem::Entry(entry), io::empty())?;
        } else {
            writer.append(&LayerItem::Entry(entry), gathered.content(&inode)?)?;
            names.insert(inode, relative.clone());
        }
    }
    Ok(())
}

fn change(entry: &mut Entry, changes: &Changes) {
    if let Some(mode) = &changes.mode
        && !matches!(entry.kind, EntryKind::Symlink { .. })
    {
        entry.mode = mode.apply(entry.mode, entry.kind == EntryKind::Directory);
    }
}

/// Writes directories that lead to an entry and have none of their own.
#[derive(Default)]
pub(crate) struct Parents {
    written: std::collections::BTreeSet<LayerPath>,
}

impl Parents {
    pub(crate) fn lead_to<W: io::Write>(
        &mut self,
        entry: &Entry,
        writer: &mut LayerWriter<W>,
    ) -> Result<(), TreeError> {
        let parents: Vec<LayerPath> = std::iter::successors(entry.path.parent(), LayerPath::parent)
            .take_while(|path| !path.is_root() && !self.written.contains(path))
            .collect();
        for parent in parents.into_iter().rev() {
            let mut directory = Entry::directory(parent.clone(), 0o755);
            directory.xattrs.insert(IMPLIED.to_vec(), b"1".to_vec());
            writer.append(&LayerItem::Entry(directory), io::empty())?;
            self.written.insert(parent);
        }
        if entry.kind == EntryKind::Directory {
            self.written.insert(entry.path.clone());
        }
        Ok(())
    }
}

/// Splits a path, leaving out what is nothing.
fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
}

/// Resolves `..` by name alone, as `COPY` does with what it is given.
fn normal(path: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    for part in components(path) {
        if part == b".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}

/// Returns the part of a path below a directory that it is in.
pub(crate) fn below_of<'p>(path: &'p LayerPath, directory: &LayerPath) -> &'p [u8] {
    let rest = path
        .as_bytes()
        .get(directory.as_bytes().len()..)
        .unwrap_or_default();
    rest.strip_prefix(b"/").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::context::ContextEntry;

    fn context(paths: &[(&str, &str)]) -> BuildContext {
        let entries = paths.iter().map(|(path, content)| {
            let entry = if path.ends_with('/') {
                ContextEntry {
                    kind: ContextKind::Directory,
                    mode: 0o755,
                    mtime: 1,
                }
            } else if let Some(target) = content.strip_prefix("->") {
                ContextEntry {
                    kind: ContextKind::Symlink(target.into()),
                    mode: 0o777,
                    mtime: 1,
                }
            } else {
                ContextEntry::file(content.as_bytes(), 0o644, 1)
            };
            (LayerPath::new(path).unwrap(), entry)
        });
        BuildContext::new(entries.collect())
    }

    #[test]
    fn sources_are_found_through_links_and_patterns() {
        let context = context(&[
            ("a.txt", "a"),
            ("b.txt", "b"),
            ("d/", ""),
            ("d/e/", ""),
            ("d/e/f.txt", "f"),
            ("link", "->d/e"),
            ("loop", "->loop"),
            ("out", "->../../a.txt"),
        ]);
        let tree = Tree::Context(&context);
        let find = |source: &str| {
            tree.find(source).map(|found| {
                found
                    .iter()
                    .map(|(called, real)| format!("{called}={real}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        for (source, found) in [
            ("a.txt", Some("a.txt=a.txt")),
            ("./d//e/", Some("d/e=d/e")),
            (".", Some(".=.")),
            ("/", Some(".=.")),
            ("link", Some("link=d/e")),
            ("link/f.txt", Some("link/f.txt=d/e/f.txt")),
            ("*.txt", Some("a.txt=a.txt b.txt=b.txt")),
            ("d/*/f*", Some("d/e/f.txt=d/e/f.txt")),
            ("link/*", Some("d/e/f.txt=d/e/f.txt")),
            ("none*", Some("")),
            ("none", None),
            ("loop", None),
            ("out", Some("out=a.txt")),
            ("[", None),
        ] {
            assert_eq!(find(source).as_deref(), found, "{source}");
        }
    }
}
