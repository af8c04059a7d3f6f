//! Build contexts: the directory beside a Dockerfile, with the bytes of every file that `.dockerignore` lets in.
//!
//! Invariant: nothing outside of the directory is read, because no symbolic link is followed; how much is taken is
//! bounded; what is hashed is what is copied, even when the directory is edited meanwhile.

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use layer::LayerPath;

use super::{error::ContextError, ignore::Ignore};
use crate::digest::Digest;

/// What a Dockerfile may copy from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildContext {
    entries: BTreeMap<LayerPath, ContextEntry>,
    has_ignored: bool,
}

/// A file, directory or symbolic link of a build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextEntry {
    /// What it is.
    pub kind: ContextKind,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// Last change, in seconds since 1970.
    pub mtime: i64,
}

/// What an entry of a build context is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextKind {
    /// A file with its bytes.
    File {
        /// Its content.
        content: Arc<[u8]>,
        /// The content's digest.
        digest: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link and where it points to.
    Symlink(Vec<u8>),
}

/// How much of a directory is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLimits {
    /// How many files, directories and links.
    pub entries: u64,
    /// How many bytes of files.
    pub bytes: u64,
}

impl Default for ContextLimits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            bytes: 1 << 30,
        }
    }
}

impl ContextEntry {
    /// Makes a file.
    pub fn file(content: impl Into<Arc<[u8]>>, mode: u32, mtime: i64) -> Self {
        let content = content.into();
        let digest = Digest::of(&content);
        Self {
            kind: ContextKind::File { content, digest },
            mode,
            mtime,
        }
    }
}

impl BuildContext {
    /// Makes a context of entries; the root need not be among them.
    pub fn new(entries: BTreeMap<LayerPath, ContextEntry>) -> Self {
        Self {
            entries,
            has_ignored: false,
        }
    }

    /// Reads a directory. `dockerfile` is the Dockerfile's path: `<dockerfile>.dockerignore` goes before `.dockerignore`.
    pub fn read(
        directory: &Path,
        dockerfile: &Path,
        limits: ContextLimits,
    ) -> Result<Self, ContextError> {
        let ignore = read_ignore(directory, dockerfile)?;
        let mut walk = Walk {
            root: directory,
            ignore: &ignore,
            limits,
            context: Self::default(),
            bytes: 0,
            seen: 0,
        };
        walk.directory(directory, &LayerPath::root())?;
        walk.context.has_ignored = !ignore.is_empty();
        Ok(walk.context)
    }

    /// Iterates in the order of a layer.
    pub fn iter(&self) -> impl Iterator<Item = (&LayerPath, &ContextEntry)> {
        self.entries.iter()
    }

    /// Returns what is at a path.
    pub fn get(&self, path: &LayerPath) -> Option<&ContextEntry> {
        self.entries.get(path)
    }

    /// Says whether a `.dockerignore` was at work, for messages about what is missing.
    pub(crate) fn has_ignored(&self) -> bool {
        self.has_ignored
    }
}

