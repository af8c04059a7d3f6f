//! The walk itself: one node after the other, in the order of a layer.

mod leaves;
mod listing;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use super::cursor::{Cursor, NodeId};
use super::upper::Upper;
use super::{CaptureError, Extent, Scope, Timestamp, Warning, attributes};
use crate::entry::{Entry, EntryKind, LayerItem};
use crate::index::{IndexEntry, IndexKind, hash_xattrs};
use crate::path::{LayerPath, PathError, WHITEOUT, is_below, printable};
use crate::tar::LayerWriter;

pub(super) struct Walk<'a, W> {
    scope: &'a Scope<'a>,
    writer: &'a mut LayerWriter<W>,
    warn: &'a mut dyn FnMut(Warning),
    cursor: Cursor,
    /// The upper directory, as far down as the walk follows it.
    upper: Option<Upper>,
    /// Where the walk is, as bytes.
    path: Vec<u8>,
    levels: Vec<Level>,
    /// Directories above the current place that are only written if something below them is.
    pending: Vec<Entry>,
    /// The first name of each file with several.
    first_names: BTreeMap<NodeId, LayerPath>,
    root: Stat,
    /// Length of the path of the directory above or here that took another's place; all below it is new.
    replaced: Option<usize>,
    /// The mountpoints that were met.
    covered: Vec<LayerPath>,
}

struct Level {
    names: std::vec::IntoIter<Vec<u8>>,
    /// Length of the directory's own path.
    length: usize,
    look: Look,
}

/// How a directory is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    view: View,
    /// Whether there is an upper directory for it, where the walk has followed.
    is_followed: bool,
}

/// Which names of a directory are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// All.
    Whole,
    /// Those in its upper directory.
    Upper,
    /// None but the ways to what is in the layer anyhow, since the directory has no upper one.
    Ways,
}

impl<'a, W: Write> Walk<'a, W> {
    pub(super) fn new(
        root: BorrowedFd<'_>,
        scope: &'a Scope<'a>,
        writer: &'a mut LayerWriter<W>,
        warn: &'a mut dyn FnMut(Warning),
    ) -> Result<Self, CaptureError> {
        let (cursor, root) =
            Cursor::new(root).map_err(|error| failed("open", LayerPath::root(), error))?;
        let upper = match scope.extent {
            Extent::Upper(upper) => {
                let upper = Upper::new(upper, scope.index);
                Some(upper.map_err(|error| failed("open", LayerPath::root(), error))?)
            }
            Extent::Anywhere(_) | Extent::Tree { .. } => None,
        };
        Ok(Self {
            scope,
            writer,
            warn,
            cursor,
            upper,
            path: Vec::new(),
            levels: Vec::new(),
            pending: Vec::new(),
            first_names: BTreeMap::new(),
            root,
            replaced: None,
            covered: Vec::new(),
        })
    }

