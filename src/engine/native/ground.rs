//! What the store's filesystem is, and whether cages can stand on it.

use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

use super::error::NativeError;

/// Names the file system that a path is on, or will be; nothing for those that are not known to be special.
pub(crate) fn filesystem(path: &Path) -> &'static str {
    let there = path.ancestors().find(|path| path.exists());
    let Ok(found) = statfs(there.unwrap_or(Path::new("/"))) else {
        return "";
    };
    // As in Linux' `magic.h`; the type has another width on each architecture.
    match u64::try_from(found.f_type).unwrap_or_default() & 0xffff_ffff {
        0x794c_7630 => "overlay",
        0x6969 => "nfs",
        0xf15f => "ecryptfs",
        0x0102_1994 => "tmpfs",
        0x0102_1997 => "9p",
        0x6573_5546 => "fuse",
        0xff53_4d42 | 0xfe53_4d42 => "smb",
        0x4d44 => "vfat",
        0x2011_bab0 => "exfat",
        _ => "",
    }
}

/// Tells whether no overlay can be laid over a file system.
pub(crate) fn takes_no_overlay(filesystem: &str) -> bool {
    matches!(
        filesystem,
        "overlay" | "nfs" | "ecryptfs" | "9p" | "fuse" | "smb" | "vfat" | "exfat"
    )
}

/// Refuses a store on which no cage can stand, before anything is unpacked there.
pub(super) fn check(store: &Path) -> Result<(), NativeError> {
    let filesystem = filesystem(store);
    if takes_no_overlay(filesystem) {
        return Err(NativeError::Ground {
            store: store.to_owned(),
            filesystem,
        });
    }
    Ok(())
}

/// Tells whether nothing on the store's filesystem may be run, as with `noexec`.
pub(super) fn runs_nothing(store: &Path) -> bool {
    statvfs(store).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC))
}