fn read_ignore(directory: &Path, dockerfile: &Path) -> Result<Ignore, ContextError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), directory.join(".dockerignore")] {
        let failed = |source| ContextError::Read {
            path: path.clone(),
            source,
        };
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        file.take(1 << 20)
            .read_to_string(&mut text)
            .map_err(failed)?;
        return Ignore::read(&text).map_err(|pattern| ContextError::Pattern { path, pattern });
    }
    Ok(Ignore::default())
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    limits: ContextLimits,
    context: BuildContext,
    bytes: u64,
    seen: u64,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, at: &LayerPath) -> Result<(), ContextError> {
        let failed = |source| ContextError::Read {
            path: directory.to_owned(),
            source,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        names.sort();
        for name in names {
            // What is left out is counted too: a huge tree of it would take as long to walk.
            self.seen += 1;
            self.check("files", self.seen / 10, self.limits.entries)?;
            let path = directory.join(&name);
            let metadata = fs::symlink_metadata(&path).map_err(|source| ContextError::Read {
                path: path.clone(),
                source,
            })?;
            let raw = [at.as_bytes(), b"/", name.as_bytes()].concat();
            let relative = raw.strip_prefix(b"/").unwrap_or(&raw);
            let out = self.ignore.leaves_out(relative);
            if out && !(metadata.is_dir() && self.ignore.may_take_back_below(relative)) {
                continue;
            }
            self.entry(&path, LayerPath::new(relative)?, (&metadata, out))?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: &Path,
        at: LayerPath,
        (metadata, out): (&std::fs::Metadata, bool),
    ) -> Result<(), ContextError> {
        let failed = |source| ContextError::Read {
            path: path.to_owned(),
            source,
        };
        let kind = metadata.file_type();
        let mode = metadata.mode() & 0o7777;
        let mtime = metadata.mtime();
        let entry = if kind.is_dir() {
            let before = self.context.entries.len();
            let entry = ContextEntry {
                kind: ContextKind::Directory,
                mode,
                mtime,
            };
            self.directory(path, &at)?;
            if out && self.context.entries.len() == before {
                return Ok(());
            }
            entry
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(failed)?;
            ContextEntry {
                kind: ContextKind::Symlink(target.into_os_string().as_bytes().to_vec()),
                mode: 0o777,
                mtime,
            }
        } else if kind.is_socket() {
            return Ok(());
        } else if kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            return Err(ContextError::Special {
                path: path.to_owned(),
            });
        } else {
            let content = self.content(path)?;
            ContextEntry::file(content, mode, mtime)
        };
        self.context.entries.insert(at, entry);
        let count = self.context.entries.len() as u64;
        self.check("files", count, self.limits.entries)
    }

    fn content(&mut self, path: &Path) -> Result<Vec<u8>, ContextError> {
        let failed = |source| ContextError::Read {
            path: path.to_owned(),
            source,
        };
        let left = self.limits.bytes - self.bytes;
        let mut content = Vec::new();
        fs::File::open(path)
            .map_err(failed)?
            .take(left + 1)
            .read_to_end(&mut content)
            .map_err(failed)?;
        let total = self.bytes + content.len() as u64;
        self.check("bytes", total, self.limits.bytes)?;
        self.bytes = total;
        Ok(content)
    }

    fn check(&self, what: &'static str, count: u64, limit: u64) -> Result<(), ContextError> {
        if count > limit {
            return Err(ContextError::TooLarge {
                path: self.root.to_owned(),
                what,
                limit,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(context: &BuildContext) -> Vec<String> {
        context.iter().map(|(path, _)| path.to_string()).collect()
    }

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    #[test]
    fn a_context_has_what_is_not_ignored_and_follows_no_link() {
        let directory = written(&[
            ("a.txt", "a"),
            ("d/b.txt", "b"),
            ("d/c.log", "c"),
            ("out/x", "x"),
            ("out/keep/y", "y"),
            (".dockerignore", "**/*.log\nout\n!out/keep\n"),
        ]);
        std::os::unix::fs::symlink("..", directory.path().join("d/loop")).unwrap();
        fs::set_permissions(
            directory.path().join("a.txt"),
            std::fs::Permissions::from_mode(0o4711),
        )
        .unwrap();
        let path = directory.path();
        let context =
            BuildContext::read(path, &path.join("Dockerfile"), ContextLimits::default()).unwrap();
        assert_eq!(
            names(&context),
            [
                ".dockerignore",
                "a.txt",
                "d",
                "d/b.txt",
                "d/loop",
                "out",
                "out/keep",
                "out/keep/y"
            ]
        );
        let file = context.get(&"a.txt".parse().unwrap()).unwrap();
        assert_eq!(file.mode, 0o4711);
        let link = context.get(&"d/loop".parse().unwrap()).unwrap();
        assert_eq!(link.kind, ContextKind::Symlink(b"..".to_vec()));
        fs::write(path.join("Dockerfile.dockerignore"), "d\nout\n").unwrap();
        let context =
            BuildContext::read(path, &path.join("Dockerfile"), ContextLimits::default()).unwrap();
        assert_eq!(
            names(&context),
            [".dockerignore", "Dockerfile.dockerignore", "a.txt"],
            "the Dockerfile's own list goes first"
        );
    }

    #[test]
    fn too_much_is_refused() {
        let directory = written(&[("a", "12345"), ("b", "12345")]);
        let path = directory.path();
        let dockerfile = path.join("Dockerfile");
        let limits = ContextLimits {
            entries: 2,
            bytes: 9,
        };
        let error = BuildContext::read(path, &dockerfile, limits).unwrap_err();
        assert!(error.to_string().ends_with("more than 9 bytes"), "{error}");
        let limits = ContextLimits {
            entries: 1,
            bytes: 90,
        };
        let error = BuildContext::read(path, &dockerfile, limits).unwrap_err();
        assert!(error.to_string().ends_with("more than 1 files"), "{error}");
    }

    #[test]
    fn what_no_image_can_hold_is_named() {
        let directory = written(&[("d/.wh.x", "")]);
        let path = directory.path();
        let error = BuildContext::read(path, &path.join("Dockerfile"), ContextLimits::default())
            .unwrap_err();
        assert!(matches!(error, ContextError::Name(_)), "{error}");
    }
}
