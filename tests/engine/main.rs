//! Real engines: loading, steps and sessions, on each engine that the world offers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod caches;
mod connect;
mod given_up;
mod instructions;
mod load;
mod masks;
mod mounts;
mod ordinary_user;
mod session;
mod step_failures;
mod steps;
mod support;
