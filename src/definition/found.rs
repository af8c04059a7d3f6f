//! Which definitions a directory has: its directories, links to directories included.
//!
//! Invariant: what cannot be looked at is told, never left out silently; plain files and hidden names are other things.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use assembler::definition_files::FilesError;
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat},
    io::Errno,
};

use super::{directory, others};

/// What is in a directory of definitions.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Names and directories of definitions, in the order of their names.
    pub(super) definitions: Vec<(String, PathBuf)>,
    /// Names that might be definitions, and why they cannot be looked at; without a name it is the whole directory.
    pub(super) problems: Vec<(Option<String>, FilesError)>,
}

/// Lists the definitions in `directory`; none where there is no such directory.
pub(super) fn list(directory: &Path) -> Found {
    let mut found = Found::default();
    match names(directory) {
        Ok(names) => {
            for name in names {
                look(directory, name, &mut found);
            }
        }
        Err(Errno::NOENT) => {}
        Err(error) => {
            let error = directory::read(directory, error);
            found.problems.push((None, error));
        }
    }
    found
}

fn names(directory: &Path) -> Result<Vec<Vec<u8>>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut entries = Dir::new(openat(CWD, directory, flags, Mode::empty())?)?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !others::is_hidden(name) && entry.file_type() != FileType::RegularFile {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn look(directory: &Path, name: Vec<u8>, found: &mut Found) {
    let path = directory.join(std::ffi::OsStr::from_bytes(&name));
    let refused = match statat(CWD, &path, AtFlags::empty()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => return,
        Ok(_) => match String::from_utf8(name) {
            Ok(name) => return found.definitions.push((name, path)),
            Err(error) => {
                let shown = error.as_bytes().escape_ascii().to_string();
                let error = directory::refuse(&path, &format!("the name `{shown}` is not UTF-8"));
                return found.problems.push((Some(shown), error));
            }
        },
        // It went between two looks.
        Err(Errno::NOENT) if statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW).is_err() => return,
        Err(Errno::NOENT | Errno::NOTDIR) => directory::refuse(&path, "a link that leads nowhere"),
        Err(Errno::LOOP) => directory::refuse(&path, "a link that leads in a circle"),
        Err(error) => directory::read(&path, error),
    };
    let shown = name.escape_ascii().to_string();
    found.problems.push((Some(shown), refused));
}
