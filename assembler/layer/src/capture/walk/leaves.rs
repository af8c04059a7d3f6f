//! What is no directory: files, links, devices, pipes.
//!
//! Invariant: what is opened is what was looked at; one that changed in between is an error.

use std::io::{self, Write};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, major, minor, openat, readlinkat};

use super::{Walk, is_same};
use crate::capture::cursor::id;
use crate::capture::{CaptureError, attributes};
use crate::entry::{EntryKind, LayerItem};
use crate::index::IndexKind;

impl<W: Write> Walk<'_, W> {
    pub(super) fn file(&mut self, name: &[u8], stat: &Stat) -> Result<(), CaptureError> {
        let unchanged = self.before().is_some_and(|before| match before.kind {
            // The filesystem may have no inodes that stay, so what took another's place may not have been noticed.
            IndexKind::File => before.size == size(stat) && before.mtime == stat.st_mtime,
            IndexKind::HardLink(_) => true,
            _ => false,
        });
        if unchanged && !self.is_recent(stat) {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = self.open(name, flags, stat)?;
        let identity = if stat.st_nlink > 1 {
            Some(self.identity(name, stat)?)
        } else {
            None
        };
        let first = identity.and_then(|identity| self.first_names.get(&identity));
        let kind = match first.cloned() {
            Some(target) => EntryKind::HardLink { target },
            None => EntryKind::File { size: size(stat) },
        };
        let is_first = matches!(kind, EntryKind::File { .. });
        let xattrs = attributes::of_open(file.as_fd())
            .map_err(|error| self.failed("read attributes of", error))?;
        let entry = self.entry(stat, kind, xattrs)?;
        let path = entry.path.clone();
        if is_first {
            self.put(&LayerItem::Entry(entry), PlainFile(file))?;
            if let Some(identity) = identity {
                self.first_names.insert(identity, path);
            }
            Ok(())
        } else {
            self.put(&LayerItem::Entry(entry), io::empty())
        }
    }

    /// A link, device or pipe.
    pub(super) fn other(
        &mut self,
        name: &[u8],
        stat: &Stat,
        kind: FileType,
    ) -> Result<(), CaptureError> {
        let before = self.before();
        if before.is_some_and(|before| before.kind != IndexKind::Directory) && !self.is_recent(stat)
        {
            return Ok(());
        }
        let device = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match kind {
            FileType::Symlink => EntryKind::Symlink {
                target: readlinkat(&self.cursor, name, Vec::new())
                    .map_err(|error| self.failed("read the link", error))?
                    .into_bytes(),
            },
            FileType::CharacterDevice if device == (0, 0) => {
                let reason = "the device 0:0 stands for a removal in overlay filesystems";
                return Err(CaptureError::Unrepresentable {
                    path: self.layer_path(),
                    reason,
                });
            }
            FileType::CharacterDevice => EntryKind::CharDevice {
                major: device.0,
                minor: device.1,
            },
            FileType::BlockDevice => EntryKind::BlockDevice {
                major: device.0,
                minor: device.1,
            },
            FileType::Fifo => EntryKind::Fifo,
            _ => {
                let reason = "it is of a kind that layers do not have";
                return Err(CaptureError::Unrepresentable {
                    path: self.layer_path(),
                    reason,
                });
            }
        };
        if before.is_none()
            && !self.is_recent(stat)
            && self.path == b"etc/mtab"
            && is_link_to(&kind, b"/proc/mounts")
        {
            // Engines put it into every container.
            return Ok(());
        }
        let node = self.open(
            name,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            stat,
        )?;
        let xattrs = attributes::of_node(node.as_fd())
            .map_err(|error| self.failed("read attributes of", error))?;
        let entry = self.entry(stat, kind, xattrs)?;
        if before.is_some_and(|before| is_same(&before, &entry, stat.st_mtime)) {
            return Ok(());
        }
        self.put(&LayerItem::Entry(entry), io::empty())
    }

    fn open(&self, name: &[u8], flags: OFlags, stat: &Stat) -> Result<OwnedFd, CaptureError> {
        let node = openat(&self.cursor, name, flags, Mode::empty())
            .map_err(|error| self.failed("open", error))?;
        let opened = fstat(&node).map_err(|error| self.failed("stat", error))?;
        if id(&opened) != id(stat) || opened.st_mode != stat.st_mode {
            return Err(CaptureError::Changed {
                path: self.layer_path(),
            });
        }
        Ok(node)
    }
}

/// Reads an open file.
struct PlainFile(OwnedFd);

impl io::Read for PlainFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn is_link_to(kind: &EntryKind, place: &[u8]) -> bool {
    matches!(kind, EntryKind::Symlink { target } if target == place)
}
