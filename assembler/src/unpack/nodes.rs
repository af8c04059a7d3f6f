//! Making the nodes of a layer.
//!
//! Invariant: a node is made anew by one name in an open directory, never written through what was there.

use std::{
    io::{self, Read as _},
    os::fd::{AsFd as _, OwnedFd},
    rc::Rc,
};

use layer::{Entry, EntryKind, LayerPath};
use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, SeekFrom, ftruncate, linkat, mkdirat, mknodat, openat,
        seek, statat, symlinkat,
    },
    io::Errno,
};

use super::{
    BLOCK, SkipReason, Tar, UnpackError, Unpacking,
    dress::{Dress, Dressing, clear_attributes, set_attributes},
    remove::remove_tree,
};

impl Unpacking<'_> {
    /// Puts an entry where it belongs.
    pub(super) fn entry(&mut self, entry: Entry, content: &mut Tar<'_>) -> Result<(), UnpackError> {
        let mut entry = entry;
        if entry.xattrs.contains_key(layer::IMPLIED) {
            // Only our own archives say so, and none of them is a layer.
            entry.xattrs.remove(layer::IMPLIED);
        }
        let Some(parent) = entry.path.parent() else {
            return self.root_entry(&entry);
        };
        let parent = self.links.resolve(&parent, &entry.path)?;
        let path = beneath(&parent, &entry.path)?;
        if path.as_bytes().split(|byte| *byte == b'/').count() > self.limits.depth {
            return Err(UnpackError::Limit {
                path: entry.path,
                what: "its depth",
                limit: self.limits.depth as u64,
            });
        }
        self.make_directories(&parent, &entry.path)?;
        entry.path = path;
        self.absent.remove(&entry.path);
        let directory = self.open(&parent)?;
        match self.make(&directory, &entry, content)? {
            Made::Done => {}
            Made::InTheWay => {
                self.clear(&directory, &entry.path)?;
                if let Made::InTheWay = self.make(&directory, &entry, content)? {
                    return Err(UnpackError::io("create", &entry.path, Errno::EXIST));
                }
            }
        }
        self.entries += 1;
        Ok(())
    }

    /// Makes the directories that lead to a place, if they are not there.
    pub(super) fn make_directories(
        &mut self,
        path: &LayerPath,
        whose: &LayerPath,
    ) -> Result<(), UnpackError> {
        if self.made.contains_key(path) {
            return Ok(());
        }
        let mut missing = vec![path.clone()];
        while let Some(above) = missing.last().and_then(LayerPath::parent) {
            if self.made.contains_key(&above) {
                break;
            }
            missing.push(above);
        }
        for path in missing.into_iter().rev() {
            let parent = self.open(&path.parent().unwrap_or_default())?;
            match mkdirat(&parent, path.base_name(), Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    return Err(UnpackError::NotDirectory {
                        path: whose.clone(),
                        parent: path,
                    });
                }
                Err(error) => return Err(UnpackError::io("create", &path, error)),
            }
            self.entries += 1;
            self.bytes += BLOCK;
            self.made.insert(path, None);
        }
        Ok(())
    }

    pub(super) fn open(&mut self, path: &LayerPath) -> Result<Rc<OwnedFd>, UnpackError> {
        self.directories
            .get(path)
            .map_err(|error| UnpackError::io("open", path, error))
    }

    fn root_entry(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        self.made.insert(LayerPath::root(), Some(Dress::of(entry)?));
        set_attributes(self.root, &entry.path, &entry.xattrs, &mut self.skips)
    }

    /// Makes a node, unless something is in the way.
    fn make(
        &mut self,
        directory: &OwnedFd,
        entry: &Entry,
        content: &mut Tar<'_>,
    ) -> Result<Made, UnpackError> {
        let name = entry.path.base_name();
        let made = match &entry.kind {
            EntryKind::File { size } => return self.file(directory, entry, (*size, content)),
            EntryKind::Directory => return self.directory(directory, entry),
            EntryKind::HardLink { target } => {
                return self.hard_link(directory, &entry.path, target);
            }
            EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => {
                return self.device(directory, entry);
            }
            EntryKind::Symlink { target } => symlinkat(target.as_slice(), directory, name),
            EntryKind::Fifo => mknodat(directory, name, FileType::Fifo, Mode::RUSR, 0),
        };
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(Made::InTheWay),
            Err(error) => return Err(UnpackError::io("create", &entry.path, error)),
        }
        let dressing = match &entry.kind {
            EntryKind::Symlink { target } => {
                self.links.insert(entry.path.clone(), target.clone());
                Dressing::WithoutMode
            }
            _ => Dressing::WithMode,
        };
        self.dresser.named(directory, entry, dressing)?;
        for name in entry.xattrs.keys().filter(|name| !layer::is_of_host(name)) {
            let name = layer::printable(name);
            self.skips.add(&entry.path, SkipReason::Attribute { name });
        }
        Ok(Made::Done)
    }

    fn directory(&mut self, parent: &OwnedFd, entry: &Entry) -> Result<Made, UnpackError> {
        let dress = Dress::of(entry)?;
        let is_known = self.made.contains_key(&entry.path);
        if !is_known {
            match mkdirat(parent, entry.path.base_name(), Mode::RWXU) {
                Ok(()) => self.bytes += BLOCK,
                Err(Errno::EXIST) => return Ok(Made::InTheWay),
                Err(error) => return Err(UnpackError::io("create", &entry.path, error)),
            }
        }
        if is_known || !entry.xattrs.is_empty() {
            let directory = self.open(&entry.path)?;
            if is_known {
                clear_attributes(directory.as_fd());
            }
            set_attributes(
                directory.as_fd(),
                &entry.path,
                &entry.xattrs,
                &mut self.skips,
            )?;
        }
        self.made.insert(entry.path.clone(), Some(dress));
        Ok(Made::Done)
    }

    fn file(
        &mut self,
        directory: &OwnedFd,
        entry: &Entry,
        (size, content): (u64, &mut Tar<'_>),
    ) -> Result<Made, UnpackError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = match openat(directory, entry.path.base_name(), flags, mode) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(Made::InTheWay),
            Err(error) => return Err(UnpackError::io("create", &entry.path, error)),
        };
        self.fill(&file, &entry.path, (size, content))?;
        self.dresser.file(file.as_fd(), entry, &mut self.skips)?;
        Ok(Made::Done)
    }

    fn fill(
        &mut self,
        file: &OwnedFd,
        path: &LayerPath,
        (size, content): (u64, &mut Tar<'_>),
    ) -> Result<(), UnpackError> {
        let failed = |error| UnpackError::io("write", path, error);
        let (mut position, mut written) = (0, 0);
        while position < size {
            let hole = content.skip_hole();
            if hole > 0 {
                position += hole;
                seek(file, SeekFrom::Start(position)).map_err(failed)?;
                continue;
            }
            let want = usize::try_from(size - position)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let buffer = self.buffer.get_mut(..want).unwrap_or_default();
            let got = match content.read(buffer) {
                Ok(0) => {
                    let source = io::ErrorKind::UnexpectedEof.into();
                    let path = path.clone();
                    return Err(UnpackError::Content { path, source });
                }
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let path = path.clone();
                    return Err(UnpackError::Content { path, source });
                }
            };
            self.content += got as u64;
            if self.content > self.limits.content {
                return Err(UnpackError::Limit {
                    path: path.clone(),
                    what: "the size of all files",
                    limit: self.limits.content,
                });
            }
            let mut rest = buffer.get(..got).unwrap_or_default();
            while !rest.is_empty() {
                let count = rustix::io::write(file, rest).map_err(failed)?;
                rest = rest.get(count..).unwrap_or_default();
            }
            position += got as u64;
            written += got as u64;
        }
        if written < size {
            ftruncate(file, size).map_err(failed)?;
        }
        self.bytes += written.next_multiple_of(BLOCK);
        Ok(())
    }

    fn hard_link(
        &mut self,
        directory: &OwnedFd,
        path: &LayerPath,
        target: &LayerPath,
    ) -> Result<Made, UnpackError> {
        let wrong = || UnpackError::HardLink {
            path: path.clone(),
            target: target.clone(),
        };
        let parent = self
            .links
            .resolve(&target.parent().unwrap_or_default(), path)?;
        let target = beneath(&parent, target)?;
        if self.absent.contains(&target) {
            self.absent.insert(path.clone());
            self.skips.add(path, SkipReason::LinkToSkipped);
            return self.stay_away(directory, path);
        }
        if !self.made.contains_key(&parent) || self.made.contains_key(&target) {
            return Err(wrong());
        }
        let there = self.open(&parent)?;
        match linkat(
            &there,
            target.base_name(),
            directory,
            path.base_name(),
            AtFlags::empty(),
        ) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Err(wrong()),
            Err(Errno::EXIST) if *path == target => return Err(wrong()),
            Err(Errno::EXIST) => return Ok(Made::InTheWay),
            Err(error) => return Err(UnpackError::io("link", path, error)),
        }
        if let Some(link) = self.links.get(&target).cloned() {
            self.links.insert(path.clone(), link);
        }
        Ok(Made::Done)
    }

    /// Leaves a device out; what an earlier entry put there goes all the same.
    fn device(&mut self, directory: &OwnedFd, entry: &Entry) -> Result<Made, UnpackError> {
        if self.absent.insert(entry.path.clone()) {
            self.skips.add(&entry.path, SkipReason::Device);
        }
        self.stay_away(directory, &entry.path)
    }

    fn stay_away(&mut self, directory: &OwnedFd, path: &LayerPath) -> Result<Made, UnpackError> {
        match statat(directory, path.base_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => {
                self.clear(directory, path)?;
                self.absent.insert(path.clone());
                Ok(Made::Done)
            }
            Err(Errno::NOENT) => Ok(Made::Done),
            Err(error) => Err(UnpackError::io("read", path, error)),
        }
    }

    /// Removes what an earlier entry put somewhere.
    fn clear(&mut self, directory: &OwnedFd, path: &LayerPath) -> Result<(), UnpackError> {
        self.directories.forget(path);
        self.links.forget(path);
        let below: Vec<LayerPath> = self
            .made
            .range(path..)
            .take_while(|(there, _)| there.starts_with(path))
            .map(|(there, _)| there.clone())
            .collect();
        for path in below {
            self.made.remove(&path);
        }
        let absent: Vec<LayerPath> = self
            .absent
            .range(path..)
            .take_while(|there| there.starts_with(path))
            .cloned()
            .collect();
        for path in absent {
            self.absent.remove(&path);
        }
        remove_tree(directory.as_fd(), path.base_name()).map_err(|source| UnpackError::Io {
            doing: "replace",
            path: path.clone(),
            source,
        })
    }
}

/// What came of making a node.
enum Made {
    Done,
    InTheWay,
}

/// Returns the place of an entry's last name in a directory that is free of links.
fn beneath(parent: &LayerPath, path: &LayerPath) -> Result<LayerPath, UnpackError> {
    parent
        .join(path.base_name())
        .map_err(|source| UnpackError::Astray {
            path: path.clone(),
            source,
        })
}
