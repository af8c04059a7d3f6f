//! Where instructions put files: in the container's tree, or, at and below a mountpoint, in what the mount hides.
//!
//! Builders of Dockerfiles copy files while nothing is mounted, so a file for `/etc/hosts` or `/dev/x` is the image's.
//! Here the engine has mounted its own there, and commands may have mounts too. The files are kept aside
//! ([`Beneath`]) and written into the layer.
//!
//! Invariant: nothing is put into a mount or taken out of one.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use layer::capture::Beneath;
use layer::{Entry, EntryKind, IndexKind, LayerPath, PathIndex};

use super::place::{DIRECTORY, Given, resolve_in, set_mtime};
use super::tars::nameless;

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Link(PathBuf),
    Other,
}

/// The tree that instructions change.
pub(super) struct Ground<'a> {
    index: &'a PathIndex,
    /// What is there and is not the image's: mountpoints, files of the engine.
    covers: BTreeSet<LayerPath>,
    /// Directories that are there only because something is mounted below them.
    stubs: BTreeSet<LayerPath>,
    /// Of these, those that an instruction wanted too.
    claimed: BTreeSet<LayerPath>,
    pub(super) beneath: Beneath,
    /// The directory that was followed last, and where it leads.
    followed: Option<(PathBuf, PathBuf)>,
    /// When directories that nobody described were made.
    now: i64,
}

impl<'a> Ground<'a> {
    /// Looks at what is there; `private` is where a file can be made.
    pub(super) fn new(
        index: &'a PathIndex,
        covers: BTreeSet<LayerPath>,
        private: &Path,
        now: i64,
    ) -> io::Result<Self> {
        let content = nameless(&private.join("beneath"))?;
        let stubs = covers
            .iter()
            .flat_map(|cover| std::iter::successors(cover.parent(), LayerPath::parent))
            .filter(|path| !path.is_root() && index.get(path).is_none())
            .filter(is_directory)
            .collect();
        Ok(Self {
            index,
            covers,
            stubs,
            claimed: BTreeSet::new(),
            beneath: Beneath::kept_in(content.into_parts().0.into()),
            followed: None,
            now,
        })
    }

    /// Returns what was put below mounts, the mountpoints it is below, and the directories that are the image's now.
    pub(super) fn leave(self) -> (Beneath, BTreeSet<LayerPath>, BTreeSet<LayerPath>) {
        let mut covers = self.covers;
        covers.retain(|cover| self.beneath.reaches(cover));
        (self.beneath, covers, self.claimed)
    }

    /// A program has run: what was there for it is the image's, if it is still there.
    pub(super) fn was_used(&mut self) {
        self.stubs.clear();
        self.followed = None;
    }

    /// Returns the path of a place that a mount hides.
    pub(super) fn hidden(&self, place: &Path) -> Option<LayerPath> {
        let path = layer_path(place)?;
        let is_hidden = self.covers.iter().any(|cover| path.starts_with(cover));
        is_hidden.then_some(path)
    }

    /// Tells whether a directory that nothing hides has something mounted below it.
    pub(super) fn is_held(&self, place: &Path) -> bool {
        self.hidden(place).is_none()
            && layer_path(place)
                .is_some_and(|path| self.covers.iter().any(|cover| cover.starts_with(&path)))
    }

