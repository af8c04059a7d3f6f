//! The upper directory of an overlay filesystem: all that can have changed has a name in it.
//!
//! It only tells where to look, directory by directory, and which names are of one file; what is there is read through the
//! overlay, which alone knows what its own marks mean: a name here may be a file, a directory or a mark of a removal. A directory that stands for itself,
//! because another one was removed in its place, is opaque; any other is laid over the one below it.
//!
//! **Invariants.** Nothing of it gets into a layer. With `userxattr` overlayfs neither moves a directory by reference nor
//! keeps metadata without content, so no change is elsewhere. Programs cannot set its marks through the overlay.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, fgetxattr, statat};
use rustix::io::Errno;

use super::cursor::{Cursor, NodeId, id};
use crate::index::PathIndex;
use crate::path::LayerPath;

/// A place in an upper directory.
#[derive(Debug)]
pub(super) struct Upper {
    cursor: Cursor,
    /// Directories that are in the layer although they have not changed: no layer below has an entry for them.
    implied: BTreeSet<LayerPath>,
}

/// What an upper directory has for a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: neither it nor anything below it has changed.
    Nothing,
    /// One that stands for itself.
    Opaque,
    /// One that is laid over what is below it.
    Merged,
}

impl Upper {
    pub(super) fn new(upper: BorrowedFd<'_>, index: &PathIndex) -> Result<Self, Errno> {
        let (cursor, _stat) = Cursor::new(upper)?;
        let implied = index.implied_directories();
        Ok(Self { cursor, implied })
    }

    /// Goes down, if there is something.
    pub(super) fn down(&mut self, name: &[u8]) -> Result<Found, Errno> {
        match self.cursor.down(name) {
            Ok(_stat) => {}
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        }
        let mut value = [0; 1];
        match fgetxattr(&self.cursor, "user.overlay.opaque", &mut value) {
            Ok(1) if value == *b"y" => Ok(Found::Opaque),
            Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(Found::Merged),
            Err(error) => Err(error),
        }
    }

    /// Goes up; tells whether that is where it came from.
    pub(super) fn up(&mut self) -> Result<bool, Errno> {
        self.cursor.up()
    }

    /// Returns what tells the node of a name from others, if there is one.
    pub(super) fn identity(&self, name: &[u8]) -> Result<Option<NodeId>, Errno> {
        match statat(&self.cursor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(id(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the directory, in byte order.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.cursor.list()?.names)
    }

    /// Returns the names in a directory that lead to one that is in the layer in any case.
    pub(super) fn ways(&self, directory: &LayerPath) -> BTreeSet<Vec<u8>> {
        names_below(directory, self.implied.range(directory..))
    }
}

/// Returns the names in a directory that lead to paths, which come in order.
pub(super) fn names_below<'a>(
    directory: &LayerPath,
    paths: impl Iterator<Item = &'a LayerPath>,
) -> BTreeSet<Vec<u8>> {
    let above = if directory.is_root() {
        0
    } else {
        directory.as_bytes().len() + 1
    };
    let below = paths.take_while(|path| path.starts_with(directory));
    let names = below.filter_map(|path| {
        let name = path
            .as_bytes()
            .get(above..)?
            .split(|byte| *byte == b'/')
            .next()?;
        (!name.is_empty()).then(|| name.to_vec())
    });
    names.collect()
}
