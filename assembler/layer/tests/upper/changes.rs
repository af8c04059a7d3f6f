//! Changes of a tree as generated: few names, so that they meet.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use proptest::prelude::*;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, RenameFlags, Timespec, Timestamps, XattrFlags, lremovexattr,
    lsetxattr, makedev, mknodat, renameat_with, utimensat,
};

/// In 2020.
const LONG_AGO: i64 = 1_577_836_800;

/// One change; where it cannot be made, it is none.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Write(PathBuf, u16),
    Append(PathBuf),
    Truncate(PathBuf),
    /// Writes as much as was there, and gives it the time it had.
    Forge(PathBuf),
    /// A mode, or else the same once more.
    Mode(PathBuf, Option<u32>),
    Owner(PathBuf, u32),
    Time(PathBuf, i64),
    Attribute(PathBuf, Option<u8>),
    Directory(PathBuf),
    Deep(PathBuf),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    Fifo(PathBuf),
    Device(PathBuf),
    Socket(PathBuf),
    Sparse(PathBuf),
    Remove(PathBuf),
    /// Removes a directory and makes another of that name.
    Again(PathBuf),
    /// Removes and brings back what was there, with all its times.
    Restore(PathBuf),
    Rename(PathBuf, PathBuf),
    Exchange(PathBuf, PathBuf),
    /// What `mv` does where a rename is refused.
    Move(PathBuf, PathBuf),
    /// Puts a file in the place of a directory, or the other way.
    Replace(PathBuf),
}

fn place() -> impl Strategy<Value = PathBuf> {
    let name = prop_oneof![15 => "[ab]", 1 => "[a-c]{2}"];
    prop::collection::vec(name, 1..4).prop_map(|names| names.iter().collect())
}

fn change() -> impl Strategy<Value = Change> {
    use Change as C;
    let two = || (place(), place());
    let mode = prop::option::of(prop_oneof![Just(0o755), Just(0o700), Just(0o4711), Just(0)]);
    prop_oneof![
        5 => (place(), any::<u16>()).prop_map(|(path, length)| C::Write(path, length % 600)),
        5 => place().prop_map(C::Directory),
        3 => place().prop_map(C::Remove),
        3 => two().prop_map(|(from, to)| C::Rename(from, to)),
        2 => two().prop_map(|(from, to)| C::Move(from, to)),
        5 => two().prop_map(|(from, to)| C::Link(from, to)),
        2 => place().prop_map(C::Again),
        2 => (place(), mode).prop_map(|(path, mode)| C::Mode(path, mode)),
        1 => two().prop_map(|(from, to)| C::Exchange(from, to)),
        1 => place().prop_map(C::Append),
        1 => place().prop_map(C::Truncate),
        1 => place().prop_map(C::Forge),
        1 => (place(), 0..3_u32).prop_map(|(path, owner)| C::Owner(path, owner)),
        1 => (place(), 0..3_i64).prop_map(|(path, time)| C::Time(path, time)),
        1 => (place(), prop::option::of(0..3_u8)).prop_map(|(path, value)| C::Attribute(path, value)),
        1 => place().prop_map(C::Deep),
        1 => two().prop_map(|(path, target)| C::Symlink(path, target)),
        1 => place().prop_map(C::Fifo),
        1 => place().prop_map(C::Device),
        1 => place().prop_map(C::Socket),
        1 => place().prop_map(C::Sparse),
        1 => place().prop_map(C::Restore),
        1 => place().prop_map(C::Replace),
    ]
}

pub(crate) fn changes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), count)
}

impl Change {
    /// Tells whether anybody can make it.
    pub(crate) fn is_for_anybody(&self) -> bool {
        !matches!(self, Self::Owner(..) | Self::Device(_))
    }
}

/// Gives all that is below a directory, and itself, a time long ago.
pub(crate) fn age(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path());
        } else {
            set_time(&entry.path(), LONG_AGO).unwrap();
        }
    }
    set_time(directory, LONG_AGO).unwrap();
}

