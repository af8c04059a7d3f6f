//! Giving a node its owner, mode, attributes and time, in the order in which none takes another away.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
};

use layer::{Entry, LayerPath, is_of_host};
use rustix::{
    fs::{
        AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat,
        fchmod, fchown, fremovexattr, fsetxattr, futimens, utimensat,
    },
    io::Errno,
};

use super::{SkipReason, UnpackError, skipped::Skips};

/// What every node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dress {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
}

impl Dress {
    /// What a directory has that nobody says anything of: inside a mapping, its owner is root.
    pub(super) const fn implied((uid, gid): (u32, u32)) -> Self {
        Self {
            mode: 0o755,
            uid,
            gid,
            mtime: 0,
        }
    }

    pub(super) fn of(entry: &Entry) -> Result<Self, UnpackError> {
        let id = |id: u64, whose| match u32::try_from(id) {
            // The last number means "as it is" to the system.
            Ok(id) if id != u32::MAX => Ok(id),
            _ => Err(unmapped(&entry.path, whose, id)),
        };
        Ok(Self {
            mode: entry.mode & 0o7777,
            uid: id(entry.uid, "user")?,
            gid: id(entry.gid, "group")?,
            mtime: entry.mtime,
        })
    }
}

fn unmapped(path: &LayerPath, whose: &'static str, id: u64) -> UnpackError {
    UnpackError::Owner {
        path: path.clone(),
        whose,
        id,
    }
}

/// Gives nodes what they have.
#[derive(Debug)]
pub(super) struct Dresser {
    /// Whose a node is that was just made.
    pub(super) fresh: (u32, u32),
}

impl Dresser {
    /// Dresses an open file or directory.
    pub(super) fn open(
        &self,
        node: BorrowedFd<'_>,
        path: &LayerPath,
        dress: Dress,
    ) -> Result<(), UnpackError> {
        self.owner_of_open(node, path, dress)?;
        fchmod(node, Mode::from_raw_mode(dress.mode))
            .map_err(|error| UnpackError::io("set the mode of", path, error))?;
        futimens(node, &times(dress.mtime))
            .map_err(|error| UnpackError::io("set the time of", path, error))
    }

    /// Dresses a file whose attributes come between its owner, which takes them away, and its time.
    pub(super) fn file(
        &self,
        node: BorrowedFd<'_>,
        entry: &Entry,
        skips: &mut Skips,
    ) -> Result<(), UnpackError> {
        let dress = Dress::of(entry)?;
        self.owner_of_open(node, &entry.path, dress)?;
        fchmod(node, Mode::from_raw_mode(dress.mode))
            .map_err(|error| UnpackError::io("set the mode of", &entry.path, error))?;
        set_attributes(node, &entry.path, &entry.xattrs, skips)?;
        futimens(node, &times(dress.mtime))
            .map_err(|error| UnpackError::io("set the time of", &entry.path, error))
    }

    /// Dresses a node that cannot be opened, by its name in an open directory.
    pub(super) fn named(
        &self,
        directory: impl AsFd,
        entry: &Entry,
        dressing: Dressing,
    ) -> Result<(), UnpackError> {
        let name = entry.path.base_name();
        let dress = Dress::of(entry)?;
        if (dress.uid, dress.gid) != self.fresh {
            chownat(
                &directory,
                name,
                Some(Uid::from_raw(dress.uid)),
                Some(Gid::from_raw(dress.gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(|error| owner_error(&entry.path, dress, error))?;
        }
        if dressing == Dressing::WithMode {
            chmodat(
                &directory,
                name,
                Mode::from_raw_mode(dress.mode),
                AtFlags::empty(),
            )
            .map_err(|error| UnpackError::io("set the mode of", &entry.path, error))?;
        }
        utimensat(
            &directory,
            name,
            &times(dress.mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|error| UnpackError::io("set the time of", &entry.path, error))
    }

    fn owner_of_open(
        &self,
        node: BorrowedFd<'_>,
        path: &LayerPath,
        dress: Dress,
    ) -> Result<(), UnpackError> {
        if (dress.uid, dress.gid) == self.fresh {
            return Ok(());
        }
        fchown(
            node,
            Some(Uid::from_raw(dress.uid)),
            Some(Gid::from_raw(dress.gid)),
        )
        .map_err(|error| owner_error(path, dress, error))
    }
}

/// Whether a node has a mode of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dressing {
    WithMode,
    /// A symbolic link.
    WithoutMode,
}

/// Which of the two is not mapped, the system does not say; a user is by far likelier.
fn owner_error(path: &LayerPath, dress: Dress, error: Errno) -> UnpackError {
    match error {
        Errno::INVAL if dress.uid == 0 => unmapped(path, "group", dress.gid.into()),
        Errno::INVAL => unmapped(path, "user", dress.uid.into()),
        error => UnpackError::io("set the owner of", path, error),
    }
}

/// Sets extended attributes; those that only the host's root may set, or that this filesystem does not have, are noted.
pub(super) fn set_attributes(
    node: BorrowedFd<'_>,
    path: &LayerPath,
    attributes: &BTreeMap<Vec<u8>, Vec<u8>>,
    skips: &mut Skips,
) -> Result<(), UnpackError> {
    for (name, value) in attributes {
        if is_of_host(name) || name.as_slice() == layer::IMPLIED {
            continue;
        }
        match fsetxattr(node, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::INVAL) => {
                let name = layer::printable(name);
                skips.add(path, SkipReason::Attribute { name });
            }
            Err(error) => return Err(UnpackError::io("set an attribute of", path, error)),
        }
    }
    Ok(())
}

/// Takes all attributes away, as far as that can be.
pub(super) fn clear_attributes(node: BorrowedFd<'_>) {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::flistxattr(node, &mut names[..]).unwrap_or_default();
    for name in names
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && !name.starts_with(b"security."))
    {
        // What cannot be taken away was not set by a layer.
        fremovexattr(node, name).ok();
    }
}

pub(super) fn times(mtime: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime,
            tv_nsec: 0,
        },
    }
}
