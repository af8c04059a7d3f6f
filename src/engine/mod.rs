//! What containers run in.
//!
//! Invariant: nothing here reads the environment or the home directory; where an engine is to be found comes in as
//! values.

pub mod docker;
