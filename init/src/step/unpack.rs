//! Puts the entries of a tar below a directory, as builders of Dockerfiles copy files.
//!
//! Invariant: a file is made anew and never written through what was there, so that neither a pipe nor a device nor a
//! link takes its content. What goes below a mountpoint is the image's, see [`Ground`].

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use layer::tar::{LayerReader, Limits, ReadError};
use layer::{Entry, EntryKind, IMPLIED, LayerItem, LayerPath};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use super::ground::{Ground, Kind};
use super::place::{Given, set_mtime};
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
    #[error("{} cannot be replaced: something is mounted in it", path.display())]
    Held { path: PathBuf },
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
pub(super) fn unpack(
    tar: impl Read,
    what: &Unpacking<'_>,
    ground: &mut Ground<'_>,
) -> Result<(), UnpackError> {
    let mut reader = LayerReader::new(BufReader::with_capacity(1 << 18, tar), Limits::default());
    let (base, is_new) = what.base(ground)?;
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
            let place = ground.resolve(&place)?;
            ground.make_directories(&place, Given::default())?;
            continue;
        }
        let place = ground.follow(&place)?;
        let mut putting = Putting {
            what,
            base: &base,
            ground,
        };
        putting.put(&entry, &place, &mut reader)?;
        if entry.kind == EntryKind::Directory {
            times.insert(place, entry.mtime);
        }
    }
    for (place, mtime) in times.into_iter().rev() {
        ground.set_mtime(&place, mtime)?;
    }
    Ok(())
}

impl Unpacking<'_> {
    /// Finds the place, and makes the directories that lead there; tells whether the place itself is new.
    fn base(&self, ground: &mut Ground<'_>) -> Result<(Base, bool), UnpackError> {
        let place = ground.resolve(Path::new(self.to))?;
        let is_directory = match self.destination {
            Destination::Directory => true,
            Destination::Auto => {
                self.to.ends_with('/') || ground.kind(&place)? == Some(Kind::Directory)
            }
        };
        if is_directory {
            let is_new = ground.make_directories(&place, self.given)?;
            return Ok((Base::Below(place), is_new));
        }
        if let Some(parent) = place.parent() {
            ground.make_directories(parent, self.given)?;
        }
        Ok((Base::At(place), false))
    }

    /// Says whose an entry is.
    fn owner(&self, entry: &Entry) -> io::Result<(u32, u32)> {
        let number = |number: u64| {
            u32::try_from(number).map_err(|_too_large| {
                io::Error::new(io::ErrorKind::InvalidData, "an owner's number is too large")
            })
        };
        match self.given.owner {
            Some(owner) => Ok((owner.uid, owner.gid)),
            None => Ok((number(entry.uid)?, number(entry.gid)?)),
        }
    }
}

/// Entries on their way to their places.
struct Putting<'a, 'g> {
    what: &'a Unpacking<'a>,
    base: &'a Base,
    ground: &'a mut Ground<'g>,
}

impl Putting<'_, '_> {
    /// Puts an entry at a place whose directory is free of links.
    fn put(
        &mut self,
        entry: &Entry,
        place: &Path,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        let there = self.make_room(place, &entry.kind)?;
        if let Some(parent) = place.parent() {
            self.ground.make_directories(parent, self.what.given)?;
        }
        if matches!(entry.kind, EntryKind::Symlink { .. }) {
            self.ground.links_changed();
        }
        if let EntryKind::HardLink { target } = &entry.kind {
            return self.link(target, place);
        }
        match self.ground.hidden(place) {
            Some(path) => Ok(self.put_beneath(entry, path, content)?),
            None => self.put_openly((entry, there), place, content),
        }
    }

