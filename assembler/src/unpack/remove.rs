//! Removing a tree of which nothing is trusted: not its depth, not its modes, not what is mounted in it.
//!
//! Invariant: nothing outside of the tree is touched: no link is followed and no mount is entered, which is an error.
//! However deep the tree is, a few dozen directories are open: what is deeper is moved up first.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, RawDir, RenameFlags, chmodat, fchmod, fstat, renameat_with, seek,
        unlinkat,
    },
    io::Errno,
};

use super::beneath::open_beneath;

/// How many directories may be open inside each other.
const DEPTH: usize = 24;
/// How many names are read at once.
const BATCH: usize = 4096;

/// Removes what a directory has under a name, with all that is below it; what is not there is removed already.
pub fn remove_tree(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let Some(top) = gone_or(open(directory, name))? else {
        return Ok(());
    };
    let mut moved = 0;
    // What was moved up comes after what there was.
    while empty(top.as_fd(), &top, (0, &mut moved))? {}
    gone_or(unlinkat(directory, name, AtFlags::REMOVEDIR))?;
    Ok(())
}

/// Removes all that a directory has; tells whether there was anything.
fn empty(
    here: BorrowedFd<'_>,
    top: &OwnedFd,
    (depth, moved): (usize, &mut u64),
) -> Result<bool, Errno> {
    let mut had_any = false;
    loop {
        let names = gone_or(names(here))?.unwrap_or_default();
        if names.is_empty() {
            return Ok(had_any);
        }
        had_any = true;
        let mut stays = true;
        for (name, is_directory) in names {
            if !is_directory {
                match unlinkat(here, name.as_slice(), AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {
                        stays = false;
                        continue;
                    }
                    Err(Errno::ISDIR) => {}
                    Err(error) => return Err(error),
                }
            }
            stays = false;
            let Some(below) = gone_or(open(here, &name))? else {
                continue;
            };
            if depth < DEPTH {
                empty(below.as_fd(), top, (depth + 1, moved))?;
                drop(below);
                gone_or(unlinkat(here, name.as_slice(), AtFlags::REMOVEDIR))?;
            } else {
                gone_or(move_up(here, &name, (top, moved)))?;
            }
        }
        if stays {
            return Err(Errno::NOTEMPTY);
        }
    }
}

/// Somebody else may remove the same: what is gone is as it should be.
fn gone_or<T>(outcome: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match outcome {
        Err(Errno::NOENT) => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn move_up(
    here: BorrowedFd<'_>,
    name: &[u8],
    (top, moved): (&OwnedFd, &mut u64),
) -> Result<(), Errno> {
    loop {
        *moved += 1;
        let to = format!("moved-{moved}");
        match renameat_with(here, name, top, to.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// Opens a directory that is to be emptied, whatever its mode.
fn open(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let opened = match open_beneath(directory, name) {
        Err(Errno::ACCESS) => {
            // No link: of one, the name would be gone already.
            chmodat(directory, name, Mode::RWXU, AtFlags::empty())?;
            open_beneath(directory, name)?
        }
        other => other?,
    };
    if fstat(&opened)?.st_mode & 0o700 != 0o700 {
        fchmod(&opened, Mode::RWXU)?;
    }
    Ok(opened)
}

/// Lists a directory, or the first part of a large one.
fn names(directory: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, bool)>, Errno> {
    seek(directory, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while names.len() < BATCH
        && let Some(entry) = entries.next()
    {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push((name.to_vec(), entry.file_type() == FileType::Directory));
        }
    }
    Ok(names)
}
