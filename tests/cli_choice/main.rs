//! What an agent runs in, from outside: flags, what is stored, questions on a real terminal, defaults. No network, no
//! engine: a run goes as far as its first need of either, and everything is chosen and stored before that.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot set up its world has failed; one that is skipped says so"
)]

mod access;
mod flags;
mod home;
mod overview;
mod questions;
mod refused;
mod shares;
mod team;
mod terminal;
