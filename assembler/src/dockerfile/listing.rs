//! What is in a build context, by its metadata: no file is opened.
//!
//! Invariant: the fingerprint is another one whenever a file, a mode or a link may be another; how much is listed, and how
//! deep, is bounded. No symbolic link is followed, so nothing outside of the directory is looked at.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsStr},
    fmt,
    io::{self, Read as _},
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use fs_err as fs;
use layer::LayerPath;
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat},
    io::Errno,
};

use super::{
    context::{BuildContext, ContextEntry, ContextKind, ContextLimits},
    error::ContextError,
    ignore::Ignore,
    ignore_file,
};
use crate::digest::{Digest, Hasher};

/// From how many files on a second thread is worth its start.
const MANY: usize = 400;
/// The deepest directory.
const DEPTH: u64 = 256;

/// Where a build context is and what is taken of it.
#[derive(Clone)]
pub struct ContextPlace {
    /// The directory.
    pub directory: PathBuf,
    /// The Dockerfile's path: `<dockerfile>.dockerignore` goes before `.dockerignore`.
    pub dockerfile: PathBuf,
    /// How much is taken at most.
    pub limits: ContextLimits,
    /// Tells of a name, and of the directory that it is in, whether it is a directory of another program. Such a one is
    /// taken only if `.dockerignore` asks for it with `!`.
    pub is_foreign: fn(&[u8], &[u8]) -> bool,
}

impl fmt::Debug for ContextPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("ContextPlace")
            .field(&self.directory)
            .finish()
    }
}

/// A build context as it was at one moment.
#[derive(Debug)]
pub struct ContextListing {
    place: ContextPlace,
    listed: Vec<Listed>,
    has_ignored: bool,
    fingerprint: Digest,
    newest: i128,
}

#[derive(Debug)]
struct Listed {
    /// Below the directory, slash-separated.
    path: Vec<u8>,
    kind: FileType,
    mode: u32,
    mtime: i64,
    size: u64,
}

impl ContextListing {
    /// Lists a build context.
    pub fn of(place: &ContextPlace) -> Result<Self, ContextError> {
        let ignore = ignore_file::read(&place.directory, &place.dockerfile)?;
        let mut walk = Walk {
            place,
            ignore: &ignore,
            listed: Vec::new(),
            seen: 0,
            depth: 0,
            bytes: 0,
            hasher: Hasher::sha256(),
            newest: i128::MIN,
        };
        let top = openat(CWD, &place.directory, directory_flags(), Mode::empty())
            .map_err(|error| failed(&place.directory, error.into()))?;
        walk.directory(top, &[])?;
        Ok(Self {
            place: place.clone(),
            listed: walk.listed,
            has_ignored: !ignore.is_empty(),
            fingerprint: walk.hasher.finish(),
            newest: walk.newest,
        })
    }

    /// Returns what is another one when anything may be another.
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Returns when the newest change was, in nanoseconds since 1970.
    pub fn newest(&self) -> i128 {
        self.newest
    }

    /// Returns the directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// Reads what is listed.
    pub fn read(&self) -> Result<BuildContext, ContextError> {
        let mut entries = BTreeMap::new();
        let mut left = self.place.limits.bytes;
        for listed in &self.listed {
            let path = self.place.directory.join(OsStr::from_bytes(&listed.path));
            let entry = match listed.kind {
                FileType::Directory => ContextEntry {
                    kind: ContextKind::Directory,
                    mode: listed.mode,
                    mtime: listed.mtime,
                },
                FileType::Symlink => {
                    let target = fs::read_link(&path).map_err(|error| failed(&path, error))?;
                    ContextEntry {
                        kind: ContextKind::Symlink(target.into_os_string().as_bytes().to_vec()),
                        mode: 0o777,
                        mtime: listed.mtime,
                    }
                }
                _ => {
                    let content = content(&path, left.min(listed.size))
                        .map_err(|error| failed(&path, error))?;
                    if content.len() as u64 != listed.size {
                        return Err(ContextError::Changed { path });
                    }
                    left -= listed.size;
                    ContextEntry::file(content, listed.mode, listed.mtime)
                }
            };
            entries.insert(LayerPath::new(&listed.path)?, entry);
        }
        let mut context = BuildContext::new(entries);
        context.has_ignored = self.has_ignored;
        Ok(context)
    }
}

/// Reads a file, one byte more than it should have at most; one that is a FIFO by now makes nobody wait.
fn content(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = openat(CWD, path, flags, Mode::empty())?;
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    fs::File::from_parts(file.into(), path)
        .take(size.saturating_add(1))
        .read_to_end(&mut content)?;
    Ok(content)
}