    /// Returns what the image has at a place, whose directory is free of links.
    pub(super) fn kind(&self, place: &Path) -> io::Result<Option<Kind>> {
        if let Some(path) = self.hidden(place) {
            return Ok(self.hidden_kind(&path));
        }
        if layer_path(place).is_some_and(|path| self.stubs.contains(&path)) {
            return Ok(None);
        }
        match fs::symlink_metadata(place) {
            Ok(metadata) if metadata.is_dir() => Ok(Some(Kind::Directory)),
            Ok(metadata) if metadata.is_symlink() => Ok(Some(Kind::Link(fs::read_link(place)?))),
            Ok(_) => Ok(Some(Kind::Other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn hidden_kind(&self, path: &LayerPath) -> Option<Kind> {
        let link = |target: &[u8]| Kind::Link(std::ffi::OsStr::from_bytes(target).into());
        if let Some(entry) = self.beneath.get(path) {
            return Some(match &entry.kind {
                EntryKind::Directory => Kind::Directory,
                EntryKind::Symlink { target } => link(target),
                _ => Kind::Other,
            });
        }
        let is_gone = std::iter::successors(path.parent(), LayerPath::parent)
            .find_map(|above| self.beneath.get(&above))
            .is_some_and(|above| above.kind != EntryKind::Directory);
        let before = self.index.get(path).filter(|_| !is_gone)?;
        Some(match before.kind {
            IndexKind::Directory => Kind::Directory,
            IndexKind::Symlink(target) => link(target),
            _ => Kind::Other,
        })
    }

    /// Follows all symbolic links of a path; what is not there is taken as it is written.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve_in(path, |place| match self.kind(place) {
            Ok(Some(Kind::Link(target))) => Some(target),
            _ => None,
        })
    }

    /// Follows the links on the way to a place, but not the last one.
    pub(super) fn follow(&mut self, place: &Path) -> io::Result<PathBuf> {
        let (Some(directory), Some(name)) = (place.parent(), place.file_name()) else {
            return Ok(place.to_owned());
        };
        if let Some((from, to)) = &self.followed
            && from == directory
        {
            return Ok(to.join(name));
        }
        let to = self.resolve(directory)?;
        let place = to.join(name);
        self.followed = Some((directory.to_owned(), to));
        Ok(place)
    }

    /// Forgets where links lead; one was made or taken away.
    pub(super) fn links_changed(&mut self) {
        self.followed = None;
    }

    /// Makes a directory where nothing is.
    pub(super) fn create_directory(&mut self, place: &Path) -> io::Result<()> {
        match layer_path(place).and_then(|path| self.stubs.take(&path)) {
            Some(stub) => {
                self.claimed.insert(stub);
                Ok(())
            }
            None => fs::create_dir(place),
        }
    }

    /// Makes a directory and those that lead to it; returns whether there was something to make.
    pub(super) fn make_directories(&mut self, place: &Path, given: Given) -> io::Result<bool> {
        match self.kind(place)? {
            Some(Kind::Directory) => {
                if let Some(path) = self.hidden(place) {
                    self.keep(&path)?;
                }
                return Ok(false);
            }
            Some(_) => {
                let name = place.display();
                return Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    format!("{name} is not a directory"),
                ));
            }
            None => {}
        }
        if let Some(parent) = place.parent() {
            self.make_directories(parent, given)?;
        }
        let mode = given.mode.unwrap_or(DIRECTORY);
        if let Some(path) = self.hidden(place) {
            let mut entry = Entry::directory(path, mode & 0o7777);
            entry.mtime = self.now;
            if let Some(owner) = given.owner {
                (entry.uid, entry.gid) = (u64::from(owner.uid), u64::from(owner.gid));
            }
            self.beneath.put(entry, &mut io::empty())?;
            return Ok(true);
        }
        self.create_directory(place)?;
        if let Some(owner) = given.owner {
            fs::os::unix::fs::lchown(place, Some(owner.uid), Some(owner.gid))?;
        }
        fs::set_permissions(place, std::fs::Permissions::from_mode(mode))?;
        Ok(true)
    }

    /// Takes a hidden directory of the image, and those above it that are hidden too, as the way to what is put there.
    fn keep(&mut self, path: &LayerPath) -> io::Result<()> {
        for path in std::iter::successors(Some(path.clone()), LayerPath::parent) {
            let is_hidden = self.covers.iter().any(|cover| path.starts_with(cover));
            if !is_hidden || self.beneath.get(&path).is_some() {
                break;
            }
            let Some(before) = self.index.get(&path) else {
                break;
            };
            if before.xattrs.is_some() {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("/{path} has attributes, and something is mounted over it"),
                ));
            }
            let mut entry = Entry::directory(path, before.mode);
            (entry.uid, entry.gid, entry.mtime) = (before.uid, before.gid, before.mtime);
            self.beneath.put(entry, &mut io::empty())?;
        }
        Ok(())
    }

    /// Removes what is at a place.
    pub(super) fn remove(&mut self, place: &Path, kind: &Kind) -> io::Result<()> {
        self.links_changed();
        if let Some(path) = self.hidden(place) {
            self.beneath.remove(&path);
            return Ok(());
        }
        match kind {
            Kind::Directory => fs::remove_dir_all(place),
            Kind::Link(_) | Kind::Other => fs::remove_file(place),
        }
    }

    /// Gives a place a time of last change.
    pub(super) fn set_mtime(&mut self, place: &Path, mtime: i64) -> io::Result<()> {
        match self.hidden(place) {
            Some(path) => {
                self.beneath.set_mtime(&path, mtime);
                Ok(())
            }
            None => set_mtime(place, mtime, 0),
        }
    }
}

fn is_directory(path: &LayerPath) -> bool {
    let place = Path::new("/").join(std::ffi::OsStr::from_bytes(path.as_bytes()));
    fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_dir())
}

/// Returns a place's path in layers; what no layer can name is hidden by nothing.
pub(super) fn layer_path(place: &Path) -> Option<LayerPath> {
    LayerPath::new(place.strip_prefix("/").ok()?.as_os_str().as_bytes()).ok()
}
