//! A place in a directory tree, held by one descriptor: down by name, up by `..`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, RawDir, Stat, fstat, openat};
use rustix::io::Errno;

/// What tells nodes apart: device and inode.
pub(super) type NodeId = (u64, u64);

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// An open directory somewhere below the root that the walk began at.
#[derive(Debug)]
pub(super) struct Cursor {
    here: OwnedFd,
    /// The directories above, so that the way up is proved to be the way down.
    above: Vec<NodeId>,
    id: NodeId,
}

/// The names in a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All, in byte order.
    pub(super) names: Vec<Vec<u8>>,
    /// Those that may be sockets.
    pub(super) sockets: Vec<Vec<u8>>,
}

pub(super) fn id(stat: &Stat) -> NodeId {
    (stat.st_dev, stat.st_ino)
}

impl Cursor {
    pub(super) fn new(root: BorrowedFd<'_>) -> Result<(Self, Stat), Errno> {
        let here = openat(root, ".", DIRECTORY, Mode::empty())?;
        let stat = fstat(&here)?;
        Ok((
            Self {
                here,
                above: Vec::new(),
                id: id(&stat),
            },
            stat,
        ))
    }

    pub(super) fn down(&mut self, name: &[u8]) -> Result<Stat, Errno> {
        let below = openat(&self.here, name, DIRECTORY, Mode::empty())?;
        let stat = fstat(&below)?;
        self.above.push(std::mem::replace(&mut self.id, id(&stat)));
        self.here = below;
        Ok(stat)
    }

    /// Goes up; tells whether that is where it came from.
    pub(super) fn up(&mut self) -> Result<bool, Errno> {
        let Some(expected) = self.above.pop() else {
            return Ok(true);
        };
        self.here = openat(&self.here, "..", DIRECTORY, Mode::empty())?;
        self.id = expected;
        Ok(id(&fstat(&self.here)?) == expected)
    }

    /// Lists the directory.
    pub(super) fn list(&self) -> Result<Listing, Errno> {
        let mut buffer = Vec::with_capacity(1 << 15);
        let mut entries = RawDir::new(&self.here, buffer.spare_capacity_mut());
        let mut listing = Listing::default();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            listing.names.push(name.to_vec());
            if matches!(entry.file_type(), FileType::Socket | FileType::Unknown) {
                listing.sockets.push(name.to_vec());
            }
        }
        listing.names.sort_unstable();
        Ok(listing)
    }
}

impl AsFd for Cursor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.here.as_fd()
    }
}
