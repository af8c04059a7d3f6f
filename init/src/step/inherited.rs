//! The descriptor of the upper directory, which the caller gives by number.
//!
//! A script is root beside us and must not get at that directory: what it did there would be in the layer as if it were the
//! image's. It has no name in the container, no program inherits it, and `/proc/1/fd` is closed since this program is not
//! dumpable.
#![expect(
    unsafe_code,
    reason = "a descriptor that was inherited is known by its number alone"
)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::fs::{FileType, fstat};
use rustix::io::{FdFlags, fcntl_setfd};

/// Takes a directory that this program was started with. To be called once, while nothing else is open.
pub(super) fn directory(number: RawFd) -> io::Result<OwnedFd> {
    let refuse = |what: &str| {
        let message = format!("the upper directory's descriptor {number} {what}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    };
    if number <= 2 {
        return refuse("is that of a standard stream");
    }
    // SAFETY: it is borrowed for two calls, which refuse a number that is not open.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    if fcntl_setfd(inherited, FdFlags::CLOEXEC).is_err() {
        return refuse("is not open");
    }
    if FileType::from_raw_mode(fstat(inherited)?.st_mode) != FileType::Directory {
        return refuse("is not that of a directory");
    }
    // SAFETY: it is open, and nobody else in this program knows of it: what we opened ourselves is closed again.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
