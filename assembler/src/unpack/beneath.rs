//! Directories below a root, opened so that no path leads out of it.
//!
//! Invariant: every directory was reached from the root without following a link and without leaving its filesystem,
//! which the kernel sees to; every other call names one component in such a directory. At most [`OPEN`] are open.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    rc::Rc,
};

use layer::LayerPath;
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};

/// How many directories are held open.
const OPEN: usize = 48;

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a directory by a path of any length below another one.
pub(super) fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    match openat2(root, path, FLAGS, Mode::empty(), resolve) {
        // A filter of a container that is older than the call.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(root, path),
        other => other,
    }
}

/// Opens one component after the other, none of which is a link or `..`.
fn step_by_step(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut here = openat(root, ".", FLAGS, Mode::empty())?;
    for name in path.split(|byte| *byte == b'/') {
        if name == b".." {
            return Err(Errno::XDEV);
        }
        here = openat(&here, name, FLAGS, Mode::empty())?;
    }
    Ok(here)
}

/// The root and the directories below it that are open.
#[derive(Debug)]
pub(super) struct Directories<'a> {
    root: BorrowedFd<'a>,
    open: BTreeMap<LayerPath, (Rc<OwnedFd>, u64)>,
    uses: u64,
    last: Option<(LayerPath, Rc<OwnedFd>)>,
}

impl<'a> Directories<'a> {
    pub(super) fn new(root: BorrowedFd<'a>) -> Self {
        Self {
            root,
            open: BTreeMap::new(),
            uses: 0,
            last: None,
        }
    }

    /// Returns a directory, open.
    pub(super) fn get(&mut self, path: &LayerPath) -> Result<Rc<OwnedFd>, Errno> {
        if let Some((last, directory)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(directory));
        }
        self.uses += 1;
        let directory = if let Some((directory, used)) = self.open.get_mut(path) {
            *used = self.uses;
            Rc::clone(directory)
        } else {
            let directory = Rc::new(self.open(path)?);
            if self.open.len() >= OPEN {
                let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used);
                if let Some(oldest) = oldest.map(|(path, _)| path.clone()) {
                    self.open.remove(&oldest);
                }
            }
            let value = (Rc::clone(&directory), self.uses);
            self.open.insert(path.clone(), value);
            directory
        };
        self.last = Some((path.clone(), Rc::clone(&directory)));
        Ok(directory)
    }

    /// Forgets what is at a path and below it, because it is being removed.
    pub(super) fn forget(&mut self, path: &LayerPath) {
        self.last = None;
        self.open.retain(|open, _| !open.starts_with(path));
    }

    fn open(&self, path: &LayerPath) -> Result<OwnedFd, Errno> {
        if let Some(parent) = path.parent()
            && let Some((parent, _)) = self.open.get(&parent)
        {
            return open_beneath(parent.as_fd(), path.base_name());
        }
        open_beneath(self.root, path.as_bytes())
    }
}
