//! Unpacks one layer, an untrusted tar, into an empty directory that overlayfs takes as a lower one.
//!
//! # What becomes of what
//!
//! - Files, directories, symbolic and hard links and pipes are made as the tar says, with owner, mode, attributes and
//!   time in whole seconds. Of two entries with one path the later stays, with all that is below it.
//! - A whiteout is a character device 0:0, an opaque directory has `user.overlay.opaque`: what an overlay that is mounted
//!   with `userxattr` reads. Both speak of lower layers only, wherever in the tar they are: beside an entry of the same
//!   name a whiteout makes a directory opaque and is else nothing, and below what is opaque it is nothing.
//! - A name that leads through a symbolic link *of the same layer* is followed within the layer, as engines do. A name
//!   that leads through a link of a *lower* layer is not: the directory hides the link, as on overlayfs everywhere.
//! - Directories that the tar leaves out are made ([`Unpacked::implied`]); [`settle()`] gives them what lower layers say.
//! - Device nodes, and attributes that cannot be set here, are left out and told ([`Skipped`]); attributes of overlays
//!   and of the host's own making are left out.
//!
//! **Invariants.** Nothing outside the directory is read, written or even looked at, whatever the tar says: each call
//! names one component in a directory that was opened beneath the root, following nothing, and files are made anew.
//! Memory, entries and bytes are bounded. What fails leaves a directory behind that the caller removes.

mod beneath;
mod check;
mod dress;
mod error;
mod links;
mod markers;
mod measure;
mod nodes;
mod remove;
mod settle;
mod skipped;
mod wanted;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufReader, Read},
    os::fd::{AsFd as _, BorrowedFd},
};

use layer::{
    IndexBuilder, LayerItem, LayerPath, PathIndex,
    tar::{LayerReader, Limits},
};
use rustix::{
    fs::{RawDir, fremovexattr, fstat},
    process::{getegid, geteuid},
};

use self::{
    beneath::Directories,
    dress::{Dress, Dresser},
    links::Links,
};
pub use self::{
    check::{Difference, check_tree},
    error::UnpackError,
    measure::{Room, measure_tree},
    remove::remove_tree,
    settle::settle,
    skipped::{SkipReason, Skipped, Skips},
    wanted::Wanted,
};

/// What an opaque directory has.
pub const OPAQUE: &str = "user.overlay.opaque";
/// Disks give room in blocks of so many bytes.
const BLOCK: u64 = 4096;

type Tar<'a> = LayerReader<BufReader<&'a mut dyn Read>>;

/// What is accepted of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackLimits {
    /// What the tar's reader accepts.
    pub tar: Limits,
    /// Bytes of all files together, holes not counted.
    pub content: u64,
    /// How many directories may be inside each other.
    pub depth: usize,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            tar: Limits::default(),
            content: 1 << 40,
            depth: 1024,
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// How many nodes there are, whiteouts included.
    pub entries: u64,
    /// How much room they take on a disk, about.
    pub bytes: u64,
    /// The layer's own path index, as the tar says it.
    pub index: PathIndex,
    /// Directories that the tar leaves out, parents first; the root is never among them.
    pub implied: Vec<Implied>,
    /// Whether the tar says anything of the root directory itself.
    pub has_root: bool,
    /// Nothing of any lower layer is left: an overlay does not see that by itself in a root directory.
    pub hides_all: bool,
    /// What was left out.
    pub skipped: Skips,
}

/// A directory that the tar leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Implied {
    /// Where it is.
    pub path: LayerPath,
    /// It is only there for whiteouts.
    pub for_markers: bool,
}

/// Unpacks a layer into an empty directory.
pub fn unpack(
    tar: &mut dyn Read,
    root: BorrowedFd<'_>,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    prepare(root)?;
    let mut reader = LayerReader::new(BufReader::with_capacity(256 << 10, tar), limits.tar.clone());
    let mut unpacking = Unpacking::new(root, limits);
    while let Some(item) = reader.next_item()? {
        unpacking.index.add(&item);
        match item {
            LayerItem::Entry(entry) => unpacking.entry(entry, &mut reader)?,
            LayerItem::Whiteout(path) => unpacking.whiteouts.push(path),
            LayerItem::Opaque(path) => unpacking.opaques.push(path),
        }
    }
    // Only at its end does the source know that all of it was right.
    let source = reader.finish()?;
    std::io::copy(source.into_inner(), &mut std::io::sink())
        .map_err(|source| UnpackError::Read(layer::tar::ReadError::Io { source }))?;
    unpacking.finish()
}

