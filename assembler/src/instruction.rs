//! Instructions: what a Dockerfile has done in a container, as data.
//!
//! Invariant: everything that was a variable, a pattern or a name of another image has become plain text and bytes, but
//! for what only the container knows: its users, groups and symbolic links.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// One thing to do, and how it is called in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// For people: the instruction and where it stands, such as `RUN make (Dockerfile line 3)`.
    pub label: String,
    /// What to do.
    pub action: Action,
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A program runs.
    Run {
        /// The program and its arguments; a name without a slash is looked for in `PATH`.
        argv: Vec<String>,
        /// All of its environment, but for what reaches the network; without `HOME`, it is that of the user.
        env: BTreeMap<String, String>,
        /// As whom, `name|uid[:group|gid]`; else as root.
        user: Option<String>,
        /// Its current directory, absolute; made when it is not there.
        directory: String,
    },
    /// Files are put there.
    Unpack {
        /// What, each entry relative to the destination; an entry for the root gives a new destination its mtime, as
        /// `BuildKit` has it.
        tar: TarSource,
        /// Where, absolute; symbolic links that lead there are followed.
        to: String,
        /// What `to` means.
        destination: Destination,
        /// What happens to something else that has an entry's name.
        conflict: Conflict,
        /// Whose all of it is, `name|uid[:group|gid]`, new directories on the way too; else what the entries say.
        owner: Option<String>,
        /// The permission bits of all of it, new directories on the way too; else what the entries say.
        mode: Option<u32>,
    },
    /// A directory and those that lead to it are made where they are missing.
    Directory {
        /// Where, absolute.
        path: String,
        /// Whose the new ones are, `name|uid[:group|gid]`; else root's.
        owner: Option<String>,
    },
}

/// What the destination of [`Action::Unpack`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// For a tar of one file or link: a directory to put it into if there is one, or if it ends in `/`; else its name.
    Auto,
    /// The directory that the entries are below; made when it is not there.
    Directory,
}

/// What happens when an entry of [`Action::Unpack`] is a directory and what has its name is not, or the other way.
/// Whatever is no directory is replaced by what is none, and what is in a directory stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// It is an error: `COPY`.
    Refuse,
    /// It is replaced, whole trees too: `ADD` of an archive.
    Replace,
}

/// A layer tar as [`layer::tar::LayerWriter`] writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TarSource {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// In a file of ours.
    File(PathBuf),
}

/// Something that is there while a step's instructions run and is in no layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMount {
    /// Where, absolute.
    pub target: String,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// Files.
    Bind {
        /// The tree; an entry for the root gives the mounted directory its metadata.
        tar: TarSource,
        /// The name of the one file in the tar that is mounted by itself, instead of a directory.
        file: Option<String>,
        /// Whether writing is allowed; what is written is dropped.
        access: Access,
    },
    /// A directory that later builds find again.
    Cache {
        /// By which name it is found.
        id: String,
        /// What happens when two steps want it at once.
        sharing: Sharing,
        /// Whether writing is allowed.
        access: Access,
        /// Permission bits of a new one.
        mode: u32,
        /// Owner of a new one.
        uid: u32,
        /// Group of a new one.
        gid: u32,
        /// What a new one begins with.
        seed: Option<TarSource>,
    },
    /// A directory in memory.
    Tmpfs {
        /// Most bytes in it.
        size: Option<u64>,
    },
    /// A file in memory.
    Secret {
        /// Its content.
        content: Secret,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Whether a mount may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may not.
    ReadOnly,
    /// It may.
    ReadWrite,
}

/// What happens when two steps want one cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// They use it at once.
    Shared,
    /// The second gets another one.
    Private,
    /// The second waits.
    Locked,
}

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Wraps them.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Returns them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
