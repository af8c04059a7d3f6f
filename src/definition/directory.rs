//! What is in a definition's directory, by its metadata: no file is opened.
//!
//! Invariant: a directory is bounded in files, bytes and depth, and so is the work on one that is not: a link that leads
//! in a circle, a FIFO or gigabytes are errors that name them, not hangs. Links are followed; other programs'
//! directories are not part of a definition.

use std::{
    ffi::CString,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use assembler::{
    definition_files::FilesError,
    digest::{Digest, Hasher},
};
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat},
    io::Errno,
};

use super::others;

/// The most bytes that one definition may have.
pub(super) const BYTES: u64 = 64 << 20;
/// The most files that one definition may have.
const FILES: usize = 10_000;
/// The most directories.
const DIRECTORIES: usize = 10_000;
/// The deepest directory.
const DEPTH: usize = 32;
/// From how many files on a second thread is worth its start.
const MANY: usize = 400;

/// With this file at the top a directory is also the context of a build, hidden files included.
const DOCKERFILE: &str = "Dockerfile";

/// The files of a definition as they were at one moment.
#[derive(Debug)]
pub(super) struct Listing {
    /// In the order of their paths.
    pub(super) files: Vec<Listed>,
    /// Changes whenever any file may have changed.
    pub(super) fingerprint: Digest,
    /// When the newest change was, in nanoseconds since 1970.
    pub(super) newest: i128,
}

/// One file.
#[derive(Debug)]
pub(super) struct Listed {
    /// Below the definition, slash-separated.
    pub(super) path: String,
    /// What the system says of it.
    pub(super) mark: Mark,
}

/// What differs when a file was changed or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    place: (u64, u64),
    /// Its length.
    pub(super) size: u64,
    mode: u32,
    modified: i128,
    changed: i128,
}

impl Mark {
    /// Takes what the system says of a file.
    pub(super) fn of(stat: &Stat) -> Self {
        let nanoseconds =
            |seconds: i128, rest: i128| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        #[expect(
            clippy::useless_conversion,
            reason = "these types differ between systems"
        )]
        Self {
            place: (
                u64::try_from(stat.st_dev).unwrap_or(u64::MAX),
                u64::from(stat.st_ino),
            ),
            size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            mode: u32::from(stat.st_mode),
            modified: nanoseconds(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            changed: nanoseconds(stat.st_ctime.into(), stat.st_ctime_nsec.into()),
        }
    }

    /// Tells whether its owner may execute it.
    pub(super) fn is_executable(&self) -> bool {
        self.mode & 0o100 != 0
    }
}

