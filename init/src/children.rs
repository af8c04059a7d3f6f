//! What PID 1 owes to all others: reaping orphans, and ending everybody at the end.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

/// How long what an agent left running may take to end.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

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
///
/// A child that suspended itself, as agents do on Ctrl-Z, goes on at once: there is no shell that would ever continue it.
pub(crate) fn reap(child: Pid) -> Option<u8> {
    let mut found = None;
    loop {
        match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) => {
                if pid == child && status.stopping_signal() == Some(Signal::TSTP.as_raw()) {
                    kill_process_group(child, Signal::CONT).unwrap_or_default();
                }
                if pid == child && (status.exited() || status.signaled()) {
                    found = Some(code(status));
                }
            }
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return found,
        }
    }
}

/// Asks every other process of the container to end and waits a moment for that; the kernel kills who is left when PID 1
/// ends.
pub(crate) fn see_off() {
    // Elsewhere than in a container of its own, all others would be everybody.
    if std::process::id() != 1 {
        return;
    }
    // The group of PID 1, negated, is every process that we may signal; without any this fails.
    if kill_process_group(Pid::INIT, Signal::TERM).is_err() {
        return;
    }
    let begin = std::time::Instant::now();
    while begin.elapsed() < FAREWELL {
        match wait(WaitOptions::NOHANG) {
            Ok(None) => std::thread::sleep(std::time::Duration::from_millis(5)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            // Nobody is left.
            Err(_) => return,
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
