//! A definition in a directory of the user's: metadata first, contents only when they may have changed or are run.
//!
//! Invariant: everything that is said of the files is about the listing that was made first; a file that is not as it
//! was listed is an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use assembler::{
    definition_files::{FileSource, FilesError},
    digest::Digest,
    recipe::{FilesHasher, ScriptFile, ScriptFiles},
};
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat},
    io::Errno,
};

use super::{
    directory::{self, BYTES, Listed, Listing, Mark},
    kept_digest::KeptDigest,
    others,
};

/// The files of one directory.
#[derive(Debug)]
pub(super) struct OnDisk {
    root: PathBuf,
    kept: Option<KeptDigest>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    listing: Option<Arc<Listing>>,
    digests: BTreeMap<BTreeSet<String>, Digest>,
}

impl OnDisk {
    /// Takes the files in `root`; digests are kept below `state`.
    pub(super) fn new(root: &Path, state: Option<&Path>) -> Self {
        Self {
            root: root.to_owned(),
            kept: state.map(|state| KeptDigest::new(state, root)),
            known: Mutex::default(),
        }
    }

    fn listing(&self) -> Result<Arc<Listing>, FilesError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = &known.listing {
            return Ok(Arc::clone(listing));
        }
        let listing = Arc::new(directory::list(&self.root)?);
        known.listing = Some(Arc::clone(&listing));
        Ok(listing)
    }

    fn remember(&self, without: &BTreeSet<String>, digest: Digest) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.digests.insert(without.clone(), digest);
    }

    fn known_digest(&self, without: &BTreeSet<String>) -> Option<Digest> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.digests.get(without).copied()
    }

    fn top(&self) -> Result<OwnedFd, FilesError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, &self.root, flags, Mode::empty())
            .map_err(|error| directory::read(&self.root, error))
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, FilesError> {
        let full = self.root.join(path);
        match statat(CWD, &full, AtFlags::empty()) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                if statat(CWD, &full, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                    Err(directory::refuse(&full, "a link that leads nowhere"))
                } else {
                    Ok(None)
                }
            }
            Err(Errno::LOOP) => Err(directory::refuse(&full, "a link that leads in a circle")),
            Err(error) => Err(directory::read(&full, error)),
        }
    }

    /// Reads a file that has to be what `mark` says, before and after.
    fn content(&self, top: &OwnedFd, path: &str, mark: &Mark) -> Result<Vec<u8>, FilesError> {
        let full = || self.root.join(path);
        let failed = |error: Errno| match error {
            Errno::NOENT => FilesError::Changed { path: full() },
            error => directory::read(&full(), error),
        };
        let is_same = |file: &fs_err::File| Ok(Mark::of(&fstat(file).map_err(failed)?) == *mark);
        let file =
            fs_err::File::from_parts(directory::open(top, path).map_err(failed)?.into(), full());
        let mut content = Vec::with_capacity(usize::try_from(mark.size).unwrap_or(0));
        let read_error = |source| FilesError::Read {
            path: full(),
            source,
        };
        if is_same(&file)? {
            let mut limited = (&file).take(mark.size + 1);
            limited.read_to_end(&mut content).map_err(read_error)?;
            if content.len() as u64 == mark.size && is_same(&file)? {
                return Ok(content);
            }
        }
        Err(FilesError::Changed { path: full() })
    }

    fn each(
        &self,
        without: &BTreeSet<String>,
        mut take: impl FnMut(&Listed, ScriptFile),
    ) -> Result<Digest, FilesError> {
        let listing = self.listing()?;
        let top = self.top()?;
        let mut hasher = FilesHasher::new();
        for listed in &listing.files {
            if without.contains(&listed.path) {
                continue;
            }
            let content = self.content(&top, &listed.path, &listed.mark)?;
            let file = ScriptFile {
                executable: listed.mark.is_executable(),
                content: content.into(),
            };
            hasher.add(&listed.path, &file);
            take(listed, file);
        }
        Ok(hasher.finish())
    }
}

impl FileSource for OnDisk {
    fn paths(&self) -> Result<Vec<String>, FilesError> {
        let listing = self.listing()?;
        Ok(listing
            .files
            .iter()
            .map(|listed| listed.path.clone())
            .collect())
    }

    fn names(&self, directory: &str) -> Result<Vec<String>, FilesError> {
        let path = self.root.join(directory);
        if self.stat(directory)?.is_none() {
            return Ok(Vec::new());
        }
        let failed = |error| directory::read(&path, error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match openat(CWD, &path, flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(Errno::NOTDIR) => {
                return Err(directory::refuse(&path, "this has to be a directory"));
            }
            Err(error) => return Err(failed(error)),
        };
        let mut opened = Dir::new(opened).map_err(failed)?;
        let mut names = Vec::new();
        while let Some(entry) = opened.read() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if others::is_hidden(name) || others::is_editors(name) {
                continue;
            }
            let is_file = match entry.file_type() {
                FileType::RegularFile => true,
                FileType::Symlink | FileType::Unknown => {
                    let name = entry.file_name().to_string_lossy();
                    let stat = self.stat(&format!("{directory}/{name}"))?;
                    stat.is_some_and(|stat| {
                        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                    })
                }
                _ => false,
            };
            // A name that is not UTF-8 is refused with the listing, before anything runs.
            if is_file && let Ok(name) = entry.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn has(&self, path: &str) -> Result<bool, FilesError> {
        Ok(self
            .stat(path)?
            .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile))
    }

    fn read(&self, path: &str) -> Result<Option<ScriptFile>, FilesError> {
        let Some(stat) = self.stat(path)? else {
            return Ok(None);
        };
        let full = self.root.join(path);
        let mark = Mark::of(&stat);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(directory::refuse(&full, "this has to be a file"));
        }
        if mark.size > BYTES {
            return Err(directory::refuse(
                &full,
                &format!("it has {}", crate::printer::bytes(mark.size)),
            ));
        }
        let content = self.content(&self.top()?, path, &mark)?;
        Ok(Some(ScriptFile {
            executable: mark.is_executable(),
            content: content.into(),
        }))
    }

    fn digest(&self, without: &BTreeSet<String>) -> Result<Digest, FilesError> {
        if let Some(digest) = self.known_digest(without) {
            return Ok(digest);
        }
        let listing = self.listing()?;
        let kept = self.kept.as_ref();
        if let Some(digest) = kept.and_then(|kept| kept.recall(&listing.fingerprint, without)) {
            self.remember(without, digest);
            return Ok(digest);
        }
        let making = kept.and_then(KeptDigest::begin);
        let digest = self.each(without, |_, _| ())?;
        if let (Some(kept), Some(making)) = (kept, making) {
            let state = (&listing.fingerprint, listing.newest);
            kept.keep(making, state, (without, &digest));
        }
        self.remember(without, digest);
        Ok(digest)
    }

    fn load(&self, without: &BTreeSet<String>) -> Result<ScriptFiles, FilesError> {
        let expected = self.digest(without)?;
        let mut files = BTreeMap::new();
        let digest = self.each(without, |listed, file| {
            files.insert(listed.path.clone(), file);
        })?;
        // What was added or removed is in no file that was read.
        let now = directory::list(&self.root)?;
        if digest != expected || now.fingerprint != self.listing()?.fingerprint {
            if let Some(kept) = &self.kept {
                kept.forget();
            }
            return Err(FilesError::Changed {
                path: self.root.clone(),
            });
        }
        Ok(ScriptFiles::new(files))
    }
}
