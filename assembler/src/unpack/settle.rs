//! What the directories have that a layer leaves out: what they have in the layers below it.
//!
//! In an overlay the uppermost directory's owner and mode are those that are seen, so a layer with `tmp/x` and without
//! `tmp/` would close `/tmp`. The containerd of Docker gives such directories what lower layers say, and so do we.
//!
//! Invariant: lower layers are only read, and looked at as the overlay will: what one of them hides is not seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use layer::{LayerPath, is_of_host};
use rustix::{
    fs::{
        Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, fchmod, fchown, fgetxattr,
        flistxattr, fsetxattr, fstat, futimens,
    },
    io::Errno,
};

use super::{Implied, OPAQUE, UnpackError, beneath::open_beneath, remove::remove_tree};

/// Gives directories that a layer leaves out what the layers `below` say of them, the uppermost first. One that was only
/// made for whiteouts goes if there is nothing to white out.
pub fn settle(
    root: BorrowedFd<'_>,
    implied: &[Implied],
    below: &[BorrowedFd<'_>],
) -> Result<(), UnpackError> {
    let mut seen = Below {
        layers: below,
        stacks: BTreeMap::new(),
    };
    let mut gone = BTreeSet::new();
    let mut stay = Vec::new();
    for Implied { path, for_markers } in implied {
        let failed = |error| UnpackError::io("look up in lower layers", path, error);
        if path.parent().is_some_and(|parent| gone.contains(&parent)) {
            gone.insert(path.clone());
            continue;
        }
        let found = seen.uppermost(path).map_err(failed)?;
        match found {
            Some(layer) => stay.push((path, layer)),
            None if *for_markers => {
                remove(root, path)?;
                gone.insert(path.clone());
            }
            None => {}
        }
    }
    // What is below comes first: setting a time changes none, but a mode may close a directory.
    for (path, layer) in stay.into_iter().rev() {
        let failed = |error| UnpackError::io("copy up", path, error);
        let from = open_beneath(layer, path.as_bytes()).map_err(failed)?;
        let to = open_beneath(root, path.as_bytes()).map_err(failed)?;
        copy(&from, &to).map_err(failed)?;
    }
    Ok(())
}

/// The layers below, as an overlay puts them together.
struct Below<'a> {
    layers: &'a [BorrowedFd<'a>],
    /// Which layers a directory is merged of, for those that were asked for.
    stacks: BTreeMap<LayerPath, Vec<usize>>,
}

impl<'a> Below<'a> {
    fn uppermost(&mut self, path: &LayerPath) -> Result<Option<BorrowedFd<'a>>, Errno> {
        let mut missing = vec![path.clone()];
        while let Some(above) = missing.last().and_then(LayerPath::parent) {
            if self.stacks.contains_key(&above) {
                break;
            }
            missing.push(above);
        }
        for path in missing.into_iter().rev() {
            if !self.stacks.contains_key(&path) {
                let stack = self.stack(&path)?;
                self.stacks.insert(path, stack);
            }
        }
        let first = self.stacks.get(path).and_then(|stack| stack.first());
        Ok(first.and_then(|layer| self.layers.get(*layer)).copied())
    }

    fn stack(&self, path: &LayerPath) -> Result<Vec<usize>, Errno> {
        let above = match path.parent() {
            Some(parent) => self.stacks.get(&parent).cloned().unwrap_or_default(),
            None => (0..self.layers.len()).collect(),
        };
        let mut stack = Vec::new();
        for at in above {
            let Some(layer) = self.layers.get(at) else {
                continue;
            };
            match open_beneath(*layer, path.as_bytes()) {
                Ok(directory) => {
                    stack.push(at);
                    let mut value = [0; 2];
                    if fgetxattr(&directory, OPAQUE, &mut value[..]).is_ok_and(|length| length == 1)
                    {
                        break;
                    }
                }
                Err(Errno::NOENT) => {}
                // A file, a link or a whiteout: it hides what is below it.
                Err(Errno::NOTDIR | Errno::LOOP) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(stack)
    }
}

fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let stat = fstat(from)?;
    fchown(
        to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let mut names = vec![0; 1 << 16];
    let length = flistxattr(from, &mut names[..]).unwrap_or_default();
    for name in names
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && !is_of_host(name))
    {
        let mut value = vec![0; 1 << 16];
        let length = fgetxattr(from, name, &mut value[..])?;
        match fsetxattr(
            to,
            name,
            value.get(..length).unwrap_or_default(),
            XattrFlags::empty(),
        ) {
            // What the host's root alone may set, nobody set there.
            Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    futimens(to, &at(stat.st_mtime, stat.st_mtime_nsec))
}

fn remove(root: BorrowedFd<'_>, path: &LayerPath) -> Result<(), UnpackError> {
    let failed = |error| UnpackError::io("remove", path, error);
    let parent = path.parent().unwrap_or_default();
    let parent = open_beneath(root, parent.as_bytes()).map_err(failed)?;
    let stat = fstat(&parent).map_err(failed)?;
    remove_tree(parent.as_fd(), path.base_name()).map_err(|source| UnpackError::Io {
        doing: "remove",
        path: path.clone(),
        source,
    })?;
    futimens(&parent, &at(stat.st_mtime, stat.st_mtime_nsec)).map_err(failed)
}

fn at(seconds: i64, nanoseconds: u64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
        },
    }
}
