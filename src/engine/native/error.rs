//! Why this machine cannot run a cage, or a cage did not work.

use std::{io, path::PathBuf, time::Duration};

/// What went wrong in the native engine.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The user has no subordinate ids, or too few.
    #[error("{file} gives `{user}` {found} subordinate ids, and images use 65536")]
    SubIds {
        /// The list.
        file: &'static str,
        /// Whose.
        user: String,
        /// How many there are.
        found: u64,
    },
    /// A program that only root's rights can replace is not there.
    #[error("`{tool}` cannot be run")]
    Tool {
        /// Which one.
        tool: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program that connects a network of a session's own is not there.
    #[error("`--network pasta` takes the program `pasta`, which is not installed")]
    NoPasta,
    /// A program with root's rights refused.
    #[error("`{tool}` refused the mapping of ids: {said}")]
    Mapping {
        /// Which one.
        tool: &'static str,
        /// What it said.
        said: String,
    },
    /// Something of this machine did not work.
    #[error("cannot {what}")]
    Host {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The store is where no cage can stand.
    #[error("the store {} is on {filesystem}, over which no other directories can be laid", store.display())]
    Ground {
        /// The store.
        store: PathBuf,
        /// What it is on.
        filesystem: &'static str,
    },
    /// A directory is not the caller's to read as a root file system.
    #[error("{} belongs to user {owner}, who is neither you nor one of your subordinate ids", directory.display())]
    TreeOwner {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The same, read in the mapping in which it was made.
    #[error("cannot take {} as a root file system: {what}", directory.display())]
    TreeInside {
        /// The directory.
        directory: PathBuf,
        /// What in it, and why.
        what: String,
    },
    /// A directory cannot be read as a root file system.
    #[cfg(target_os = "linux")]
    #[error("cannot take {} as a root file system", directory.display())]
    Tree {
        /// The directory.
        directory: PathBuf,
        /// What in it, and why.
        #[source]
        source: layer::capture::CaptureError,
    },
    /// The cage could not be made.
    #[error("cannot {what}")]
    Cage {
        /// What was tried in its making.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something in the mapping could not be done, and it was not the system that refused.
    #[error("cannot {what}")]
    Job {
        /// What, and why.
        what: String,
    },
    /// The process that makes cages ended without a word.
    #[error("the process that makes the cage ended before it was there")]
    Vanished,
    /// The store failed.
    #[error("the unpacked layers cannot be used")]
    Store(#[from] assembler::store::StoreError),
    /// Something that only engines have.
    #[error("the native engine has no {what}")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// It took longer than it may.
    #[error("it did not end within {} s", limit.as_secs())]
    TimeLimit {
        /// How long it may take.
        limit: Duration,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
}

impl NativeError {
    /// Says what was tried on this machine when the system refused.
    pub fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Host { what, source }
    }
}
