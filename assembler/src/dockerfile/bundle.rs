//! Bundles: what a source of `COPY` or a mount names, as tars for a container.
//!
//! Invariant: however many files a pattern fits, each layer that has some of them is read once, and they make one tar,
//! unless the order in which they are copied matters.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write as _},
};

use layer::{Entry, EntryKind, IMPLIED, LayerItem, LayerPath, tar::LayerWriter};
use tempfile::TempPath;

use super::{
    chmod::Chmod,
    context::{BuildContext, ContextKind},
    error::TreeError,
    gather::{self, Gathered},
    ignore::Ignore,
    tree::{Found, Shelf, Tree, below_of},
};
use crate::instruction::Destination;

/// What becomes one tar: by the name that it gets, where it is.
#[derive(Debug)]
pub(crate) struct Bundle {
    files: BTreeMap<LayerPath, Source>,
    destination: Destination,
}

/// Where a file of a bundle is.
#[derive(Debug)]
struct Source {
    path: LayerPath,
    /// Which of the things that a pattern fits it belongs to: names of one file stay that within one only.
    part: usize,
}

/// Whether the destination is a directory for certain, so that several files can be put there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Into {
    Directory,
    Anything,
}

impl Bundle {
    /// Makes a bundle of one file by its name, or of what is in a directory.
    pub(crate) fn of(tree: &Tree<'_>, found: &Found, exclude: &Ignore) -> Self {
        let mut files = BTreeMap::new();
        if !tree.is_directory(&found.real) {
            let name = LayerPath::new(found.called.base_name()).unwrap_or_default();
            let path = found.real.clone();
            files.insert(name, Source { path, part: 0 });
            return Self {
                files,
                destination: Destination::Auto,
            };
        }
        for path in tree.below(&found.real) {
            let relative = LayerPath::new(below_of(&path, &found.real)).unwrap_or_default();
            if relative.is_root() || !exclude.leaves_out(relative.as_bytes()) {
                files.insert(relative, Source { path, part: 0 });
            }
        }
        Self {
            files,
            destination: Destination::Directory,
        }
    }

    /// Makes as few bundles as give the same as copying one after the other.
    pub(crate) fn of_all(
        tree: &Tree<'_>,
        found: &[Found],
        (exclude, into): (&Ignore, Into),
    ) -> Vec<Self> {
        let mut bundles: Vec<Self> = Vec::new();
        for (part, found) in found.iter().enumerate() {
            let next = Self::of(tree, found, exclude);
            match bundles.last_mut() {
                Some(last) if into == Into::Directory && last.is_apart_from(&next) => {
                    // Only what is copied first gives a new destination its time.
                    let below = next.files.into_iter().filter(|(name, _)| !name.is_root());
                    last.files
                        .extend(below.map(|(name, source)| (name, Source { part, ..source })));
                    last.destination = Destination::Directory;
                }
                _ => bundles.push(next),
            }
        }
        bundles
    }

    pub(crate) fn destination(&self) -> Destination {
        self.destination
    }

    fn is_apart_from(&self, other: &Self) -> bool {
        let mut names = other.files.keys().filter(|name| !name.is_root());
        names.all(|name| !self.files.contains_key(name))
    }
}

/// Writes a tar for each bundle.
pub(crate) fn tars(
    (shelf, tree): (Shelf<'_>, &Tree<'_>),
    bundles: &[Bundle],
    mode: Option<&Chmod>,
) -> Result<Vec<TempPath>, TreeError> {
    let mut gathered = match tree {
        Tree::Context(_) => None,
        Tree::Image { image, .. } => {
            let sources = bundles.iter().flat_map(|bundle| bundle.files.values());
            let paths = sources.map(|source| &source.path);
            Some(gather::gather(shelf, image, paths)?)
        }
    };
    let mut tars = Vec::new();
    for bundle in bundles {
        let (file, path) = shelf.file()?;
        let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 18, file));
        match (tree, &mut gathered) {
            (Tree::Context(context), _) => {
                write_context(context, &bundle.files, mode, &mut writer)?;
            }
            (Tree::Image { .. }, Some(gathered)) => {
                write_image(gathered, &bundle.files, mode, &mut writer)?;
            }
            (Tree::Image { .. }, None) => {}
        }
        writer.finish()?.flush()?;
        tars.push(path);
    }
    Ok(tars)
}

fn write_context(
    context: &BuildContext,
    wanted: &BTreeMap<LayerPath, Source>,
    mode: Option<&Chmod>,
    writer: &mut LayerWriter<BufWriter<fs_err::File>>,
) -> Result<(), TreeError> {
    let mut parents = Parents::default();
    for (relative, Source { path, .. }) in wanted {
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
        change(&mut entry, mode);
        writer.append(&LayerItem::Entry(entry), content)?;
    }
    Ok(())
}

fn write_image(
    gathered: &mut Gathered,
    wanted: &BTreeMap<LayerPath, Source>,
    mode: Option<&Chmod>,
    writer: &mut LayerWriter<BufWriter<fs_err::File>>,
) -> Result<(), TreeError> {
    let mut parents = Parents::default();
    // Names of one file that are copied together stay names of one file.
    let mut names: BTreeMap<(gather::Inode, usize), LayerPath> = BTreeMap::new();
    for (relative, Source { path, part }) in wanted {
        let Some((inode, mut entry)) = gathered.entry(path) else {
            continue;
        };
        entry.path = relative.clone();
        parents.lead_to(&entry, writer)?;
        change(&mut entry, mode);
        if !matches!(entry.kind, EntryKind::File { .. }) {
            writer.append(&LayerItem::Entry(entry), io::empty())?;
        } else if let Some(first) = names.get(&(inode.clone(), *part)) {
            entry.kind = EntryKind::HardLink {
                target: first.clone(),
            };
            writer.append(&LayerItem::Entry(entry), io::empty())?;
        } else {
            writer.append(&LayerItem::Entry(entry), gathered.content(&inode)?)?;
            names.insert((inode, *part), relative.clone());
        }
    }
    Ok(())
}

fn change(entry: &mut Entry, mode: Option<&Chmod>) {
    if let Some(mode) = mode
        && !matches!(entry.kind, EntryKind::Symlink { .. })
    {
        entry.mode = mode.apply(entry.mode, &entry.kind);
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
