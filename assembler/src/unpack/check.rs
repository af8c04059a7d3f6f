//! Whether an unpacked layer still is what its index says.
//!
//! Compared are names, kinds, modes, owners, sizes, times and targets of links; content is not read: whoever changes it
//! leaves a time behind, and a disk that forgot it, a size. Directories that the layer leaves out may have anything.
//!
//! Invariant: it only reads, and follows nothing.

use std::{collections::BTreeSet, os::fd::BorrowedFd};

use layer::{IndexEntry, IndexKind, LayerPath, PathIndex};
use rustix::{
    fs::{AtFlags, FileType, RawDir, Stat, fstat, readlinkat, statat},
    io::Errno,
};

use super::{UnpackError, beneath::Directories};

/// How many are named.
const NAMED: usize = 20;

/// Something about an unpacked layer that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Where.
    pub path: String,
    /// What, as in "`path` …".
    pub what: &'static str,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.what)
    }
}

/// Compares an unpacked layer with its own index; returns the first differences.
pub fn check_tree(root: BorrowedFd<'_>, index: &PathIndex) -> Result<Vec<Difference>, UnpackError> {
    let mut check = Check {
        index,
        directories: Directories::new(root),
        whiteouts: BTreeSet::new(),
        found: Vec::new(),
        is_crooked: false,
    };
    check.entries()?;
    // Where names lead through other entries of the layer, the index does not say what is where.
    if !check.is_crooked && check.found.len() < NAMED {
        check.names()?;
    }
    Ok(check.found)
}

struct Check<'a> {
    index: &'a PathIndex,
    directories: Directories<'a>,
    whiteouts: BTreeSet<LayerPath>,
    found: Vec<Difference>,
    is_crooked: bool,
}

impl Check<'_> {
    fn entries(&mut self) -> Result<(), UnpackError> {
        let mut file: Option<LayerPath> = None;
        for entry in self.index.iter() {
            let path = entry.path();
            if entry.kind == IndexKind::Whiteout {
                self.whiteouts.insert(path);
                continue;
            }
            if entry.is_marker() {
                continue;
            }
            if file.as_ref().is_some_and(|file| path.starts_with(file)) {
                self.is_crooked = true;
                continue;
            }
            if entry.kind != IndexKind::Directory {
                file = Some(path.clone());
            }
            if let Some(what) = self.compare(&path, &entry)? {
                self.add(&path, what);
                if self.found.len() >= NAMED {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        path: &LayerPath,
        entry: &IndexEntry<'_>,
    ) -> Result<Option<&'static str>, UnpackError> {
        let failed = |error| UnpackError::io("read", path, error);
        if matches!(
            entry.kind,
            IndexKind::CharDevice(..) | IndexKind::BlockDevice(..)
        ) {
            return Ok(None);
        }
        let Some(stat) = self.stat(path).map_err(failed)? else {
            return Ok((!self.is_left_out(entry)).then_some("is missing"));
        };
        if let IndexKind::HardLink(target) = entry.kind {
            let Ok(target) = LayerPath::new(target) else {
                return Ok(None);
            };
            return Ok(match self.stat(&target).map_err(failed)? {
                Some(other) if other.st_ino == stat.st_ino => None,
                _ => Some("is no hard link any more"),
            });
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        let expected = match entry.kind {
            IndexKind::Directory => FileType::Directory,
            IndexKind::Symlink(_) => FileType::Symlink,
            IndexKind::Fifo => FileType::Fifo,
            _ => FileType::RegularFile,
        };
        if kind != expected {
            return Ok(Some("is something else"));
        }
        if let IndexKind::Symlink(target) = entry.kind {
            let parent = path.parent().unwrap_or_default();
            let directory = self.directories.get(&parent).map_err(failed)?;
            let there = readlinkat(&directory, path.base_name(), Vec::new()).map_err(failed)?;
            if there.as_bytes() != target {
                return Ok(Some("leads elsewhere"));
            }
        } else if stat.st_mode & 0o7777 != entry.mode & 0o7777 {
            return Ok(Some("has another mode"));
        }
        Ok(
            if (u64::from(stat.st_uid), u64::from(stat.st_gid)) != (entry.uid, entry.gid) {
                Some("has another owner")
            } else if kind == FileType::RegularFile && u64::try_from(stat.st_size) != Ok(entry.size)
            {
                Some("has another size")
            } else if stat.st_mtime != entry.mtime {
                Some("was changed")
            } else {
                None
            },
        )
    }

    /// Tells whether an entry is another name of a device.
    fn is_left_out(&self, entry: &IndexEntry<'_>) -> bool {
        let mut kind = entry.kind;
        for _ in 0..NAMED {
            let IndexKind::HardLink(target) = kind else {
                break;
            };
            let target = LayerPath::new(target).ok();
            match target.and_then(|target| self.index.get(&target)) {
                Some(entry) => kind = entry.kind,
                None => return false,
            }
        }
        matches!(kind, IndexKind::CharDevice(..) | IndexKind::BlockDevice(..))
    }

    /// Looks for names that the layer does not have.
    fn names(&mut self) -> Result<(), UnpackError> {
        let mut directories = vec![LayerPath::root()];
        while let Some(path) = directories.pop() {
            let failed = |error| UnpackError::io("list", &path, error);
            let known: BTreeSet<&[u8]> = self.index.children(&path).into_iter().collect();
            for (name, kind) in self.list(&path).map_err(failed)? {
                let Ok(below) = path.join(&name) else {
                    // No layer can have such a name.
                    self.add(&path, "has something in it that no layer can hold");
                    continue;
                };
                let is_there = match kind {
                    FileType::CharacterDevice => self.whiteouts.contains(&below),
                    _ => known.contains(name.as_slice()),
                };
                if !is_there && !self.is_way_of_whiteout(&below) {
                    self.add(&below, "is not of the layer");
                    if self.found.len() >= NAMED {
                        return Ok(());
                    }
                } else if kind == FileType::Directory {
                    directories.push(below);
                }
            }
        }
        Ok(())
    }

    fn is_way_of_whiteout(&self, path: &LayerPath) -> bool {
        self.whiteouts
            .range(path..)
            .next()
            .is_some_and(|next| next.starts_with(path))
            || self
                .index
                .iter()
                .any(|entry| entry.kind == IndexKind::Opaque && entry.path().starts_with(path))
    }

    fn list(&mut self, path: &LayerPath) -> Result<Vec<(Vec<u8>, FileType)>, Errno> {
        let directory = self.directories.get(path)?;
        rustix::fs::seek(&directory, rustix::fs::SeekFrom::Start(0))?;
        let mut buffer = Vec::with_capacity(1 << 15);
        let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push((name.to_vec(), entry.file_type()));
            }
        }
        Ok(names)
    }

    fn stat(&mut self, path: &LayerPath) -> Result<Option<Stat>, Errno> {
        let absent = |error| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Ok(None),
            error => Err(error),
        };
        let Some(parent) = path.parent() else {
            let root = self.directories.get(path)?;
            return fstat(&root).map(Some);
        };
        let directory = match self.directories.get(&parent) {
            Ok(directory) => directory,
            Err(error) => return absent(error),
        };
        statat(&directory, path.base_name(), AtFlags::SYMLINK_NOFOLLOW)
            .map(Some)
            .or_else(absent)
    }

    fn add(&mut self, path: &LayerPath, what: &'static str) {
        self.found.push(Difference {
            path: path.to_string(),
            what,
        });
    }
}
