//! Puts the entries of a tar below a directory, as builders of Dockerfiles copy files.
//!
//! Invariant: a file is made anew and never written through what was there, so that neither a pipe nor a device nor a
//! link takes its content.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use layer::tar::{LayerReader, Limits, ReadError};
use layer::{Entry, EntryKind, IMPLIED, LayerItem, LayerPath};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use super::place::{Given, make_directories, resolve, set_mtime};
use super::spec::{Conflict, Destination};

/// What is put where.
pub(super) struct Unpacking<'a> {
    pub(super) to: &'a str,
    pub(super) destination: Destination,
    pub(super) conflict: Conflict,
    pub(super) given: Given,
}

/// Why files could not be put there.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("the files that were sent cannot be read")]
    Read(#[from] ReadError),
    /// The source names the file.
    #[error("a file cannot be put there")]
    File(#[from] io::Error),
    #[error("{} is a directory, which no file replaces", path.display())]
    IsDirectory { path: PathBuf },
    #[error("{} is not a directory, and no directory replaces it", path.display())]
    NotDirectory { path: PathBuf },
    #[error("more than one file cannot be named {to}")]
    Many { to: String },
    #[error("{path} is marked as removed, which only layers can say")]
    Removed { path: LayerPath },
}

/// Where entries go.
enum Base {
    /// Below a directory.
    Below(PathBuf),
    /// There is one entry, and this is its place.
    At(PathBuf),
}

/// Unpacks everything.
pub(super) fn unpack(tar: impl Read, what: &Unpacking<'_>) -> Result<(), UnpackError> {
    let mut reader = LayerReader::new(BufReader::with_capacity(1 << 18, tar), Limits::default());
    let (base, is_new) = what.base()?;
    // Writing below a directory changes its time, so these come last.
    let mut times = BTreeMap::new();
    let mut first = true;
    while let Some(item) = reader.next_item()? {
        let entry = match item {
            LayerItem::Entry(entry) => entry,
            LayerItem::Whiteout(path) | LayerItem::Opaque(path) => {
                return Err(UnpackError::Removed { path });
            }
        };
        let place = match &base {
            Base::Below(directory) if entry.path.is_root() => {
                if is_new {
                    times.insert(directory.clone(), entry.mtime);
                }
                continue;
            }
            Base::Below(directory) => below(directory, &entry.path),
            Base::At(_) if !first || entry.kind == EntryKind::Directory => {
                return Err(UnpackError::Many {
                    to: what.to.to_owned(),
                });
            }
            Base::At(place) => place.clone(),
        };
        first = false;
        if entry.xattrs.contains_key(IMPLIED) {
            make_directories(&place, Given::default())?;
            continue;
        }
        what.put(&entry, (&place, &base), &mut reader)?;
        if entry.kind == EntryKind::Directory {
            times.insert(place, entry.mtime);
        }
    }
    for (place, mtime) in times.into_iter().rev() {
        set_mtime(&place, mtime, 0)?;
    }
    Ok(())
}

impl Unpacking<'_> {
    /// Finds the place, and makes the directories that lead there; tells whether the place itself is new.
    fn base(&self) -> Result<(Base, bool), UnpackError> {
        let place = resolve(self.to)?;
        let is_directory = match self.destination {
            Destination::Directory => true,
            Destination::Auto => self.to.ends_with('/') || place.is_dir(),
        };
        if is_directory {
            let is_new = make_directories(&place, self.given)?;
            return Ok((Base::Below(place), is_new));
        }
        if let Some(parent) = place.parent() {
            make_directories(parent, self.given)?;
        }
        Ok((Base::At(place), false))
    }

    fn put(
        &self,
        entry: &Entry,
        (place, base): (&Path, &Base),
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let there = self.make_room(place, &entry.kind)?;
        if !there && let Some(parent) = place.parent() {
            make_directories(parent, self.given)?;
        }
        match &entry.kind {
            EntryKind::Directory if there => {}
            EntryKind::Directory => fs::create_dir(place)?,
            EntryKind::File { .. } => {
                let mut options = fs::OpenOptions::new();
                options.options_mut().mode(0o600);
                let mut file = options.write(true).create_new(true).open(place)?;
                io::copy(content, &mut file)?;
            }
            EntryKind::Symlink { target } => {
                fs::os::unix::fs::symlink(OsStr::from_bytes(target), place)?;
            }
            EntryKind::HardLink { target } => {
                let target = match base {
                    Base::Below(directory) => below(directory, target),
                    Base::At(_) => {
                        return Err(UnpackError::Many {
                            to: self.to.to_owned(),
                        });
                    }
                };
                // It has the metadata of its first name.
                return Ok(fs::hard_link(target, place)?);
            }
            EntryKind::CharDevice { major, minor } => {
                node(place, FileType::CharacterDevice, (*major, *minor))?;
            }
            EntryKind::BlockDevice { major, minor } => {
                node(place, FileType::BlockDevice, (*major, *minor))?;
            }
            EntryKind::Fifo => node(place, FileType::Fifo, (0, 0))?,
        }
        self.dress(entry, place)
    }

    /// Removes what is in the way; tells whether a directory is there already and stays.
    fn make_room(&self, place: &Path, wanted: &EntryKind) -> Result<bool, UnpackError> {
        let for_directory = *wanted == EntryKind::Directory;
        let is_directory = match fs::symlink_metadata(place) {
            Ok(metadata) => metadata.is_dir(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        match (is_directory, for_directory, self.conflict) {
            (true, true, _) => return Ok(true),
            (false, false, _) | (false, true, Conflict::Replace) => fs::remove_file(place)?,
            (true, false, Conflict::Replace) => fs::remove_dir_all(place)?,
            (true, false, Conflict::Refuse) => {
                return Err(UnpackError::IsDirectory {
                    path: place.to_owned(),
                });
            }
            (false, true, Conflict::Refuse) => {
                return Err(UnpackError::NotDirectory {
                    path: place.to_owned(),
                });
            }
        }
        Ok(false)
    }

    /// Gives owner, mode, attributes and time, in the order in which none takes another away.
    fn dress(&self, entry: &Entry, place: &Path) -> Result<(), UnpackError> {
        let number = |number: u64| {
            u32::try_from(number).map_err(|_too_large| {
                io::Error::new(io::ErrorKind::InvalidData, "an owner's number is too large")
            })
        };
        let (uid, gid) = match self.given.owner {
            Some(owner) => (owner.uid, owner.gid),
            None => (number(entry.uid)?, number(entry.gid)?),
        };
        fs::os::unix::fs::lchown(place, Some(uid), Some(gid))?;
        if !matches!(entry.kind, EntryKind::Symlink { .. }) {
            let mode = self.given.mode.unwrap_or(entry.mode);
            fs::set_permissions(place, std::fs::Permissions::from_mode(mode & 0o7777))?;
        }
        for (name, value) in &entry.xattrs {
            if let Err(error) = lsetxattr(place, name.as_slice(), value, XattrFlags::empty()) {
                let name = String::from_utf8_lossy(name);
                crate::say(&format!(
                    "attribute {name} of {} cannot be set: {error}",
                    place.display()
                ));
            }
        }
        if entry.kind != EntryKind::Directory {
            set_mtime(place, entry.mtime, 0)?;
        }
        Ok(())
    }
}

fn below(directory: &Path, path: &LayerPath) -> PathBuf {
    directory.join(OsStr::from_bytes(path.as_bytes()))
}

fn node(place: &Path, kind: FileType, (major, minor): (u32, u32)) -> io::Result<()> {
    Ok(mknodat(
        CWD,
        place,
        kind,
        Mode::RUSR | Mode::WUSR,
        makedev(major, minor),
    )?)
}
