//! Takes files out of an image's layers: each layer that has some of them is read once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _},
};

use layer::{
    Entry, EntryKind, IndexKind, LayerItem, LayerPath,
    tar::{LayerReader, Limits},
};

use super::{error::TreeError, tree::Shelf};
use crate::{image::Image, store::StoreError};

/// How many hard links may lead from one to the next.
const LINKS: usize = 16;

/// The file behind one or more names: the layer's position and the name it has its content under.
pub(crate) type Inode = (usize, LayerPath);

/// Files taken out of layers.
#[derive(Debug)]
pub(crate) struct Gathered {
    inodes: BTreeMap<LayerPath, Inode>,
    entries: BTreeMap<Inode, Entry>,
    places: BTreeMap<Inode, (u64, u64)>,
    spool: fs_err::File,
}

impl Gathered {
    /// Returns the entry of a path; that of a hard link is the file's.
    pub(crate) fn entry(&self, path: &LayerPath) -> Option<(Inode, Entry)> {
        let inode = self.inodes.get(path)?;
        Some((inode.clone(), self.entries.get(inode)?.clone()))
    }

    /// Opens the content of a file.
    pub(crate) fn content(&mut self, inode: &Inode) -> io::Result<impl Read + use<'_>> {
        let (start, size) = self.places.get(inode).copied().unwrap_or_default();
        self.spool.seek(SeekFrom::Start(start))?;
        Ok(Read::take(&mut self.spool, size))
    }
}

/// Takes `paths`, all of which the image's merged index has, out of its layers.
pub(crate) fn gather<'p>(
    shelf: Shelf<'_>,
    image: &Image,
    paths: impl Iterator<Item = &'p LayerPath>,
) -> Result<Gathered, TreeError> {
    let mut missing: BTreeSet<&LayerPath> = paths.collect();
    let mut inodes: BTreeMap<LayerPath, Inode> = BTreeMap::new();
    for (position, layer) in image.layers().iter().enumerate().rev() {
        if missing.is_empty() {
            break;
        }
        let index = shelf.store.layer_index(shelf.lock, layer)?;
        // What the merged index has comes from the topmost layer that says something of it.
        missing.retain(|path| {
            if index.get(path).is_none() {
                return true;
            }
            let mut at = (*path).clone();
            for _ in 0..LINKS {
                let target = match index.get(&at).map(|entry| entry.kind) {
                    Some(IndexKind::HardLink(target)) => LayerPath::new(target).ok(),
                    _ => None,
                };
                match target {
                    Some(target) => at = target,
                    None => break,
                }
            }
            inodes.insert((*path).clone(), (position, at));
            false
        });
    }
    let (spool, _path) = shelf.file()?;
    let mut gathered = Gathered {
        entries: BTreeMap::new(),
        places: BTreeMap::new(),
        spool,
        inodes,
    };
    let wanted: BTreeSet<Inode> = gathered.inodes.values().cloned().collect();
    let layers: BTreeSet<usize> = wanted.iter().map(|(position, _)| *position).collect();
    let mut end = 0;
    for position in layers {
        read_layer(shelf, (image, position), &wanted, (&mut gathered, &mut end))?;
    }
    Ok(gathered)
}

fn read_layer(
    shelf: Shelf<'_>,
    (image, position): (&Image, usize),
    wanted: &BTreeSet<Inode>,
    (gathered, end): (&mut Gathered, &mut u64),
) -> Result<(), TreeError> {
    let Some(layer) = image.layers().get(position) else {
        return Ok(());
    };
    let tar = shelf.store.layer_tar(layer)?;
    let mut reader = LayerReader::new(BufReader::with_capacity(1 << 18, tar), Limits::default());
    let mut spool = BufWriter::with_capacity(1 << 18, &gathered.spool);
    while let Some(item) = reader.next_item().map_err(told)? {
        let LayerItem::Entry(entry) = item else {
            continue;
        };
        let inode = (position, entry.path.clone());
        if !wanted.contains(&inode) {
            continue;
        }
        if let EntryKind::File { .. } = entry.kind {
            let size = io::copy(&mut reader, &mut spool)?;
            gathered.places.insert(inode.clone(), (*end, size));
            *end += size;
        }
        gathered.entries.insert(inode, entry);
    }
    // Only at its end does the tar's reader know that all of it was right.
    let mut rest = reader.finish().map_err(told)?;
    io::copy(&mut rest, &mut io::sink()).map_err(told_io)?;
    spool.flush()?;
    Ok(())
}

/// Takes the store's own error out of the tar reader's, where it is the cause.
fn told(error: layer::tar::ReadError) -> TreeError {
    match error {
        layer::tar::ReadError::Io { source } => told_io(source),
        error => TreeError::Read(error),
    }
}

fn told_io(error: io::Error) -> TreeError {
    match StoreError::from_io(error) {
        Ok(error) => TreeError::Store(error),
        Err(error) => TreeError::Io(error),
    }
}