/// Makes changes, as far as they can be made.
pub(crate) fn apply(changes: &[Change], root: &Path) {
    for change in changes {
        make(change, root).unwrap_or_default();
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one change after the other, each kind once"
)]
fn make(change: &Change, root: &Path) -> std::io::Result<()> {
    let at = |path: &Path| root.join(path);
    match change {
        Change::Write(path, length) => {
            let path = at(path);
            make_way(&path);
            new_file(&path, usize::from(*length))
        }
        Change::Append(path) => {
            if !fs::metadata(at(path))?.is_file() {
                return Ok(());
            }
            let mut file = fs::OpenOptions::new().append(true).open(at(path))?;
            std::io::Write::write_all(&mut file, b"more")
        }
        Change::Truncate(path) => {
            new_file(&at(path), 0)?;
            fs::OpenOptions::new()
                .write(true)
                .open(at(path))?
                .set_len(1)
        }
        Change::Forge(path) => forge(&at(path)),
        Change::Mode(path, mode) => {
            let path = at(path);
            let same = fs::symlink_metadata(&path)?.permissions();
            let mode = mode.map_or(same, PermissionsExt::from_mode);
            fs::set_permissions(path, mode)
        }
        Change::Owner(path, owner) => std::os::unix::fs::lchown(at(path), Some(*owner), Some(7)),
        Change::Time(path, time) => set_time(&at(path), 1_000_000 + *time),
        Change::Attribute(path, Some(value)) => Ok(lsetxattr(
            at(path),
            "user.x",
            &[*value],
            XattrFlags::empty(),
        )?),
        Change::Attribute(path, None) => Ok(lremovexattr(at(path), "user.x")?),
        Change::Directory(path) => fs::create_dir_all(at(path)),
        Change::Deep(path) => {
            let deep = at(path).join("d/e/f/g");
            fs::create_dir_all(&deep)?;
            new_file(&deep.join("h"), 1)
        }
        Change::Link(from, to) => {
            let (from, to) = (first_file(&at(from))?, at(to));
            make_way(&to);
            let to = if to.is_dir() { to.join("l") } else { to };
            fs::hard_link(from, to)
        }
        Change::Symlink(path, target) => symlink(target, at(path)),
        Change::Fifo(path) => node(&at(path), FileType::Fifo),
        Change::Device(path) => node(&at(path), FileType::CharacterDevice),
        Change::Socket(path) => node(&at(path), FileType::Socket),
        Change::Sparse(path) => {
            new_file(&at(path), 0)?;
            fs::File::create(at(path))?.set_len(100_000)
        }
        Change::Remove(path) => remove(&at(path)),
        Change::Again(path) => {
            remove(&at(path))?;
            fs::create_dir(at(path))
        }
        Change::Restore(path) => {
            let (path, aside) = (at(path), at(Path::new("aside")));
            copy(&path, &aside)?;
            remove(&path)?;
            copy(&aside, &path)?;
            remove(&aside)
        }
        Change::Rename(from, to) => fs::rename(at(from), at(to)),
        Change::Exchange(from, to) => {
            let (from, to) = (at(from), at(to));
            Ok(renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)?)
        }
        Change::Move(from, to) => {
            let (from, to) = (at(from), at(to));
            if to.starts_with(&from) {
                return Ok(());
            }
            copy(&from, &to)?;
            remove(&from)
        }
        Change::Replace(path) => {
            let path = at(path);
            let was_directory = fs::symlink_metadata(&path)?.is_dir();
            remove(&path)?;
            if was_directory {
                new_file(&path, 3)
            } else {
                fs::create_dir(&path)?;
                new_file(&path.join("a"), 3)
            }
        }
    }
}

/// Makes the directories that lead to a place, if they can be made.
fn make_way(path: &Path) {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).unwrap_or_default();
    }
}

/// Returns a path, or that of the first file below it.
fn first_file(path: &Path) -> std::io::Result<PathBuf> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(path.to_owned());
    }
    let mut names: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    let found = names
        .iter()
        .find_map(|entry| first_file(&entry.path()).ok());
    found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

fn new_file(path: &Path, length: usize) -> std::io::Result<()> {
    write(path, &vec![b'n'; length])
}

/// Writes a file, if that is what is there: else one might wait for a reader.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => Err(std::io::ErrorKind::InvalidInput.into()),
        _ => fs::write(path, content),
    }
}

fn forge(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let before = fs::symlink_metadata(path)?;
    if !before.is_file() {
        return Ok(());
    }
    let length = usize::try_from(before.len()).unwrap();
    write(path, &vec![b'f'; length])?;
    set_time(path, before.mtime())
}

fn set_time(path: &Path, seconds: i64) -> std::io::Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn node(path: &Path, kind: FileType) -> std::io::Result<()> {
    let mode = Mode::from_raw_mode(0o640);
    Ok(mknodat(CWD, path, kind, mode, makedev(1, 3))?)
}

fn remove(path: &Path) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Copies a tree of directories, links and files with modes and times.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, metadata.permissions())?;
    } else if metadata.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if metadata.is_file() {
        write(to, &fs::read(from)?)?;
        fs::set_permissions(to, metadata.permissions())?;
    } else {
        node(to, FileType::Fifo)?;
    }
    set_time(to, metadata.mtime())
}
