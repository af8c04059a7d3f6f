//! The program from end to end, through its command line, on the real engines and registries of `fixtures/world`.
//!
//! Each test has its own home, project and names, runs on every engine there is, and removes what it made there.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![expect(
    clippy::disallowed_methods,
    reason = "the world is found by environment variables"
)]
#![cfg(target_os = "linux")]

mod access;
mod asked_for;
mod authorities;
mod bundle;
mod cages;
mod choosing;
mod company;
mod container_options;
mod dockerfiles;
mod dry_run;
mod engine_away;
mod escape;
mod extensions;
mod failures;
mod ground;
mod guides;
mod identity;
mod image_trees;
mod kept;
mod matrix;
mod named;
mod nasty;
mod refused;
mod root_directories;
mod same;
mod secrets;
mod session;
mod sessions;
mod shares;
mod signing;
mod unmoved;
mod unusual_stores;
mod updates;
mod users;
mod versions;
mod wire;
