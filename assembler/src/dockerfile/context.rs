//! Build contexts: the directory beside a Dockerfile, with the bytes of every file that `.dockerignore` lets in.
//!
//! Invariant: what is hashed is what is copied: a context that is read later than its digest was learned is refused when
//! it is another one by then.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use layer::LayerPath;

use super::{
    error::ContextError,
    listing::{ContextListing, ContextPlace},
};
use crate::digest::{Digest, Hasher};

/// What a Dockerfile may copy from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildContext {
    entries: BTreeMap<LayerPath, ContextEntry>,
    pub(super) has_ignored: bool,
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
        ContextListing::of(&ContextPlace {
            directory: directory.to_owned(),
            dockerfile: dockerfile.to_owned(),
            limits,
            is_foreign: |_, _| false,
        })?
        .read()
    }

    /// Returns the digest of names, modes, link targets and contents; times do not count.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::sha256();
        let mut put = |bytes: &[u8]| crate::recipe::field(&mut hasher, bytes);
        for (path, entry) in &self.entries {
            put(path.as_bytes());
            put(&entry.mode.to_le_bytes());
            match &entry.kind {
                ContextKind::File { digest, .. } => put(digest.to_string().as_bytes()),
                ContextKind::Directory => put(b"d"),
                ContextKind::Symlink(target) => put(target),
            }
        }
        hasher.finish()
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

/// A build context of which the digest is known; its files are read when they are needed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LazyContext(Arc<Known>);

#[derive(Debug)]
struct Known {
    digest: Digest,
    listing: Option<(ContextListing, PathBuf)>,
    read: OnceLock<BuildContext>,
}

impl LazyContext {
    /// Takes a context that had this digest when it was read with the same listing before. `memory` is the file that says
    /// so; it is removed if that proves wrong.
    pub fn unread(listing: ContextListing, (digest, memory): (Digest, &Path)) -> Self {
        Self(Arc::new(Known {
            digest,
            listing: Some((listing, memory.to_owned())),
            read: OnceLock::new(),
        }))
    }

    /// Returns the digest, as [`BuildContext::digest`] gives it.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// Reads the files, the first time.
    pub fn open(&self) -> Result<&BuildContext, ContextError> {
        if let (None, Some((listing, memory))) = (self.0.read.get(), &self.0.listing) {
            let context = listing.read()?;
            if context.digest() != self.0.digest {
                // It may be gone already; in any case it is only a memory.
                fs_err::remove_file(memory).unwrap_or_default();
                return Err(ContextError::Changed {
                    path: listing.directory().to_owned(),
                });
            }
            // Another thread may have been first; both read the same.
            self.0.read.get_or_init(|| context);
        }
        Ok(self.opened())
    }

    /// Returns what [`LazyContext::open`] has read.
    pub(crate) fn opened(&self) -> &BuildContext {
        self.0
            .read
            .get()
            .expect("a walk opens the context before it plans or makes anything")
    }
}

impl From<BuildContext> for LazyContext {
    fn from(context: BuildContext) -> Self {
        Self(Arc::new(Known {
            digest: context.digest(),
            listing: None,
            read: OnceLock::from(context),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use fs_err as fs;

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
    fn a_foreign_directory_is_in_a_context_only_when_it_is_asked_for() {
        let directory = written(&[("a", "1"), (".git/HEAD", "x"), ("d/.git/HEAD", "x")]);
        let place = ContextPlace {
            directory: directory.path().to_owned(),
            dockerfile: directory.path().join("Dockerfile"),
            limits: ContextLimits::default(),
            is_foreign: |name, _| name == b".git",
        };
        let listed = || ContextListing::of(&place).unwrap();
        let before = *listed().fingerprint();
        assert_eq!(names(&listed().read().unwrap()), ["a", "d"]);
        fs::write(directory.path().join(".git/HEAD"), "another commit").unwrap();
        fs::write(directory.path().join(".git/index"), "new").unwrap();
        assert_eq!(*listed().fingerprint(), before, "it does not count");
        fs::write(directory.path().join(".dockerignore"), "!.git\n").unwrap();
        assert_eq!(
            names(&listed().read().unwrap()),
            [".dockerignore", ".git", ".git/HEAD", ".git/index", "a", "d"]
        );
    }

    #[test]
    fn a_context_is_read_late_and_refused_when_it_was_edited_meanwhile() {
        let directory = written(&[("a", "1"), ("b", "2")]);
        let place = ContextPlace {
            directory: directory.path().to_owned(),
            dockerfile: directory.path().join("Dockerfile"),
            limits: ContextLimits::default(),
            is_foreign: |_, _| false,
        };
        let listing = || ContextListing::of(&place).unwrap();
        let digest = listing().read().unwrap().digest();
        let kept = tempfile::tempdir().unwrap();
        let memory = kept.path().join("digest.json");
        let context = LazyContext::unread(listing(), (digest, &memory));
        assert_eq!(names(context.open().unwrap()), ["a", "b"]);
        for content in ["3", "longer"] {
            let context = LazyContext::unread(listing(), (digest, &memory));
            fs::write(&memory, "").unwrap();
            fs::write(directory.path().join("a"), content).unwrap();
            let error = context.open().unwrap_err();
            assert!(matches!(error, ContextError::Changed { .. }), "{error}");
            let is_wrong = content == "3";
            assert_eq!(!memory.exists(), is_wrong, "what proved wrong is forgotten");
        }
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