struct Walk<'a> {
    place: &'a ContextPlace,
    ignore: &'a Ignore,
    listed: Vec<Listed>,
    seen: u64,
    depth: u64,
    bytes: u64,
    hasher: Hasher,
    newest: i128,
}

struct Found {
    name: CString,
    stat: Result<Stat, Errno>,
}

impl Walk<'_> {
    fn directory(&mut self, open: OwnedFd, at: &[u8]) -> Result<(), ContextError> {
        self.check("nested directories", self.depth, DEPTH)?;
        let here = || self.place.directory.join(OsStr::from_bytes(at));
        let mut directory = Dir::new(open).map_err(|error| failed(&here(), error.into()))?;
        let mut found = Vec::new();
        while let Some(entry) = directory.read() {
            let entry = entry.map_err(|error| failed(&here(), error.into()))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                found.push(Found {
                    name: entry.file_name().to_owned(),
                    stat: Err(Errno::AGAIN),
                });
            }
        }
        // What is left out is counted too: a huge tree of it would take as long to walk.
        self.seen += found.len() as u64;
        self.check("files", self.seen / 10, self.place.limits.entries)?;
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let handle = directory
            .fd()
            .map_err(|error| failed(&here(), error.into()))?;
        look(handle, &mut found);
        for found in found {
            let name = found.name.as_bytes();
            let path = match at {
                [] => name.to_vec(),
                at => [at, b"/", name].concat(),
            };
            match found.stat {
                Ok(stat) => self.take(handle, (&found.name, at), (path, &stat))?,
                // It went between two looks, as editors' files do.
                Err(Errno::NOENT) => {}
                Err(error) => {
                    let path = self.place.directory.join(OsStr::from_bytes(&path));
                    return Err(failed(&path, error.into()));
                }
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        parent: BorrowedFd<'_>,
        (name, at): (&CString, &[u8]),
        (path, stat): (Vec<u8>, &Stat),
    ) -> Result<(), ContextError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_directory = kind == FileType::Directory;
        let is_foreign = is_directory && (self.place.is_foreign)(name.as_bytes(), at);
        let out = self.ignore.leaves_out(&path) || is_foreign && !self.ignore.asks_for(&path);
        if out && !(is_directory && self.ignore.may_take_back_below(&path)) {
            return Ok(());
        }
        let full = || self.place.directory.join(OsStr::from_bytes(&path));
        match kind {
            FileType::Directory => {
                let below = openat(parent, name.as_c_str(), directory_flags(), Mode::empty())
                    .map_err(|error| failed(&full(), error.into()))?;
                let before = self.listed.len();
                self.list(path.clone(), stat)?;
                self.depth += 1;
                self.directory(below, &path)?;
                self.depth -= 1;
                if out && self.listed.len() == before + 1 {
                    self.listed.truncate(before);
                }
                Ok(())
            }
            FileType::Symlink | FileType::RegularFile => self.list(path, stat),
            FileType::Socket => Ok(()),
            _ => Err(ContextError::Special { path: full() }),
        }
    }

    fn list(&mut self, path: Vec<u8>, stat: &Stat) -> Result<(), ContextError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        let mode = stat.st_mode & 0o7777;
        crate::recipe::field(&mut self.hasher, &path);
        self.hasher.update(&stat.st_mode.to_le_bytes());
        // What is in a directory is listed itself; its own times tell of what is left out, too.
        if kind != FileType::Directory {
            let changed =
                i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
            let modified =
                i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
            self.newest = self.newest.max(changed);
            let place = [u64_of(stat.st_dev), u64_of(stat.st_ino), size];
            for number in place {
                self.hasher.update(&number.to_le_bytes());
            }
            for time in [changed, modified] {
                self.hasher.update(&time.to_le_bytes());
            }
        }
        if kind == FileType::RegularFile {
            self.bytes = self.bytes.saturating_add(size);
            self.check("bytes", self.bytes, self.place.limits.bytes)?;
        }
        self.listed.push(Listed {
            path,
            kind,
            mode,
            mtime: stat.st_mtime,
            size,
        });
        let count = self.listed.len() as u64;
        self.check("files", count, self.place.limits.entries)
    }

    fn check(&self, what: &'static str, count: u64, limit: u64) -> Result<(), ContextError> {
        if count > limit {
            return Err(ContextError::TooLarge {
                path: self.place.directory.clone(),
                what,
                limit,
            });
        }
        Ok(())
    }
}

/// Asks for the metadata of all that was found, on two threads where that is faster.
fn look(directory: BorrowedFd<'_>, found: &mut [Found]) {
    let look = |some: &mut [Found]| {
        for one in some {
            one.stat = statat(directory, one.name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
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

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW
}

fn failed(path: &Path, source: io::Error) -> ContextError {
    ContextError::Read {
        path: path.to_owned(),
        source,
    }
}

/// These types differ between systems.
fn u64_of(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
