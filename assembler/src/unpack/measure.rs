//! How much room a tree takes of which nothing is trusted, and in which somebody may be working.
//!
//! Invariant: no link is followed and no mount is entered; what cannot be looked into, or is deeper than [`DEPTH`],
//! is counted as the directory alone.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd as _, BorrowedFd},
};

use rustix::{
    fs::{AtFlags, FileType, RawDir, StatxFlags, statx},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::beneath::open_beneath;

/// How many directories are looked into that are inside each other: so many are open at once.
const DEPTH: usize = 200;

/// How much room something takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// How many files, directories and the like there are.
    pub nodes: u64,
    /// Bytes on the disk, a file with several names once.
    pub bytes: u64,
}

/// Adds up what a directory has under a name, with all that is below it; what is not there takes no room.
pub fn measure_tree(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Room> {
    let mut sum = Sum::default();
    match sum.add(directory, name, 0) {
        Ok(()) | Err(Errno::NOENT) => Ok(sum.room),
        Err(error) => Err(error.into()),
    }
}

#[derive(Default)]
struct Sum {
    room: Room,
    /// Files with several names that were counted.
    counted: BTreeSet<(u32, u32, u64)>,
}

impl Sum {
    fn add(&mut self, directory: BorrowedFd<'_>, name: &[u8], depth: usize) -> Result<(), Errno> {
        let found = statx(
            directory,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
            StatxFlags::BASIC_STATS,
        )?;
        let kind = FileType::from_raw_mode(found.stx_mode.into());
        let is_directory = kind == FileType::Directory;
        let file = (found.stx_dev_major, found.stx_dev_minor, found.stx_ino);
        self.room.nodes += 1;
        if is_directory || found.stx_nlink < 2 || self.counted.insert(file) {
            self.room.bytes += found.stx_blocks * 512;
        }
        if !is_directory || depth == DEPTH {
            return Ok(());
        }
        let Ok(below) = open_beneath(directory, name) else {
            return Ok(());
        };
        let mut buffer = Vec::with_capacity(1 << 13);
        let mut entries = RawDir::new(below.as_fd(), buffer.spare_capacity_mut());
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                // What has gone meanwhile takes no room.
                self.add(below.as_fd(), name, depth + 1).unwrap_or_default();
            }
        }
        Ok(())
    }
}
