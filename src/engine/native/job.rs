//! What is done inside a mapping of ids, as data.

use std::{ffi::OsString, io, os::fd::OwnedFd};

use assembler::store::rootfs::UnpackJob;
use rustix::fs::{MemfdFlags, memfd_create};

use serde::{Deserialize, Serialize};

use super::{
    cage::{Cage, Confinement, Limit, Program},
    session::Process,
};

/// One job of the first stage.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Makes a cage and runs its program to the end. With it come the program's three standard streams, but not for a
    /// program with a terminal, and then what is to stay open until its end.
    Cage(Box<Cage>),
    /// Unpacks layers of one image, the lowest first; with it come the directory of unpacked layers and the blobs.
    Unpack(Vec<UnpackJob>),
    /// Fills a new directory; with it comes an uncompressed tar.
    Fill {
        /// Its absolute path.
        directory: OsString,
    },
    /// Compares an unpacked layer with what it was; with it come the directory of unpacked layers and the path index.
    Check {
        /// The layer's name there.
        name: String,
    },
    /// Runs another program in a cage that runs; with it come the program's three standard streams, or none if it gets a
    /// terminal.
    Beside(Box<Beside>),
    /// Packs a root file system as a tar; with it comes what that is written to.
    Pack {
        /// Its absolute path.
        directory: OsString,
    },
    /// Adds up what trees take.
    Measure {
        /// Absolute paths.
        paths: Vec<OsString>,
    },
    /// Removes trees.
    Remove {
        /// Absolute paths.
        paths: Vec<OsString>,
    },
}

/// A program for a cage that runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Beside {
    /// The cage's first process.
    pub(super) process: Process,
    /// What is to run.
    pub(super) program: Program,
    /// What the cage is kept from.
    pub(super) confinement: Confinement,
    /// The limits of its processes.
    pub(super) limits: Vec<Limit>,
}

impl Job {
    /// Writes it into a file in memory, to be sent along.
    pub(super) fn to_file(&self) -> io::Result<OwnedFd> {
        let file = memfd_create("aicage-job", MemfdFlags::CLOEXEC)?;
        let mut file = fs_err::File::from_parts(file.into(), "the job");
        serde_json::to_writer(&mut file, self)?;
        Ok(file.into_parts().0.into())
    }
}
