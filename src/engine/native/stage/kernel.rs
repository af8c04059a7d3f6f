//! The calls that no library has in a safe form.
#![expect(
    unsafe_code,
    reason = "namespaces, filters of calls, all descriptors at once and work between fork and exec have no safe interface"
)]

use std::{
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd},
        unix::process::CommandExt as _,
    },
    process::Command,
};

use rustix::{io::Errno, thread::UnshareFlags};
use seccompiler::BpfProgram;

/// Leaves namespaces of this process for new ones.
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: the table of descriptors stays shared: what other threads have open, if there are any, they keep.
    unsafe { rustix::thread::unshare_unsafe(namespaces - UnshareFlags::FILES) }?;
    Ok(())
}

/// Keeps whatever this process starts from descriptors that it was left by chance, such as those of the user's shell.
pub(super) fn keep_to_streams() -> io::Result<()> {
    // SAFETY: no descriptor is closed: each stays open and whose it is until this process becomes another program.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes a mount and all below it read-only, wherever they are; nobody has to walk to them.
pub(super) fn read_only(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    let change = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the descriptor is open, the text ends in NUL, and the kernel reads one `mount_attr` of the size that is said.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            std::ptr::from_ref(&change),
            size_of_val(&change),
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    }
}

/// Has a new process do something before it becomes its program.
pub(super) fn before_exec(
    command: &mut Command,
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: only `beside` calls this, which has one thread, so in the copy of it nothing is locked for ever.
    unsafe { command.pre_exec(prepare) };
}

/// Filters the calls of this process and of all that it starts.
///
/// `seccompiler` would take the gaining of rights away from all programs too, and `sudo` would not work inside.
pub(super) fn filter(program: &BpfProgram) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: the kernel copies `length` instructions, which are all there; `seccompiler` lays them out as the kernel does.
    let outcome = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            std::ptr::from_ref(&program),
            0,
            0,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
