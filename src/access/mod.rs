//! Access to this machine beyond the project: what there is, what the user said to it, and what an agent gets of it.
//!
//! Invariants: what git needs is given for reading; keys, sockets and writing outside the project only to whoever was told
//! yes in this project, by an answer, a flag or a stored key. Without a terminal nothing is asked and nothing new given.

pub mod banner;
mod detect;
pub mod git;
mod gnupg;
mod kind;
mod offer;
mod options;
mod settle;
mod ssh;

pub use detect::{Detected, detect};
pub use kind::{Grant, Kind, KindError, Switch, Wish};
pub use offer::AccessOffer;
pub use options::{AccessOptions, Typed};
pub use settle::{Given, Settled, Settlement, keep, refuse_absent_socket, settle};
