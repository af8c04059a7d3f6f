//! The directories of a cage, and what else is done to files that belong to subordinate ids.

use std::{
    ffi::OsStr,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    },
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::{StageError, tried};
use crate::engine::native::{cage::Cage, job::Unpack};

/// Makes what a cage needs: the directory of changes looks as the image's own root does.
pub(super) fn make(cage: &Cage) -> Result<(), StageError> {
    let what = || "make the directories of the cage".to_owned();
    let scratch = Path::new(&cage.scratch);
    for name in ["upper", "work", "root", "files"] {
        tried(fs_err::create_dir(scratch.join(name)), what)?;
    }
    let upper = scratch.join("upper");
    let Some(top) = cage.lowers.first() else {
        return Ok(());
    };
    let top = tried(fs_err::metadata(top), what)?;
    tried(chown(&upper, Some(top.uid()), Some(top.gid())), what)?;
    let mode = std::fs::Permissions::from_mode(top.mode() & 0o7777);
    tried(fs_err::set_permissions(&upper, mode), what)?;
    let time = |seconds: i64, nanoseconds: i64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(top.atime(), top.atime_nsec()),
        last_modification: time(top.mtime(), top.mtime_nsec()),
    };
    tried(utimensat(CWD, &upper, &times, AtFlags::empty()), what)
}

/// Removes a tree, if it is there.
pub(super) fn remove(path: &OsStr) -> Result<(), StageError> {
    match fs_err::remove_dir_all(Path::new(path)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => tried(removed, || format!("remove {}", Path::new(path).display())),
    }
}

/// Unpacks a layer.
pub(super) fn unpack(unpack: &Unpack, _with: Vec<OwnedFd>) -> Result<(), StageError> {
    Err(StageError::new(
        format!("unpack {}", Path::new(&unpack.target).display()),
        std::io::ErrorKind::Unsupported,
    ))
}
