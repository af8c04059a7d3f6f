//! Unpacking, through its door: what becomes of a tar, and that nothing else becomes of anything.
//!
//! Every test unpacks into `root/` of a directory with files beside it that nothing may touch: [`Place`] looks at all of
//! them before and after.

mod hostile;
mod judges;
mod ordinary;
mod random;
mod stacked;
mod trees;

use std::{
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::*;
use crate::testing::RawTar as Raw;

/// A directory to unpack into, and what is around it.
struct Place {
    directory: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Place {
    fn new() -> Self {
        let directory = roomy();
        let at = |name: &str| directory.path().join(name);
        for name in ["root", "outside", "outside/deep"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in ["canary", "outside/canary", "outside/deep/canary"] {
            fs::write(at(name), "alive").unwrap();
        }
        std::os::unix::fs::symlink("outside/canary", at("pointer")).unwrap();
        let before = snapshot(directory.path());
        Self { directory, before }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    /// Unpacks, and looks whether all around is as it was.
    fn unpack(&self, tar: &[u8]) -> Result<Unpacked, UnpackError> {
        self.unpack_within(tar, &UnpackLimits::default())
    }

    fn unpack_within(&self, tar: &[u8], limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        let root = fs::File::open(self.root()).unwrap();
        let mut tar = tar;
        let result = unpack(&mut tar, root.file().as_fd(), limits);
        assert_eq!(
            snapshot(self.directory.path()),
            self.before,
            "something outside was touched"
        );
        result
    }

    /// Removes what was unpacked, and looks again.
    fn remove(&self) {
        let directory = fs::File::open(self.directory.path()).unwrap();
        remove_tree(directory.file().as_fd(), b"root").unwrap();
        assert!(!self.root().exists());
        fs::create_dir(self.root()).unwrap();
        assert_eq!(
            snapshot(self.directory.path()),
            self.before,
            "something outside was removed"
        );
    }

    /// Spells what was unpacked, a node a line: kind, mode, path, and what is special.
    fn tree(&self) -> Vec<String> {
        tree(&self.root())
    }

    fn check(&self, index: &PathIndex) -> Vec<String> {
        let root = fs::File::open(self.root()).unwrap();
        let found = check_tree(root.file().as_fd(), index).unwrap();
        found.iter().map(ToString::to_string).collect()
    }
}

/// Tells that a test does not apply here.
#[expect(
    clippy::print_stderr,
    reason = "who reads a test's output wants to know"
)]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// Makes a directory, in memory where that has all that is needed: thousands of layers are unpacked here.
fn roomy() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm").ok().filter(|directory| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(directory.path(), OPAQUE, b"y", flags).is_ok()
            && rustix::fs::removexattr(directory.path(), OPAQUE).is_ok()
    });
    in_memory.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

fn tree(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap();
        let kind = metadata.file_type();
        let (letter, more) = if kind.is_dir() {
            let mut names: Vec<PathBuf> = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            names.sort();
            open.extend(names.into_iter().rev());
            let mut value = [0; 8];
            let opaque = rustix::fs::lgetxattr(&path, OPAQUE, &mut value[..]).is_ok();
            (
                'd',
                if opaque {
                    " opaque".to_owned()
                } else {
                    String::new()
                },
            )
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            (
                'l',
                format!(" -> {}", layer::printable(target.as_os_str().as_bytes())),
            )
        } else if kind.is_fifo() {
            ('p', String::new())
        } else if kind.is_char_device() {
            assert_eq!(metadata.rdev(), 0, "only whiteouts are devices");
            ('w', String::new())
        } else {
            let content = fs::read(&path).unwrap();
            let text = if content.len() < 50 {
                layer::printable(&content)
            } else {
                format!("{} bytes", content.len())
            };
            ('f', format!(" {text:?}"))
        };
        let name = layer::printable(name.as_os_str().as_bytes());
        let mode = if matches!(letter, 'l' | 'w') {
            0
        } else {
            metadata.mode() & 0o7777
        };
        lines.push(format!("{letter} {mode:o} {name}{more}"));
    }
    lines
}

/// All that is beside `root/`, with all that a touch would change.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            let names = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            open.extend(names.filter(|path| *path != directory.join("root")));
        }
        let mut content = String::new();
        if metadata.is_file() {
            fs::File::open(&path)
                .unwrap()
                .read_to_string(&mut content)
                .unwrap();
        }
        // The directory itself changes when `root/` goes and comes.
        let time = if path == directory {
            0
        } else {
            metadata.ctime_nsec()
        };
        let said = format!(
            "{:o} {} {} {} {time} {content}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.nlink(),
        );
        seen.insert(path, said);
    }
    seen
}
