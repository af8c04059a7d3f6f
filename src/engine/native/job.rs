//! What is done inside a mapping of ids, as data.

use std::{ffi::OsString, io, os::fd::OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};

use serde::{Deserialize, Serialize};

use super::cage::Cage;

/// One job of the first stage.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Makes a cage and runs its program to the end. With it come the program's three standard streams; for a program with a
    /// terminal, none.
    Cage(Box<Cage>),
    /// Unpacks a layer; with it comes its blob.
    Unpack(Unpack),
    /// Removes trees.
    Remove {
        /// Absolute paths.
        paths: Vec<OsString>,
    },
}

/// A layer that is to be unpacked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Unpack {
    /// The directory that it becomes.
    pub(super) target: OsString,
}

impl Job {
    /// Writes it into a file in memory, to be sent along.
    pub(super) fn to_file(&self) -> io::Result<OwnedFd> {
        let file = memfd_create("aicage-job", MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        serde_json::to_writer(&mut file, self)?;
        Ok(file.into())
    }
}
