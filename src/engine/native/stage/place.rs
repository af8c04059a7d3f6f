//! Where something is mounted in a cage: found or made without ever leaving the image's tree.
//!
//! Invariant: links of the image lead nowhere but into the image, and a directory in which something is made has the time
//! that it had, because the image's own files did not change.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, fstat, futimens,
        mkdirat, openat, openat2, readlinkat, statat,
    },
    io::Errno,
};

use super::{StageError, tried};

/// What is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// How many links to what is not there may follow one another, as in `path_resolution(7)`.
const LINKS: u32 = 40;

/// The names of a path, with its `..`.
fn names(path: &[u8]) -> Vec<OsString> {
    let parts = Path::new(OsStr::from_bytes(path)).components();
    parts
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// Names a descriptor as a path, for calls that know only paths.
pub(super) fn path_of(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

/// Opens a place in the tree, making what is missing of it.
pub(super) fn open_or_make(
    root: BorrowedFd<'_>,
    path: &OsStr,
    kind: Kind,
) -> Result<OwnedFd, StageError> {
    let what = || {
        format!(
            "make a place for {} in the image",
            Path::new(path).display()
        )
    };
    let mut ahead: VecDeque<OsString> = names(path.as_bytes()).into();
    let mut links = 0;
    let mut at: OsString = ".".into();
    let mut directory = tried(open_in(root, &at), what)?;
    while let Some(name) = ahead.pop_front() {
        let here = at.clone();
        at.push("/");
        at.push(&name);
        directory = match open_in(root, &at) {
            Ok(found) => found,
            Err(Errno::NOENT) => {
                if let Ok(target) = readlinkat(&directory, name.as_bytes(), Vec::new()) {
                    // It leads to what is not there: that is what is made.
                    links += 1;
                    if links > LINKS {
                        return Err(StageError::new(what(), Errno::LOOP));
                    }
                    let target = target.as_bytes();
                    at = here;
                    if target.starts_with(b"/") {
                        at = ".".into();
                        directory = tried(open_in(root, &at), what)?;
                    }
                    for name in names(target).into_iter().rev() {
                        ahead.push_front(name);
                    }
                    continue;
                }
                let kind = if ahead.is_empty() {
                    kind
                } else {
                    Kind::Directory
                };
                tried(make(&directory, &name, kind), what)?;
                tried(open_in(root, &at), what)?
            }
            Err(error) => return Err(StageError::new(what(), error)),
        };
    }
    let found = tried(fstat(&directory), what)?;
    let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    match (kind, is_directory) {
        (Kind::Directory, false) => Err(StageError::new(what(), Errno::NOTDIR)),
        (Kind::File, true) => Err(StageError::new(what(), Errno::ISDIR)),
        _ => Ok(directory),
    }
}

/// Opens what is there already, if it is; whatever else keeps it from being seen is an error.
pub(super) fn existing(
    root: BorrowedFd<'_>,
    path: impl AsRef<OsStr>,
) -> Result<Option<(OwnedFd, Kind)>, StageError> {
    let path = path.as_ref();
    let what = || format!("look at {} in the image", path.display());
    let found = match open_in(root, path) {
        Err(Errno::NOENT) => return Ok(None),
        found => tried(found, what)?,
    };
    let kind = FileType::from_raw_mode(tried(fstat(&found), what)?.st_mode);
    let kind = if kind == FileType::Directory {
        Kind::Directory
    } else {
        Kind::File
    };
    Ok(Some((found, kind)))
}

fn open_in(root: BorrowedFd<'_>, path: &OsStr) -> Result<OwnedFd, Errno> {
    open_as(root, path, OFlags::PATH)
}

/// Opens something in the tree; links lead nowhere but into it.
pub(super) fn open_as(root: BorrowedFd<'_>, path: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    loop {
        match openat2(
            root,
            path.as_bytes(),
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        ) {
            // Something was renamed meanwhile.
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
}

fn make(parent: &OwnedFd, name: &OsStr, kind: Kind) -> Result<(), Errno> {
    let parent = openat(
        parent.as_fd(),
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let before = statat(&parent, ".", AtFlags::empty())?;
    match kind {
        Kind::Directory => mkdirat(&parent, name.as_bytes(), Mode::from_raw_mode(0o755))?,
        Kind::File => drop(openat(
            &parent,
            name.as_bytes(),
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        )?),
    }
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(before.st_atime, before.st_atime_nsec),
        last_modification: time(before.st_mtime, before.st_mtime_nsec),
    };
    match futimens(&parent, &times) {
        // A directory of somebody else's that is shown inside; no layer has it.
        Err(Errno::PERM) => Ok(()),
        kept => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_link_leads_to_nothing_its_target_is_made_within_the_tree() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs_err::create_dir(at("etc")).unwrap();
        for (link, target) in [
            ("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
            ("etc/hosts", "/../../outside/hosts"),
            ("etc/one", "two"),
            ("etc/two", "one"),
        ] {
            std::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        let opened = fs_err::File::open(root.path()).unwrap();
        let make = |path: &str| open_or_make(opened.file().as_fd(), OsStr::new(path), Kind::File);
        make("/etc/resolv.conf").unwrap();
        assert!(at("run/systemd/resolve/stub-resolv.conf").is_file());
        make("/etc/hosts").unwrap();
        assert!(at("outside/hosts").is_file());
        assert!(make("/etc/one").is_err(), "links that lead to each other");
    }
}
