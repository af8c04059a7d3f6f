//! The tars of a step's instructions, opened one at a time.
//!
//! Invariant: a program changes none of them. What a program could reach, because the step's directory was uploaded
//! and is part of the container, is copied before the first one runs into a file without a name.

use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{StatVfsMountFlags, statvfs};

/// Where a tar is.
pub(super) enum Tar {
    /// In the step's directory.
    There(PathBuf),
    /// A part of what is kept.
    Kept { begin: u64, size: u64 },
}

/// What the tars are read from.
pub(super) struct Tars {
    directory: PathBuf,
    /// No program can write there.
    is_safe: bool,
    kept: Option<fs::File>,
}

impl Tars {
    /// Looks at the directory in which the tars are.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let flags = statvfs(directory)?.f_flag;
        Ok(Self {
            directory: directory.to_owned(),
            is_safe: flags.contains(StatVfsMountFlags::RDONLY),
            kept: None,
        })
    }

    /// Takes a tar that is needed before any program has run.
    pub(super) fn at_once(&self, name: &str) -> Tar {
        Tar::There(self.directory.join(name))
    }

    /// Takes a tar that is needed after a program has run; `private` is where a file can be made.
    pub(super) fn for_later(&mut self, name: &str, private: &Path) -> io::Result<Tar> {
        if self.is_safe {
            return Ok(self.at_once(name));
        }
        let kept = match &mut self.kept {
            Some(kept) => kept,
            none => none.insert(nameless(&private.join("tars"))?),
        };
        let begin = kept.stream_position()?;
        let mut tar = fs::File::open(self.directory.join(name))?;
        let size = io::copy(&mut tar, kept)?;
        Ok(Tar::Kept { begin, size })
    }

    /// Opens a tar.
    pub(super) fn open(&self, tar: &Tar) -> io::Result<Box<dyn Read + '_>> {
        match (tar, &self.kept) {
            (Tar::There(path), _) => Ok(Box::new(fs::File::open(path)?)),
            (Tar::Kept { begin, size }, Some(kept)) => {
                let mut kept = kept;
                kept.seek(SeekFrom::Start(*begin))?;
                Ok(Box::new(kept.take(*size)))
            }
            (Tar::Kept { .. }, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Makes a file to write and read that no program can find.
pub(super) fn nameless(path: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}