    fn put_openly(
        &mut self,
        (entry, there): (&Entry, bool),
        place: &Path,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        match &entry.kind {
            EntryKind::Directory if there => {}
            EntryKind::Directory => self.ground.create_directory(place)?,
            EntryKind::File { .. } => {
                let mut options = fs::OpenOptions::new();
                options.options_mut().mode(0o600);
                let mut file = options.write(true).create_new(true).open(place)?;
                io::copy(content, &mut file)?;
            }
            EntryKind::Symlink { target } => {
                fs::os::unix::fs::symlink(OsStr::from_bytes(target), place)?;
            }
            EntryKind::HardLink { .. } => {}
            EntryKind::CharDevice { major, minor } => {
                node(place, FileType::CharacterDevice, (*major, *minor))?;
            }
            EntryKind::BlockDevice { major, minor } => {
                node(place, FileType::BlockDevice, (*major, *minor))?;
            }
            EntryKind::Fifo => node(place, FileType::Fifo, (0, 0))?,
        }
        self.what.dress(entry, place)
    }

    /// Keeps an entry for the layer.
    fn put_beneath(
        &mut self,
        entry: &Entry,
        path: LayerPath,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let (uid, gid) = self.what.owner(entry)?;
        let mode = match entry.kind {
            EntryKind::Symlink { .. } => 0o777,
            _ => self.what.given.mode.unwrap_or(entry.mode) & 0o7777,
        };
        let entry = Entry {
            path,
            kind: entry.kind.clone(),
            mode,
            uid: u64::from(uid),
            gid: u64::from(gid),
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        };
        self.ground.beneath.put(entry, content)
    }

    /// Gives a file another name. Where a mount lies between the two, it becomes another file; else it has the metadata
    /// of its first name.
    fn link(&mut self, target: &LayerPath, place: &Path) -> Result<(), UnpackError> {
        let Base::Below(directory) = self.base else {
            return Err(UnpackError::Many {
                to: self.what.to.to_owned(),
            });
        };
        let target = self.ground.follow(&below(directory, target))?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, target.display().to_string());
        match (self.ground.hidden(&target), self.ground.hidden(place)) {
            (None, None) => Ok(fs::hard_link(target, place)?),
            (Some(from), Some(to)) => {
                let is_there = self.ground.beneath.link(to, &from);
                is_there.then_some(()).ok_or_else(|| missing().into())
            }
            (None, Some(to)) => {
                let mut file = fs::File::open(&target)?;
                let metadata = file.metadata()?;
                let mut entry = Entry::file(to, metadata.mode() & 0o7777, metadata.len());
                (entry.uid, entry.gid) = (metadata.uid().into(), metadata.gid().into());
                entry.mtime = metadata.mtime();
                Ok(self.ground.beneath.put(entry, &mut file)?)
            }
            (Some(from), None) => {
                let entry = self.ground.beneath.get(&from).ok_or_else(missing)?.clone();
                let mut content = Vec::new();
                self.ground
                    .beneath
                    .content(&from)
                    .read_to_end(&mut content)?;
                // It has been given everything already.
                let what = Unpacking {
                    given: Given::default(),
                    ..*self.what
                };
                Putting {
                    what: &what,
                    base: self.base,
                    ground: self.ground,
                }
                .put_openly((&entry, false), place, &mut &content[..])
            }
        }
    }

    /// Removes what is in the way; tells whether a directory is there already and stays.
    fn make_room(&mut self, place: &Path, wanted: &EntryKind) -> Result<bool, UnpackError> {
        let Some(kind) = self.ground.kind(place)? else {
            return Ok(false);
        };
        let path = || place.to_owned();
        let for_directory = *wanted == EntryKind::Directory;
        match (kind == Kind::Directory, for_directory, self.what.conflict) {
            (true, true, _) => return Ok(true),
            (true, false, Conflict::Refuse) => {
                return Err(UnpackError::IsDirectory { path: path() });
            }
            (false, true, Conflict::Refuse) => {
                return Err(UnpackError::NotDirectory { path: path() });
            }
            (true, false, Conflict::Replace) if self.ground.is_held(place) => {
                return Err(UnpackError::Held { path: path() });
            }
            (false, false, _) | (_, _, Conflict::Replace) => self.ground.remove(place, &kind)?,
        }
        Ok(false)
    }
}

impl Unpacking<'_> {
    /// Gives owner, mode, attributes and time, in the order in which none takes another away.
    fn dress(&self, entry: &Entry, place: &Path) -> Result<(), UnpackError> {
        let (uid, gid) = self.owner(entry)?;
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
