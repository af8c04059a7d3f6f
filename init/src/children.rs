//! What PID 1 owes to all others: reaping orphans, and ending everybody at the end.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

/// Turns a status into the number that shells give: the exit code, or 128 and the signal.
pub(crate) fn code(status: WaitStatus) -> u8 {
    let number = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    number
        .and_then(|number| u8::try_from(number).ok())
        .unwrap_or(u8::MAX)
}

/// Waits for one child to end, reaping whatever else ends meanwhile.
pub(crate) fn await_one(child: Pid) -> Result<u8, Errno> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child && (status.exited() || status.signaled()) => {
                return Ok(code(status));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reaps all that has ended; returns the code of this child if it was among them.
pub(crate) fn reap(child: Pid) -> Option<u8> {
    let mut found = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if pid == child && (status.exited() || status.signaled()) {
                    found = Some(code(status));
                }
            }
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return found,
        }
    }
}

/// Kills every other process of the container and waits until none is left.
pub(crate) fn end_all() {
    loop {
        // The group of PID 1, negated, is every process that we may signal; without any this fails.
        kill_process_group(Pid::INIT, Signal::KILL).unwrap_or_default();
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
