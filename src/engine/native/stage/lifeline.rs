//! Whether anybody still waits for a job that is no cage.
//!
//! Invariant: it is known at once, however whoever waited has ended: the kernel closes the other end of the channel.

use std::{
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use super::{StageError, tried};
use crate::engine::native::channel::Channel;

/// What is done when nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The job is told, ends as soon as it can and leaves nothing half made.
    Told,
    /// This process ends: what its job has done so far is not lost, and not taken for more than it is.
    Ended,
}

/// Watches the channel's other end while this process does its job.
pub(super) fn watch(channel: &Channel, over: Over) -> Result<Arc<AtomicBool>, StageError> {
    let what = || "watch whoever wants the job done".to_owned();
    let other = tried(channel.as_fd().try_clone_to_owned(), what)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&is_over);
    let watching = std::thread::Builder::new().spawn(move || {
        // Its end is told unasked; what is said meanwhile is nothing for this job.
        let mut ends = [PollFd::new(&other, PollFlags::empty())];
        while matches!(poll(&mut ends, None), Err(Errno::INTR)) {}
        match over {
            Over::Told => tell.store(true, Ordering::Relaxed),
            Over::Ended => end(),
        }
    });
    tried(watching, what)?;
    Ok(is_over)
}

#[expect(
    clippy::exit,
    reason = "the thread that works is in the midst of it, and nobody waits for its verdict"
)]
fn end() -> ! {
    std::process::exit(0)
}