/// Lists the files of the definition in `root`.
pub(super) fn list(root: &Path) -> Result<Listing, FilesError> {
    let mut walk = Walk {
        root: root.to_owned(),
        files: Vec::new(),
        bytes: 0,
        directories: 0,
        above: Vec::new(),
        is_context: false,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = openat(CWD, root, flags, Mode::empty()).map_err(|error| read(root, error))?;
    walk.directory(top, "")?;
    let mut files = walk.files;
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let mut hasher = Hasher::sha256();
    let mut newest = i128::MIN;
    for Listed { path, mark } in &files {
        newest = newest.max(mark.changed);
        hasher.update(&(path.len() as u64).to_le_bytes());
        hasher.update(path.as_bytes());
        let mut fixed = [0; 60];
        let numbers = [
            mark.place.0.to_le_bytes(),
            mark.place.1.to_le_bytes(),
            mark.size.to_le_bytes(),
        ];
        fixed[..24].copy_from_slice(numbers.as_flattened());
        fixed[24..28].copy_from_slice(&mark.mode.to_le_bytes());
        fixed[28..44].copy_from_slice(&mark.modified.to_le_bytes());
        fixed[44..].copy_from_slice(&mark.changed.to_le_bytes());
        hasher.update(&fixed);
    }
    Ok(Listing {
        files,
        fingerprint: hasher.finish(),
        newest,
    })
}

struct Walk {
    root: PathBuf,
    files: Vec<Listed>,
    bytes: u64,
    directories: usize,
    /// The directories that lead here, to see a circle.
    above: Vec<(u64, u64)>,
    /// Whether this is the context of a Dockerfile, which may copy any file.
    is_context: bool,
}

struct Found {
    name: CString,
    kind: FileType,
    stat: Result<Stat, Errno>,
}

impl Walk {
    fn directory(&mut self, directory: OwnedFd, prefix: &str) -> Result<(), FilesError> {
        let here = self.root.join(prefix);
        let failed = |error| read(&here, error);
        let place = Mark::of(&fstat(&directory).map_err(failed)?).place;
        self.directories += 1;
        if self.above.contains(&place) {
            return Err(refuse(&here, "a link leads in a circle"));
        }
        if self.above.len() > DEPTH {
            return Err(refuse(
                &here,
                &format!("directories are nested more than {DEPTH} deep"),
            ));
        }
        if self.directories > DIRECTORIES {
            return Err(refuse(
                &self.root,
                &format!("a definition has at most {DIRECTORIES} directories"),
            ));
        }
        self.above.push(place);
        let mut directory = Dir::new(directory).map_err(failed)?;
        let mut found = Vec::new();
        while let Some(entry) = directory.read() {
            let entry = entry.map_err(failed)?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            found.push(Found {
                name: entry.file_name().to_owned(),
                kind: entry.file_type(),
                stat: Err(Errno::AGAIN),
            });
            if self.files.len() + found.len() > FILES + DIRECTORIES {
                return Err(self.too_many());
            }
        }
        if prefix.is_empty() {
            let dockerfile = found
                .iter()
                .find(|found| found.name.as_bytes() == DOCKERFILE.as_bytes());
            if let Some(dockerfile) = dockerfile
                && !matches!(
                    dockerfile.kind,
                    FileType::RegularFile | FileType::Symlink | FileType::Unknown
                )
            {
                return Err(refuse(&self.root.join(DOCKERFILE), "it is no file"));
            }
            self.is_context = dockerfile.is_some();
            found.retain(|found| self.is_context || !others::is_hidden(found.name.as_bytes()));
        }
        found.retain(|found| {
            let name = found.name.as_bytes();
            let is_directory =
                found.kind != FileType::Symlink && others::is_directory(name, prefix);
            !is_directory && (self.is_context || !others::is_editors(name))
        });
        let handle = directory.fd().map_err(failed)?;
        look(handle, &mut found);
        for found in found {
            self.take(handle, &found, prefix)?;
        }
        self.above.pop();
        Ok(())
    }

    fn take(
        &mut self,
        directory: BorrowedFd<'_>,
        found: &Found,
        prefix: &str,
    ) -> Result<(), FilesError> {
        let Ok(name) = found.name.to_str() else {
            let name = std::ffi::OsStr::from_bytes(found.name.as_bytes());
            let path = self.root.join(prefix).join(name);
            return Err(refuse(
                &path,
                &format!(
                    "the name `{}` is not UTF-8",
                    name.as_encoded_bytes().escape_ascii()
                ),
            ));
        };
        let path = format!("{prefix}{name}");
        let stat = match found.stat {
            Ok(stat) => stat,
            // It went between two looks, as editors' files do.
            Err(Errno::NOENT) if found.kind == FileType::RegularFile => return Ok(()),
            Err(error) => return Err(self.unreadable(directory, &found.name, (&path, error))),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let below = openat(directory, found.name.as_c_str(), flags, Mode::empty())
                    .map_err(|error| read(&self.root.join(&path), error))?;
                self.directory(below, &format!("{path}/"))
            }
            FileType::RegularFile => self.file(path, Mark::of(&stat)),
            kind => Err(refuse(
                &self.root.join(&path),
                &format!(
                    "a definition has files and directories, this is {}",
                    kind_name(kind)
                ),
            )),
        }
    }

    fn file(&mut self, path: String, mark: Mark) -> Result<(), FilesError> {
        self.bytes = self.bytes.saturating_add(mark.size);
        if self.bytes > BYTES {
            let largest = self.files.iter().max_by_key(|listed| listed.mark.size);
            let (path, size) = match largest {
                Some(listed) if listed.mark.size > mark.size => {
                    (listed.path.clone(), listed.mark.size)
                }
                _ => (path, mark.size),
            };
            return Err(refuse(
                &self.root.join(path),
                &format!(
                    "a definition has at most {}; this file alone has {}",
                    crate::printer::bytes(BYTES),
                    crate::printer::bytes(size)
                ),
            ));
        }
        if self.files.len() >= FILES {
            return Err(self.too_many());
        }
        self.files.push(Listed { path, mark });
        Ok(())
    }

    fn too_many(&self) -> FilesError {
        refuse(
            &self.root,
            &format!("a definition has at most {FILES} files"),
        )
    }

    fn unreadable(
        &self,
        directory: BorrowedFd<'_>,
        name: &CString,
        (path, error): (&str, Errno),
    ) -> FilesError {
        let path = self.root.join(path);
        let link = statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
        match error {
            Errno::NOENT | Errno::NOTDIR if link => refuse(&path, "a link that leads nowhere"),
            Errno::LOOP if link => refuse(&path, "a link that leads in a circle"),
            _ => read(&path, error),
        }
    }
}

/// Asks for the metadata of all that was found, on two threads where that is faster.
fn look(directory: BorrowedFd<'_>, found: &mut [Found]) {
    let look = |some: &mut [Found]| {
        for one in some {
            one.stat = statat(directory, one.name.as_c_str(), AtFlags::empty());
        }
    };
    if found.len() < MANY {
        return look(found);
    }
    let (left, right) = found.split_at_mut(found.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| look(left));
        look(right);
    });
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "neither",
    }
}

pub(super) fn refuse(path: &Path, reason: &str) -> FilesError {
    FilesError::Refused {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

pub(super) fn read(path: &Path, error: Errno) -> FilesError {
    FilesError::Read {
        path: path.to_owned(),
        source: error.into(),
    }
}

/// Opens a file of a definition for reading; one that is replaced by a FIFO meanwhile does not make anybody wait.
pub(super) fn open(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(root, path, flags, Mode::empty())
}
