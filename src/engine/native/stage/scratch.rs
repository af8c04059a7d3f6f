//! The directories of a cage, and what else is done to files that belong to subordinate ids.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{MetadataExt as _, PermissionsExt as _, chown},
        },
    },
    path::Path,
    sync::atomic::AtomicBool,
};

use assembler::{
    store::rootfs::{UnpackJob, check_unpacked, unpack_layers},
    unpack::{self, Room, UnpackLimits, Wanted, measure_tree, remove_tree},
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::{StageError, tried};
use crate::engine::native::{
    cage::Cage,
    channel::DIFFERENCES,
    pack::{NOBODY, tree},
    scratch,
};

/// An empty directory, for images without layers.
pub(super) const NOTHING: &str = "nothing";

/// Makes what a cage needs: the directory of changes looks as the image's own root does.
pub(super) fn make(cage: &Cage) -> Result<(), StageError> {
    let what = || "make the directories of the cage".to_owned();
    let scratch = Path::new(&cage.scratch);
    for name in ["upper", "work", "root", "files", NOTHING] {
        tried(fs_err::create_dir(scratch.join(name)), what)?;
    }
    let upper = scratch.join("upper");
    // What the store's directory gives to whatever is made in it is not the image's.
    rustix::fs::removexattr(&upper, "system.posix_acl_default").unwrap_or_default();
    let Some(top) = &cage.like else {
        let mode = std::fs::Permissions::from_mode(0o755);
        return tried(fs_err::set_permissions(&upper, mode), what);
    };
    let top = tried(fs_err::metadata(Path::new(top)), what)?;
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
    let done = below(path, remove_tree);
    tried(done, || format!("remove {}", path.display()))
}

/// Adds up what a tree takes, if it is there.
pub(in crate::engine::native) fn measure(path: &OsStr) -> io::Result<Room> {
    below(path, measure_tree)
}

/// Does something to what a directory has under a name; nothing where there is no such directory.
fn below<T: Default>(
    path: &OsStr,
    does: impl FnOnce(BorrowedFd<'_>, &[u8]) -> io::Result<T>,
) -> io::Result<T> {
    let path = Path::new(path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(T::default());
    };
    match fs_err::File::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        parent => does(parent?.as_fd(), name.as_bytes()),
    }
}

/// Takes a share of the lock of the cage's directory, for as long as the cage is there.
pub(super) fn share(cage: &Cage) -> Result<Option<fs_err::File>, StageError> {
    tried(scratch::share(Path::new(&cage.scratch)), || {
        "share the lock of the cage's directory".to_owned()
    })
}

/// Unpacks layers, as long as that is wanted.
pub(super) fn unpack(
    jobs: Vec<UnpackJob>,
    mut with: Vec<OwnedFd>,
    is_over: &AtomicBool,
) -> Result<(), StageError> {
    let what = || "unpack layers".to_owned();
    if with.len() != jobs.len() + 1 {
        return Err(StageError::new(what(), io::ErrorKind::InvalidInput));
    }
    let directory = with.remove(0);
    let blobs = with.into_iter().map(|blob| file(blob, "a layer's blob"));
    let work = jobs.into_iter().zip(blobs).collect();
    unpack_layers(directory.as_fd(), work, is_over).map_err(|error| StageError::told(&error))?;
    Ok(())
}

/// Fills a new directory, as long as that is wanted; what cannot be filled is not there.
pub(super) fn fill(
    directory: &OsStr,
    mut with: Vec<OwnedFd>,
    is_over: &AtomicBool,
) -> Result<(), StageError> {
    let what = || format!("fill {}", Path::new(directory).display());
    let Some(tar) = with.pop() else {
        return Err(StageError::new(what(), io::ErrorKind::InvalidInput));
    };
    tried(fs_err::create_dir(Path::new(directory)), what)?;
    let opened = tried(fs_err::File::open(Path::new(directory)), what)?;
    let mut tar = Wanted::new(file(tar, "the files of a mount"), is_over);
    let filled = unpack::unpack(&mut tar, opened.as_fd(), &UnpackLimits::default());
    if let Err(error) = filled {
        remove(directory)?;
        return Err(StageError::told(&error));
    }
    Ok(())
}

/// Packs a root file system.
pub(super) fn pack(directory: &OsStr, mut with: Vec<OwnedFd>) -> Result<Vec<String>, StageError> {
    let what = || format!("pack {}", Path::new(directory).display());
    let Some(to) = with.pop() else {
        return Err(StageError::new(what(), io::ErrorKind::InvalidInput));
    };
    tree((Path::new(directory), Some(NOBODY)), to).map_err(|error| StageError::told(&error))
}

/// Compares an unpacked layer with what it was.
pub(super) fn check(name: &str, with: Vec<OwnedFd>) -> Result<Vec<String>, StageError> {
    use std::io::Read as _;
    let what = || "check an unpacked layer".to_owned();
    let [directory, tree] = <[OwnedFd; 2]>::try_from(with)
        .map_err(|_others| StageError::new(what(), io::ErrorKind::InvalidInput))?;
    let mut index = Vec::new();
    let read = file(tree, "the path index").read_to_end(&mut index);
    tried(read, what)?;
    let found = check_unpacked(directory.as_fd(), name, &index)
        .map_err(|error| StageError::told(&error))?;
    Ok(found
        .iter()
        .take(DIFFERENCES)
        .map(ToString::to_string)
        .collect())
}

fn file(descriptor: OwnedFd, name: &str) -> fs_err::File {
    fs_err::File::from_parts(descriptor.into(), name)
}
