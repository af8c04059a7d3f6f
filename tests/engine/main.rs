//! Real engines: loading, steps and sessions, on each engine that the world offers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod connect;
mod instructions;
mod load;
mod session;
mod steps;
mod support;
