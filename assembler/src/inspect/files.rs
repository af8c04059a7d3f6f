//! What is at which path, which layer put it there, and what differs between two images.

use layer::{IndexEntry, IndexKind, LayerPath, PathIndex, difference};
use serde::Serialize;

use crate::{
    digest::DiffId,
    image::{Image, Layer},
    store::{BlobStore, SharedLock, StoreError},
};

/// One path of a layer or of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// The path, made printable.
    pub path: String,
    /// What is there.
    pub kind: FileKind,
    /// Permission bits, as four octal digits.
    pub mode: String,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Length of a regular file.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Where a link points to, made printable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What kind of thing is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file.
    HardLink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A mark that removes the path below.
    Whiteout,
    /// A mark that removes all that is in the directory below.
    Opaque,
}

/// What one layer does to a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyRow {
    /// The layer's position, from 0 at the bottom.
    pub index: usize,
    /// The layer.
    pub diff_id: DiffId,
    /// What it does.
    pub cause: Cause,
    /// What is there afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRow>,
    /// Where that is said, if not at the path itself: a directory above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
}

/// What a layer does to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Puts it there for the first time.
    Added,
    /// Puts something else there.
    Changed,
    /// Removes it.
    Removed,
}

/// One path that is not the same in two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeRow {
    /// What the second image does.
    pub cause: Cause,
    /// The path, made printable.
    pub path: String,
    /// What the first has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<FileRow>,
    /// What the second has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<FileRow>,
}

/// Lists the filesystem of an image.
pub fn files(
    store: &BlobStore,
    lock: &SharedLock,
    image: &Image,
) -> Result<Vec<FileRow>, StoreError> {
    Ok(rows(&store.image_index(lock, image)?))
}

/// Lists what one layer says, whiteouts included.
pub fn layer_files(
    store: &BlobStore,
    lock: &SharedLock,
    layer: &Layer,
) -> Result<Vec<FileRow>, StoreError> {
    Ok(rows(&store.layer_index(lock, layer)?))
}

/// Lists what is not the same in two images, by metadata: content counts by its size and time.
pub fn diff(
    store: &BlobStore,
    lock: &SharedLock,
    before: &Image,
    after: &Image,
) -> Result<Vec<ChangeRow>, StoreError> {
    let before = store.image_index(lock, before)?;
    let after = store.image_index(lock, after)?;
    Ok(difference::diff(&before, &after)
        .into_iter()
        .map(|change| {
            let (cause, old, new) = match change {
                difference::Change::Added { after } => (Cause::Added, None, Some(after)),
                difference::Change::Changed { before, after } => {
                    (Cause::Changed, Some(before), Some(after))
                }
                difference::Change::Removed { before } => (Cause::Removed, Some(before), None),
            };
            let old = old.as_ref().map(FileRow::of);
            let new = new.as_ref().map(FileRow::of);
            ChangeRow {
                cause,
                path: new
                    .as_ref()
                    .or(old.as_ref())
                    .map(|row| row.path.clone())
                    .unwrap_or_default(),
                before: old,
                after: new,
            }
        })
        .collect())
}

/// Tells what each layer does to a path, bottom first; layers that do nothing to it are passed over.
pub fn why(
    store: &BlobStore,
    lock: &SharedLock,
    image: &Image,
    path: &LayerPath,
) -> Result<Vec<WhyRow>, StoreError> {
    let mut rows = Vec::new();
    let mut present = false;
    for (index, layer) in image.layers().iter().enumerate() {
        let tree = store.layer_index(lock, layer)?;
        let row = |cause, file, through| WhyRow {
            index,
            diff_id: layer.diff_id,
            cause,
            file,
            through,
        };
        if let Some(entry) = tree.get(path) {
            let cause = if present {
                Cause::Changed
            } else {
                Cause::Added
            };
            rows.push(row(cause, Some(FileRow::of(&entry)), None));
            present = true;
        } else if present && let Some(remover) = remover(&tree, path) {
            let through = (remover != *path).then(|| remover.to_string());
            rows.push(row(Cause::Removed, None, through));
            present = false;
        }
    }
    Ok(rows)
}

/// Returns what in a layer takes a path of the layers below away: a whiteout of it or above it, an opaque directory above
/// it, or something above it that is no directory.
fn remover(tree: &PathIndex, path: &LayerPath) -> Option<LayerPath> {
    tree.iter()
        .find(|entry| {
            let at = entry.path();
            match entry.kind {
                IndexKind::Whiteout => path.starts_with(&at),
                IndexKind::Directory => false,
                // An opaque directory, or a node that is none.
                _ => *path != at && path.starts_with(&at),
            }
        })
        .map(|entry| entry.path())
}

fn rows(index: &PathIndex) -> Vec<FileRow> {
    index.iter().map(|entry| FileRow::of(&entry)).collect()
}

impl FileRow {
    /// Takes a row out of an index.
    pub fn of(entry: &IndexEntry<'_>) -> Self {
        let (kind, target) = match entry.kind {
            IndexKind::File => (FileKind::File, None),
            IndexKind::Directory => (FileKind::Directory, None),
            IndexKind::Symlink(target) => (FileKind::Symlink, Some(target)),
            IndexKind::HardLink(target) => (FileKind::HardLink, Some(target)),
            IndexKind::CharDevice(..) => (FileKind::CharDevice, None),
            IndexKind::BlockDevice(..) => (FileKind::BlockDevice, None),
            IndexKind::Fifo => (FileKind::Fifo, None),
            IndexKind::Whiteout => (FileKind::Whiteout, None),
            IndexKind::Opaque => (FileKind::Opaque, None),
        };
        Self {
            path: entry.path().to_string(),
            kind,
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            mtime: entry.mtime,
            target: target.map(layer::printable),
        }
    }
}
