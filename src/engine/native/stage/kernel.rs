//! The two calls of the kernel that no library has in a safe form.
#![expect(
    unsafe_code,
    reason = "namespaces and filters of calls have no safe interface"
)]

use std::io;

use rustix::thread::UnshareFlags;
use seccompiler::BpfProgram;

/// Leaves namespaces of this process for new ones.
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: the table of descriptors stays shared, and this process has one thread.
    unsafe { rustix::thread::unshare_unsafe(namespaces - UnshareFlags::FILES) }?;
    Ok(())
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
