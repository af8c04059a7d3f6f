//! The kinds of mounts that a cage has.
//!
//! All is named by open descriptors: what a path leads to cannot change between looking and mounting.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    mount::{MountFlags, mount, mount_bind_recursive, mount_remount},
};

use super::{StageError, kernel, place::path_of, tried};

/// Opens something of this machine, only to name it.
pub(super) fn open(path: &OsStr, flags: OFlags) -> Result<OwnedFd, StageError> {
    let opened = openat(
        CWD,
        path.as_bytes(),
        OFlags::PATH | OFlags::CLOEXEC | flags,
        Mode::empty(),
    );
    tried(opened, || format!("open {}", Path::new(path).display()))
}

/// Mounts the union of layers with a directory for changes on top.
pub(super) fn overlay(
    lowers: &[OsString],
    (upper, work): (&Path, &Path),
    target: &Path,
) -> Result<(), StageError> {
    let directory = |path: &OsStr| open(path, OFlags::DIRECTORY);
    let lowers = lowers
        .iter()
        .map(|path| directory(path))
        .collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (directory(upper.as_os_str())?, directory(work.as_os_str())?);
    let named: Vec<String> = lowers
        .iter()
        .map(|lower| path_of(lower).display().to_string())
        .collect();
    let options = format!(
        "userxattr,volatile,lowerdir={},upperdir={},workdir={}",
        named.join(":"),
        path_of(&upper).display(),
        path_of(&work).display(),
    );
    let options = CString::new(options).expect("numbers have no NUL");
    let mounted = mount("overlay", target, "overlay", MountFlags::empty(), &*options);
    tried(mounted, || {
        format!("mount {} layers as one tree", lowers.len())
    })
}

/// Mounts a new filesystem.
pub(super) fn new(
    kind: &str,
    target: &OwnedFd,
    (flags, options): (MountFlags, &str),
) -> Result<(), StageError> {
    let what = || format!("mount a {kind}");
    let options = tried(CString::new(options).map_err(io::Error::other), what)?;
    tried(mount(kind, path_of(target), kind, flags, &*options), what)
}

/// Shows a part of a tree, with all that is mounted below, at another place.
pub(super) fn bind(source: &OwnedFd, target: &OwnedFd) -> Result<(), StageError> {
    let what = || {
        let name = |of| fs_err::read_link(path_of(of)).unwrap_or_default();
        format!(
            "show {} at {}",
            name(source).display(),
            name(target).display()
        )
    };
    tried(mount_bind_recursive(path_of(source), path_of(target)), what)
}

/// Makes a mount and all below it read-only, by its root; what else they are kept from stays.
pub(super) fn read_only(root: &OwnedFd) -> Result<(), StageError> {
    match kernel::read_only(root.as_fd()) {
        // Before Linux 5.12, or under a filter of a container that is older than the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            let at = fs_err::read_link(path_of(root));
            read_only_by_names(&tried(at, || "find a mount".to_owned())?)
        }
        done => tried(done, || {
            let name = fs_err::read_link(path_of(root)).unwrap_or_default();
            format!("make {} read-only", name.display())
        }),
    }
}

/// The same, one after the other; those that root of the namespace may not walk to are in the way.
fn read_only_by_names(at: &Path) -> Result<(), StageError> {
    let what = || format!("make {} read-only", at.display());
    let list = tried(fs_err::read("/proc/self/mountinfo"), what)?;
    for (path, flags) in list.split(|byte| *byte == b'\n').filter_map(mounted) {
        if path.starts_with(at) {
            let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
            tried(mount_remount(&path, flags, ""), what)?;
        }
    }
    Ok(())
}

/// Splits a line of mountinfo: where, and what it is kept from; see proc(5).
fn mounted(line: &[u8]) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let path = unescaped(fields.nth(4)?);
    let mut flags = MountFlags::empty();
    for option in fields.next()?.split(|byte| *byte == b',') {
        flags |= match option {
            b"nosuid" => MountFlags::NOSUID,
            b"nodev" => MountFlags::NODEV,
            b"noexec" => MountFlags::NOEXEC,
            b"noatime" => MountFlags::NOATIME,
            b"nodiratime" => MountFlags::NODIRATIME,
            b"relatime" => MountFlags::RELATIME,
            _ => MountFlags::empty(),
        };
    }
    Some((PathBuf::from(OsString::from_vec(path)), flags))
}

/// Undoes `\040` and the like.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(byte));
        let read = if octal.is_some() { 3 } else { 0 };
        rest = after.get(read..).unwrap_or_default();
    }
    bytes
}

/// Takes the flags out of the options of a filesystem in memory.
pub(super) fn memory_options(options: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    let mut rest = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "ro" => flags |= MountFlags::RDONLY,
            "suid" => flags -= MountFlags::NOSUID,
            "exec" => flags -= MountFlags::NOEXEC,
            "rw" | "dev" => {}
            other => rest.push(other),
        }
    }
    (flags, rest.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_what_it_is_kept_from() {
        let line = br"36 35 98:0 /m /mnt\040two rw,nosuid,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let (path, flags) = mounted(line).unwrap();
        assert_eq!(path, Path::new("/mnt two"));
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::NOATIME);
        assert!(mounted(b"").is_none());
        assert_eq!(unescaped(br"a\09\134"), br"a\09\");
    }

    #[test]
    fn options_of_memory_are_flags_and_the_rest() {
        let (flags, rest) = memory_options("rw,exec,nosuid,mode=1777,size=64k");
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::NODEV);
        assert_eq!(rest, "mode=1777,size=64k");
    }
}
