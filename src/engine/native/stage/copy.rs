//! This program as a copy in memory that nobody can write to.
//!
//! A program that an image names may be a script whose interpreter is `/proc/self/exe`: then the kernel starts what its first
//! process was before, and whoever is inside gets at that file; a process that joins a cage is seen by those who are there.
//! Invariant: what the image or a cage's processes have a say in was started from the copy, so that they never get at the file
//! that other runs, and other users, start.

use std::{
    ffi::OsString, io, os::fd::AsRawFd as _, os::unix::process::CommandExt as _, process::Command,
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create, sendfile},
    io::Errno,
};

use super::NATIVE;

/// How the copy is called.
const NAME: &str = "aicage";
/// Where the kernel says what a process was started from.
const OWN: &str = "/proc/self/exe";

/// Becomes the copy, and comes back here as it; returns only then, or with an error.
pub(super) fn become_it(arguments: &[OsString]) -> io::Result<()> {
    let started = fs_err::read_link(OWN)?;
    if started.starts_with(format!("/memfd:{NAME} (deleted)")) {
        return Ok(());
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match memfd_create(NAME, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every file in memory can be started.
        Err(Errno::INVAL) => memfd_create(NAME, flags),
        made => made,
    }?;
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let own = fs_err::File::open(OWN)?;
    // The kernel copies it: reading and writing would take ten times as long.
    while sendfile(&copy, &own, None, 1 << 30)? > 0 {}
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&copy, all)?;
    Err(Command::new(path).arg(NATIVE).args(arguments).exec())
}