/// What is known while a layer is being unpacked.
struct Unpacking<'a> {
    root: BorrowedFd<'a>,
    limits: &'a UnpackLimits,
    directories: Directories<'a>,
    links: Links,
    dresser: Dresser,
    /// Every directory there is, free of links, with what it gets at the end; none where the tar says nothing.
    made: BTreeMap<LayerPath, Option<Dress>>,
    whiteouts: Vec<LayerPath>,
    opaques: Vec<LayerPath>,
    /// Where nodes were left out.
    absent: BTreeSet<LayerPath>,
    index: IndexBuilder,
    entries: u64,
    content: u64,
    bytes: u64,
    skips: Skips,
    buffer: Vec<u8>,
}

impl<'a> Unpacking<'a> {
    fn new(root: BorrowedFd<'a>, limits: &'a UnpackLimits) -> Self {
        Self {
            root,
            limits,
            directories: Directories::new(root),
            links: Links::default(),
            dresser: Dresser {
                fresh: (geteuid().as_raw(), getegid().as_raw()),
            },
            made: BTreeMap::from([(LayerPath::root(), None)]),
            whiteouts: Vec::new(),
            opaques: Vec::new(),
            absent: BTreeSet::new(),
            index: IndexBuilder::default(),
            entries: 0,
            content: 0,
            bytes: BLOCK,
            skips: Skips::default(),
            buffer: vec![0; 1 << 18],
        }
    }

    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        let markers = self.mark()?;
        let mut implied = Vec::new();
        let mut has_root = false;
        // What is below a directory comes first: making it changed the directory's time, and a mode may close it.
        for (path, dress) in std::mem::take(&mut self.made).into_iter().rev() {
            let directory = self
                .directories
                .get(&path)
                .map_err(|error| UnpackError::io("open", &path, error))?;
            let said = dress.unwrap_or(Dress::implied(self.dresser.fresh));
            self.dresser.open(directory.as_fd(), &path, said)?;
            if path.is_root() {
                has_root = dress.is_some();
            } else if dress.is_none() {
                let for_markers = markers.made.contains(&path);
                implied.push(Implied { path, for_markers });
            }
        }
        implied.reverse();
        Ok(Unpacked {
            entries: self.entries,
            bytes: self.bytes,
            index: self.index.finish(),
            implied,
            has_root,
            hides_all: markers.hides_all,
            skipped: self.skips,
        })
    }
}

/// Makes sure that nothing is there, and that what is made there takes neither group nor access list after the root.
fn prepare(root: BorrowedFd<'_>) -> Result<(), UnpackError> {
    let failed = |error| UnpackError::io("read", &LayerPath::root(), error);
    let mut buffer = Vec::with_capacity(1 << 12);
    let listed = beneath::open_beneath(root, b"").map_err(failed)?;
    let mut entries = RawDir::new(&listed, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        if !matches!(entry.map_err(failed)?.file_name().to_bytes(), b"." | b"..") {
            return Err(UnpackError::NotEmpty);
        }
    }
    fremovexattr(root, "system.posix_acl_default").ok();
    let stat = fstat(root).map_err(failed)?;
    let (user, group) = (geteuid(), getegid());
    if stat.st_uid != user.as_raw() || stat.st_gid != group.as_raw() {
        rustix::fs::fchown(root, Some(user), Some(group))
            .map_err(|error| UnpackError::io("set the owner of", &LayerPath::root(), error))?;
    }
    rustix::fs::fchmod(root, rustix::fs::Mode::RWXU)
        .map_err(|error| UnpackError::io("set the mode of", &LayerPath::root(), error))
}