    pub(super) fn run(mut self) -> Result<(), CaptureError> {
        self.enter_root()?;
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.length);
            match level.names.next() {
                Some(name) => self.visit(&name)?,
                None => self.leave()?,
            }
        }
        match self.scope.beneath.outside(&self.covered) {
            None => Ok(()),
            Some(path) => Err(CaptureError::Unreachable { path: path.clone() }),
        }
    }

    /// Every engine has a root of its own, so it is only in the layer if it is not what engines make.
    fn enter_root(&mut self) -> Result<(), CaptureError> {
        let entry = self.directory(&self.root.clone())?;
        let is_followed = self.upper.is_some();
        let look = Look {
            view: if is_followed && !self.scope.index.is_empty() {
                View::Upper
            } else {
                View::Whole
            },
            is_followed,
        };
        let plain = |mode, uid, gid, xattrs: Option<[u8; 16]>| (mode, uid, gid, xattrs);
        let found = plain(entry.mode, entry.uid, entry.gid, hash_xattrs(&entry.xattrs));
        let usual = plain(0o755, 0, 0, None);
        if matches!(self.scope.extent, Extent::Tree { .. }) {
            self.writer.append(&LayerItem::Entry(entry), io::empty())?;
            return self.list(look);
        }
        // Podman's, where no layer has one.
        let other_usual = plain(0o555, 0, 0, None);
        let before = match self.scope.index.get_bytes(b"") {
            Some(was) => plain(was.mode, was.uid, was.gid, was.xattrs),
            None if found == other_usual => return self.list(look),
            None => usual,
        };
        if found != before || found != usual {
            self.writer.append(&LayerItem::Entry(entry), io::empty())?;
        }
        self.list(look)
    }

    fn visit(&mut self, name: &[u8]) -> Result<(), CaptureError> {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        if self.is_skipped() {
            return self.put_beneath();
        }
        if name.starts_with(WHITEOUT) {
            let source = PathError::Reserved {
                path: printable(&self.path),
            };
            return Err(CaptureError::Name { source });
        }
        let stat = statat(&self.cursor, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed("stat", error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.enter(name),
            FileType::RegularFile => self.file(name, &stat),
            FileType::Socket => {
                if self.is_recent(&stat) {
                    let path = self.layer_path();
                    (self.warn)(Warning::Socket { path });
                }
                Ok(())
            }
            kind => self.other(name, &stat, kind),
        }
    }

    fn enter(&mut self, name: &[u8]) -> Result<(), CaptureError> {
        let stat = self
            .cursor
            .down(name)
            .map_err(|error| self.failed("open", error))?;
        let mut entry = self.directory(&stat)?;
        let before = self
            .before()
            .filter(|before| before.kind == IndexKind::Directory);
        let look = self.look(name)?;
        let is_another = match self.scope.extent {
            Extent::Anywhere(places) => places.is_another(&self.path, stat.st_ino),
            // It is not laid over the one that was here.
            Extent::Upper(_) => look.view == View::Whole && before.is_some(),
            Extent::Tree { .. } => false,
        };
        if self.replaced.is_none() && self.is_recent(&stat) && is_another {
            self.replaced = Some(self.path.len());
        }
        let unchanged = match before {
            Some(before) if !self.is_recent(&stat) || is_same(&before, &entry, stat.st_mtime) => {
                // Engines make some directories anew in every container, with mtimes of no layer.
                entry.mtime = before.mtime;
                true
            }
            // The engine made it to mount something below it.
            None if self.has_skipped_below() => {
                // Podman's way to make one.
                if entry.mode == 0o1755 {
                    entry.mode = 0o755;
                }
                !self.is_recent(&stat)
            }
            Some(_) | None => false,
        };
        if unchanged {
            self.pending.push(entry);
        } else {
            self.put(&LayerItem::Entry(entry), io::empty())?;
        }
        if self.is_closed(&stat) {
            self.tell_of_closed(&stat);
            self.levels.push(Level {
                names: Vec::new().into_iter(),
                length: self.path.len(),
                look,
            });
            return Ok(());
        }
        self.list(look)
    }

    /// Tells whether what is in the directory here belongs to the machine and not to the tree.
    fn is_closed(&self, stat: &Stat) -> bool {
        let is_systems = matches!(self.path.as_slice(), b"proc" | b"sys");
        let Extent::Tree { mounted, .. } = self.scope.extent else {
            return false;
        };
        is_systems || stat.st_dev != self.root.st_dev || mounted.contains(&self.layer_path())
    }

    /// Warns of a filesystem within the tree that no list of mounts names: a subvolume of btrfs is one.
    fn tell_of_closed(&mut self, stat: &Stat) {
        let path = self.layer_path();
        let top = self.path.split(|byte| *byte == b'/').next();
        if let Extent::Tree { mounted, .. } = self.scope.extent
            && !matches!(top, Some(b"proc" | b"sys" | b"dev"))
            && stat.st_dev != self.root.st_dev
            && !mounted.contains(&path)
        {
            (self.warn)(Warning::Filesystem { path });
        }
    }

    /// Writes what was put at the mountpoint here and below it.
    fn put_beneath(&mut self) -> Result<(), CaptureError> {
        let here = self.layer_path();
        let beneath = self.scope.beneath;
        let mut first_names = BTreeMap::new();
        for node in beneath.at_or_below(&here) {
            let mut entry = node.entry.clone();
            let before = self.scope.index.get(&entry.path);
            let is_way = entry.kind == EntryKind::Directory
                && before.is_some_and(|before| is_same(&before, &entry, entry.mtime));
            if let Some(latest) = self.scope.latest {
                entry.mtime = entry.mtime.min(latest);
            }
            self.pending.retain(|above| {
                !above.path.starts_with(&here) || entry.path.starts_with(&above.path)
            });
            if is_way {
                self.pending.push(entry);
                continue;
            }
            if matches!(entry.kind, EntryKind::File { .. }) {
                if let Some(target) = first_names.get(&node.file) {
                    entry.kind = EntryKind::HardLink {
                        target: LayerPath::clone(target),
                    };
                    self.put(&LayerItem::Entry(entry), io::empty())?;
                    continue;
                }
                first_names.insert(node.file, entry.path.clone());
            }
            self.put(&LayerItem::Entry(entry), beneath.content_of(node))?;
        }
        self.pending.retain(|above| !above.path.starts_with(&here));
        self.covered.push(here);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), CaptureError> {
        if self
            .pending
            .last()
            .is_some_and(|pending| pending.path.as_bytes() == self.path)
        {
            self.pending.pop();
        }
        let left = self.levels.pop();
        if self.replaced == Some(self.path.len()) {
            self.replaced = None;
        }
        let is_followed = left.is_some_and(|level| level.look.is_followed);
        let upper = self.upper.as_mut().filter(|_| is_followed);
        let up = upper.map_or(Ok(true), Upper::up);
        match up.and_then(|is_it| Ok(self.cursor.up()? && is_it)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CaptureError::Changed {
                path: self.layer_path(),
            }),
            Err(error) => Err(self.failed("leave", error)),
        }
    }

    fn directory(&mut self, stat: &Stat) -> Result<Entry, CaptureError> {
        let xattrs = attributes::of_open(self.cursor.as_fd())
            .map_err(|error| self.failed("read attributes of", error))?;
        self.entry(stat, EntryKind::Directory, xattrs)
    }

    fn entry(
        &mut self,
        stat: &Stat,
        kind: EntryKind,
        mut xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<Entry, CaptureError> {
        let path = self.layer_path();
        if let Extent::Tree {
            nobody: Some(nobody),
            ..
        } = self.scope.extent
            && (stat.st_uid == nobody || stat.st_gid == nobody)
        {
            return Err(CaptureError::Owner { path });
        }
        xattrs.retain(|name, _value| {
            let can_be_said = !name.contains(&b'=');
            if !can_be_said {
                (self.warn)(Warning::Attribute {
                    path: path.clone(),
                    name: printable(name),
                });
            }
            can_be_said
        });
        Ok(Entry {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: u64::from(stat.st_uid),
            gid: u64::from(stat.st_gid),
            mtime: self
                .scope
                .latest
                .map_or(stat.st_mtime, |latest| stat.st_mtime.min(latest)),
            xattrs,
        })
    }

    /// Writes an item, and before it the directories that lead to it.
    fn put(&mut self, item: &LayerItem, content: impl io::Read) -> Result<(), CaptureError> {
        for directory in self.pending.drain(..) {
            self.writer
                .append(&LayerItem::Entry(directory), io::empty())?;
        }
        Ok(self.writer.append(item, content)?)
    }

    /// Returns what was here before; nothing where another directory was in the place of this one.
    fn before(&self) -> Option<IndexEntry<'a>> {
        match self.replaced {
            Some(_) => None,
            None => self.scope.index.get_bytes(&self.path),
        }
    }

    fn is_recent(&self, stat: &Stat) -> bool {
        let nanoseconds = u32::try_from(stat.st_ctime_nsec).unwrap_or(0);
        Timestamp {
            seconds: stat.st_ctime,
            nanoseconds,
        } >= self.scope.since
    }

    fn is_skipped(&self) -> bool {
        self.scope.skip.contains(&self.layer_path())
    }

    fn has_skipped_below(&self) -> bool {
        let here = self.layer_path();
        self.scope
            .skip
            .range(here..)
            .next()
            .is_some_and(|next| is_below(next.as_bytes(), &self.path))
    }

    fn layer_path(&self) -> LayerPath {
        LayerPath::from_normal(self.path.clone())
    }

    fn failed(&self, action: &'static str, error: Errno) -> CaptureError {
        failed(action, self.layer_path(), error)
    }
}

fn failed(action: &'static str, path: LayerPath, error: Errno) -> CaptureError {
    CaptureError::Io {
        action,
        path,
        source: error.into(),
    }
}

/// Tells whether a node that is no regular file is as the index says.
fn is_same(before: &IndexEntry<'_>, entry: &Entry, mtime: i64) -> bool {
    let kind = match (&before.kind, &entry.kind) {
        (IndexKind::Directory, EntryKind::Directory) | (IndexKind::Fifo, EntryKind::Fifo) => true,
        (IndexKind::Symlink(was), EntryKind::Symlink { target }) => was == target,
        (IndexKind::CharDevice(a, b), EntryKind::CharDevice { major, minor })
        | (IndexKind::BlockDevice(a, b), EntryKind::BlockDevice { major, minor }) => {
            (a, b) == (major, minor)
        }
        _ => false,
    };
    let owner = (before.uid, before.gid) == (entry.uid, entry.gid);
    kind && owner
        && before.mode == entry.mode
        && before.mtime == mtime
        && before.xattrs == hash_xattrs(&entry.xattrs)
}
