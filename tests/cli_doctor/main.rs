//! `aicage doctor`, completions and the manual, through the program itself: each thing that can be wrong is made wrong.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set up its world has failed"
)]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![cfg(target_os = "linux")]

mod completing;
mod ground;
mod looking;
mod manual;
