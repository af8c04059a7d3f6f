//! What an engine keeps in the store besides layers.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What something is that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptKind {
    /// A cache of steps: `RUN --mount=type=cache`.
    Cache,
    /// What a killed run left of a cage.
    Cage,
}

/// Something that is kept and that nobody uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub kind: KeptKind,
    /// Where it is.
    pub path: PathBuf,
    /// How much room it takes.
    pub bytes: u64,
}

/// Which caches may go.
#[derive(Clone, Copy, Debug)]
pub struct UnusedCaches<'a> {
    /// Where their locks are, which have the time of the last use.
    pub locks: &'a Path,
    /// The time.
    pub now: SystemTime,
    /// For how long nobody has used them.
    pub unused: Duration,
}
