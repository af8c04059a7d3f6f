//! Recipes: what is in an image, as data. Nothing is decided here any more; files of definitions and build contexts may be
//! read as late as when something runs.
//!
//! Invariant: a recipe names its base by digest; what is hashed of a definition is what runs, or the step fails when the
//! definition is edited meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    definition_files::DefinitionFiles,
    digest::{Digest, Hasher},
    dockerfile::DockerfileBuild,
    provenance::{BaseRecord, Origin},
};

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The base image's manifest, in the store.
    pub base: Digest,
    /// The base as it is recorded for people: what was asked for and its digest.
    pub base_record: BaseRecord,
    /// Who contributed layers of the base that no record covers.
    pub base_origin: Origin,
    /// What comes on top, in order.
    pub steps: Vec<Step>,
    /// What changes in the config.
    pub config: ConfigChange,
    /// Clamp for modification times, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub source_date: Option<i64>,
}

/// One addition: one layer, or of a Dockerfile any number.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who contributes it.
    pub origin: Origin,
    /// What is added.
    pub addition: Addition,
}

/// How a step's layer comes to be.
#[derive(Clone, Debug)]
pub enum Addition {
    /// Scripts are run as root in the image so far, in this order.
    Scripts {
        /// All files of the definition that scripts may use.
        files: DefinitionFiles,
        /// The scripts to run: keys of `files`.
        run: Vec<String>,
        /// Environment that is part of the step's meaning (not proxies, not certificates).
        env: BTreeMap<String, String>,
    },
    /// Files are put there; nothing runs.
    Files(Vec<PlacedFile>),
    /// A Dockerfile is built, on the image so far or on others: any number of layers, and changes of the config.
    Dockerfile(Arc<DockerfileBuild>),
}

/// The files of a definition, with their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptFiles {
    files: BTreeMap<String, ScriptFile>,
}

/// One file of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFile {
    /// Whether the owner may execute it.
    pub executable: bool,
    /// Its content.
    pub content: Arc<[u8]>,
}

/// A file that a step puts into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedFile {
    /// Where: relative to `/`, slash-separated.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub content: Arc<[u8]>,
}

/// What a recipe changes in the config that its base brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigChange {
    /// Variables to set.
    pub env: BTreeMap<String, String>,
    /// Variables to set where the image has none of the name.
    pub defaults: BTreeMap<String, String>,
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
    /// A new entrypoint; it also clears `Cmd`.
    pub entrypoint: Option<Vec<String>>,
    /// A new user.
    pub user: Option<String>,
}

impl ScriptFiles {
    /// Collects files by their path below the definition (slash-separated).
    pub fn new(files: BTreeMap<String, ScriptFile>) -> Self {
        Self { files }
    }

    /// Iterates in the order of paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ScriptFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Returns one file.
    pub fn get(&self, path: &str) -> Option<&ScriptFile> {
        self.files.get(path)
    }

    /// Returns the digest of names, modes and contents.
    pub fn digest(&self) -> Digest {
        let mut hasher = FilesHasher::new();
        for (path, file) in &self.files {
            hasher.add(path, file);
        }
        hasher.finish()
    }
}

/// Computes what [`ScriptFiles::digest`] gives, of files that come one by one in the order of their paths.
#[derive(Debug)]
pub struct FilesHasher(Hasher);

impl FilesHasher {
    /// Starts.
    #[expect(
        clippy::new_without_default,
        reason = "a hash that was started is no default value of anything"
    )]
    pub fn new() -> Self {
        Self(Hasher::sha256())
    }

    /// Adds the next file.
    pub fn add(&mut self, path: &str, file: &ScriptFile) {
        field(&mut self.0, path.as_bytes());
        field(&mut self.0, if file.executable { b"x" } else { b"-" });
        field(&mut self.0, &file.content);
    }

    /// Ends.
    pub fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// Hashes a length before the bytes, so that no two lists of fields hash alike.
pub(crate) fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
