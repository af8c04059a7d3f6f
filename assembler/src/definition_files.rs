//! The files of a definition, read when they are needed: their digest decides what is reused, their bytes only what runs.
//!
//! Invariant: what [`DefinitionFiles::load`] returns has the digest that [`DefinitionFiles::digest`] gave. A definition
//! that is edited in between is an error that says so, never a mixture of before and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    digest::Digest,
    recipe::{ScriptFile, ScriptFiles},
};

/// The files of a definition, in memory or where its author keeps them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DefinitionFiles {
    place: Place,
    without: BTreeSet<String>,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Arc<ScriptFiles>),
    Elsewhere(Arc<dyn FileSource>),
}

/// A place where a definition's files are.
///
/// Contract: all answers are about one state of the files, or an error; paths are slash-separated and relative.
pub trait FileSource: fmt::Debug + Send + Sync {
    /// Returns all paths, in byte order, without reading any file.
    fn paths(&self) -> Result<Vec<String>, FilesError>;

    /// Returns the names of the files directly in `directory`, in byte order; none where there is no such directory.
    fn names(&self, directory: &str) -> Result<Vec<String>, FilesError>;

    /// Tells whether there is a file `path`, without looking at others.
    fn has(&self, path: &str) -> Result<bool, FilesError>;

    /// Reads one file without looking at others; `None` where there is none.
    fn read(&self, path: &str) -> Result<Option<ScriptFile>, FilesError>;

    /// Returns what [`ScriptFiles::digest`] gives for all files but `without`.
    fn digest(&self, without: &BTreeSet<String>) -> Result<Digest, FilesError>;

    /// Reads all files but `without`.
    fn load(&self, without: &BTreeSet<String>) -> Result<ScriptFiles, FilesError>;
}

/// Why a definition's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something is there that a definition may not have.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It was edited while it was being used.
    #[error("{} changed while it was being used", path.display())]
    Changed {
        /// The file, or the directory when several changed.
        path: PathBuf,
    },
}

impl From<ScriptFiles> for DefinitionFiles {
    fn from(files: ScriptFiles) -> Self {
        Self {
            place: Place::Memory(Arc::new(files)),
            without: BTreeSet::new(),
        }
    }
}

impl DefinitionFiles {
    /// Takes files that are elsewhere.
    pub fn elsewhere(source: Arc<dyn FileSource>) -> Self {
        Self {
            place: Place::Elsewhere(source),
            without: BTreeSet::new(),
        }
    }

    /// Returns the same files without `names`.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let mut fewer = self.clone();
        let names = names.iter().map(|&name| name.to_owned());
        fewer.without.extend(names);
        fewer
    }

    /// Returns all paths, in byte order; reads no file.
    pub fn paths(&self) -> Result<Vec<String>, FilesError> {
        let mut paths = match &self.place {
            Place::Memory(files) => files.iter().map(|(path, _)| path.to_owned()).collect(),
            Place::Elsewhere(source) => source.paths()?,
        };
        paths.retain(|path| !self.without.contains(path));
        Ok(paths)
    }

    /// Returns the names of the files directly in `directory`, in byte order.
    pub fn names(&self, directory: &str) -> Result<Vec<String>, FilesError> {
        let mut names: Vec<String> = match &self.place {
            Place::Memory(files) => files
                .iter()
                .filter_map(|(path, _)| path.strip_prefix(directory)?.strip_prefix('/'))
                .filter(|name| !name.contains('/'))
                .map(str::to_owned)
                .collect(),
            Place::Elsewhere(source) => source.names(directory)?,
        };
        names.retain(|name| !self.without.contains(&format!("{directory}/{name}")));
        Ok(names)
    }

    /// Tells whether there is a file `path`.
    pub fn has(&self, path: &str) -> Result<bool, FilesError> {
        if self.without.contains(path) {
            return Ok(false);
        }
        match &self.place {
            Place::Memory(files) => Ok(files.get(path).is_some()),
            Place::Elsewhere(source) => source.has(path),
        }
    }

    /// Reads one file; looks at no other.
    pub fn read(&self, path: &str) -> Result<Option<ScriptFile>, FilesError> {
        if self.without.contains(path) {
            return Ok(None);
        }
        match &self.place {
            Place::Memory(files) => Ok(files.get(path).cloned()),
            Place::Elsewhere(source) => source.read(path),
        }
    }

    /// Returns the digest of names, modes and contents, as [`ScriptFiles::digest`] does.
    pub fn digest(&self) -> Result<Digest, FilesError> {
        match &self.place {
            Place::Memory(files) if self.without.is_empty() => Ok(files.digest()),
            Place::Memory(files) => Ok(self.rest(files).digest()),
            Place::Elsewhere(source) => source.digest(&self.without),
        }
    }

    /// Reads all files.
    pub fn load(&self) -> Result<ScriptFiles, FilesError> {
        match &self.place {
            Place::Memory(files) => Ok(self.rest(files)),
            Place::Elsewhere(source) => source.load(&self.without),
        }
    }

    fn rest(&self, files: &ScriptFiles) -> ScriptFiles {
        let rest: BTreeMap<String, ScriptFile> = files
            .iter()
            .filter(|(path, _)| !self.without.contains(*path))
            .map(|(path, file)| (path.to_owned(), file.clone()))
            .collect();
        ScriptFiles::new(rest)
    }
}
