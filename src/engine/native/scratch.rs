//! Where a cage keeps what is changed in it: a directory in the store's filesystem, for as long as it runs.
//!
//! Invariant: a directory whose lock nobody holds is of a killed run, and the next run that makes one takes it away. Whoever
//! has a cage, and whoever tidies up after it, shares its lock, so that the last one of them lets it go.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use assembler::store::make_private;

use super::{Native, error::NativeError, job::Job, launch::FirstStage};

/// The directory of cages, in the store.
pub(crate) const CAGES: &str = "cages";
/// How locks are called, beside what they are for.
const LOCK: &str = "lock";

/// A cage's directory; whoever has it holds its lock.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Where it is.
    pub(super) path: PathBuf,
    lock: PathBuf,
    /// Locked as long as this is open.
    _file: fs_err::File,
}

impl Scratch {
    /// Makes an empty one.
    pub(super) fn new(native: &Native, nonce: &str) -> Result<Self, NativeError> {
        let cages = native.store.join(CAGES);
        let made = || {
            make_private(&cages)?;
            let path = cages.join(nonce);
            let lock = path.with_extension(LOCK);
            let file = locked(&lock)?;
            make_private(&path)?;
            Ok(Self {
                path,
                lock,
                _file: file,
            })
        };
        made().map_err(NativeError::host("make a directory for the cage"))
    }
}

/// Takes a share of a cage's lock, if it has one: whoever made the cage holds one too, unless it is gone already.
pub(super) fn share(path: &Path) -> io::Result<Option<fs_err::File>> {
    let file = match fs_err::File::open(path.with_extension(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    file.try_lock_shared()?;
    Ok(Some(file))
}

/// Makes a file and takes its lock, which a sweep may just be trying.
fn locked(path: &Path) -> io::Result<fs_err::File> {
    use std::os::unix::fs::MetadataExt as _;
    loop {
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        file.lock_shared()?;
        if file.metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What the cage left in it, if anything, is for the next run.
        if fs_err::remove_dir(&self.path).is_ok() || !self.path.exists() {
            fs_err::remove_file(&self.lock).unwrap_or_default();
        }
    }
}

/// Takes away what killed runs left.
pub(super) fn sweep(native: &Native) -> Result<(), NativeError> {
    let left = abandoned(native)?;
    if left.is_empty() {
        return Ok(());
    }
    let paths: Vec<OsString> = left.iter().map(|(_, path)| path.clone().into()).collect();
    let removed = FirstStage::carry_out(native, &Job::Remove { paths }, &[]);
    for (_file, path) in left {
        // The lock of what could not be removed stays, for a later run to try.
        if fs_err::symlink_metadata(&path).is_err() {
            fs_err::remove_file(path.with_extension(LOCK)).unwrap_or_default();
        }
    }
    removed.map(drop)
}

/// Returns directories that nobody has, with their locks.
pub(super) fn abandoned(native: &Native) -> Result<Vec<(fs_err::File, PathBuf)>, NativeError> {
    unlocked(&native.store.join(CAGES)).map_err(NativeError::host("look for what killed runs left"))
}

fn unlocked(cages: &Path) -> io::Result<Vec<(fs_err::File, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match fs_err::read_dir(cages) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != LOCK) {
            continue;
        }
        let Ok(file) = fs_err::File::open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            found.push((file, path.with_extension("")));
        }
    }
    Ok(found)
}
