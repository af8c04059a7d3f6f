//! Which names of a directory the walk looks at, and which are gone.
//!
//! Invariant: of the names that are not looked at, none would be in the layer.

use std::io::{self, Write};

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use super::{Level, Look, View, Walk};
use crate::capture::CaptureError;
use crate::capture::cursor::{NodeId, id};
use crate::capture::upper::Found;
use crate::entry::LayerItem;
use crate::index::IndexKind;

/// Names of a directory, in byte order.
struct Names {
    /// Those to look at.
    there: Vec<Vec<u8>>,
    /// Those of which no layer can have what is there, if anything is, but the index has what was.
    gone: Vec<Vec<u8>>,
}

impl<W: Write> Walk<'_, W> {
    /// Decides how to look at the directory that was entered.
    pub(super) fn look(&mut self, name: &[u8]) -> Result<Look, CaptureError> {
        let whole = Look {
            view: View::Whole,
            is_followed: false,
        };
        let above = self.levels.last().map_or(whole, |level| level.look);
        let found = match &mut self.upper {
            Some(upper) if above.is_followed => upper.down(name),
            _ => Ok(Found::Nothing),
        };
        let found = found.map_err(|error| self.failed("open", error))?;
        let is_over_another = || self.scope.index.has_directory(&self.path);
        let view = match (above.view, found) {
            (View::Whole, _) | (_, Found::Opaque) => View::Whole,
            (_, Found::Nothing) => View::Ways,
            (_, Found::Merged) if is_over_another() => View::Upper,
            // All that is in it is new.
            (_, Found::Merged) => View::Whole,
        };
        Ok(Look {
            view,
            is_followed: found != Found::Nothing,
        })
    }

    /// Returns what tells a file with several names from others.
    ///
    /// In a user namespace overlayfs gives a name of a file that it copied up another inode than the others, but in the
    /// upper directory they are what they are.
    pub(super) fn identity(&self, name: &[u8], stat: &Stat) -> Result<NodeId, CaptureError> {
        let is_followed = self
            .levels
            .last()
            .is_some_and(|level| level.look.is_followed);
        let found = match &self.upper {
            Some(upper) if is_followed => upper.identity(name),
            _ => Ok(None),
        };
        let found = found.map_err(|error| self.failed("stat", error))?;
        Ok(found.unwrap_or_else(|| id(stat)))
    }

    /// Lists the directory the cursor is in, and writes what is gone from it.
    pub(super) fn list(&mut self, look: Look) -> Result<(), CaptureError> {
        let beneath = self.scope.beneath.names_in(&self.layer_path());
        let Names { mut there, gone } = match look.view {
            View::Whole => self.all_names()?,
            View::Upper | View::Ways => self.changed_names(look.view)?,
        };
        for name in gone {
            if !beneath.contains(&name) {
                self.gone(&name)?;
            }
        }
        for name in beneath {
            if let Err(place) = there.binary_search(&name) {
                there.insert(place, name);
            }
        }
        self.levels.push(Level {
            names: there.into_iter(),
            length: self.path.len(),
            look,
        });
        Ok(())
    }

    fn all_names(&self) -> Result<Names, CaptureError> {
        let listing = self
            .cursor
            .list()
            .map_err(|error| self.failed("list", error))?;
        let before = self.scope.index.get_bytes(&self.path);
        let mut gone = Vec::new();
        if before.is_none_or(|before| before.kind == IndexKind::Directory) {
            for name in self.scope.index.child_names(&self.path) {
                let found = listing
                    .names
                    .binary_search_by(|there| there.as_slice().cmp(name));
                if found.is_err() {
                    gone.push(name.to_vec());
                }
            }
        }
        for name in listing.sockets {
            if self.is_before(&name) && self.kind(&name)? == Some(FileType::Socket) {
                gone.push(name);
            }
        }
        gone.sort_unstable();
        let there = listing.names;
        Ok(Names { there, gone })
    }

    /// Returns the names that changes in a directory can have.
    fn changed_names(&self, view: View) -> Result<Names, CaptureError> {
        let mut names = Vec::new();
        if let Some(upper) = &self.upper {
            if view == View::Upper {
                names = upper.names().map_err(|error| self.failed("list", error))?;
            }
            names.extend(upper.ways(&self.layer_path()));
        }
        names.sort_unstable();
        names.dedup();
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for name in names {
            let kind = self.kind(&name)?;
            // Without a kind the name is the mark of a removal, which also stays of what came and went.
            if matches!(kind, None | Some(FileType::Socket)) && self.is_before(&name) {
                gone.push(name.clone());
            }
            if kind.is_some() {
                there.push(name);
            }
        }
        Ok(Names { there, gone })
    }

    /// Tells whether there was something of this name in the directory that the walk is in.
    fn is_before(&self, name: &[u8]) -> bool {
        self.scope.index.has_child(&self.path, name)
    }

    /// Returns what is at a name, if anything is.
    fn kind(&self, name: &[u8]) -> Result<Option<FileType>, CaptureError> {
        match statat(&self.cursor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("stat", error)),
        }
    }

    fn gone(&mut self, name: &[u8]) -> Result<(), CaptureError> {
        let length = self.path.len();
        if length > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        let (skipped, path) = (self.is_skipped(), self.layer_path());
        self.path.truncate(length);
        if skipped {
            Ok(())
        } else {
            self.put(&LayerItem::Whiteout(path), io::empty())
        }
    }
}
