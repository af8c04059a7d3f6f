//! What was chosen in a project, for each agent: base, extensions, image, and what is mounted.
//!
//! Format: `~/.aicage/projects/<sha256 of the directory's path>.yml`, as the Python program writes it, with what it
//! inherits from `config/global.yml` and `config/trees/<sha256>.yml`. Invariants: keys that are not ours stay as they
//! are; a damaged file, or one of a newer version, is never written over; two programs at once lose nothing.

mod agreement;
mod change;
mod docker_args;
mod file;
mod in_force;
mod team;

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use assembler::digest::Digest;

use crate::{
    container_options::stored::Stored,
    settings::{Origin, Scope, Settings},
    trust::Team,
    whole_file::{self, Lock, WholeFileError},
    yaml::YamlError,
};

pub use agreement::Agreement;
pub use change::{AgentKey, check, lock_of};
use file::{Inherited, Layer, ProjectFile};

/// The projects of this user.
#[derive(Clone, Debug)]
pub struct Projects {
    home: PathBuf,
    /// What was read, so that a start reads each file once.
    files: Arc<Mutex<BTreeMap<PathBuf, Arc<ProjectFile>>>>,
    /// What the repository's file says, as far as it counts.
    team: Option<Arc<Team>>,
}

/// What was chosen for an agent in a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredChoice {
    /// The base.
    pub base: Option<String>,
    /// The extensions, in the order in which they are added.
    pub extensions: Vec<String>,
    /// The image's name. It also says that the question for extensions was answered.
    pub image_ref: Option<String>,
}

/// What is stored for an agent in a project, with what the project inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredAgent {
    /// What it runs in.
    pub choice: StoredChoice,
    /// Arguments for the engine, as the Python program took them.
    pub docker_args: Option<String>,
    /// Paths of the host that are mounted, `HOST` or `HOST:ro`.
    pub shares: Vec<String>,
    /// Whether the paths that an extension shares are mounted, by extension.
    pub extension_mounts: BTreeMap<String, bool>,
    /// What of that the user agreed to, by extension: real paths, `PATH` or `PATH:ro`.
    pub agreed_shares: BTreeMap<String, Vec<String>>,
    /// Whether what the Python program finds by itself is mounted: `gitconfig`, `ssh` and the like.
    pub mounts: BTreeMap<String, bool>,
}

/// What was found, and what in it could not be used.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What is stored; nothing if nothing is.
    pub agent: Option<StoredAgent>,
    /// The file that belongs to the project, whether it is there or not.
    pub file: PathBuf,
    /// What is wrong with single keys, as `FILE:LINE: …`; they count as absent.
    pub warnings: Vec<String>,
    /// The `docker_args` for the agent, each with its file, the most general first.
    pub docker_args: Vec<Stored>,
    /// Where each key of the agent is said; those that add to each other are said in several places.
    pub origins: BTreeMap<&'static str, Vec<Origin>>,
    /// Where shares of the team file really are; elsewhere they are not what was agreed to.
    pub pinned: BTreeMap<String, PathBuf>,
    /// Whether the team file says what the agent runs in, so that there is nothing to ask.
    pub is_settled: bool,
}

/// Why a project's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It is not YAML, or cannot be read.
    #[error("the choices of a project cannot be read")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: YamlError,
    },
    /// It holds something else than a project.
    #[error("{}:{line}: `{key}` is not what it should be: {expected}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A newer aicage wrote it.
    #[error("{} is of version {version}, and this program knows version {}", path.display(), file::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WholeFileError),
}

impl Projects {
    /// Returns the projects of this user.
    pub fn open(settings: &Settings) -> Self {
        settings.projects.clone()
    }

    /// Returns the projects below a directory such as `~/.aicage`.
    pub fn below(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            files: Arc::default(),
            team: None,
        }
    }

    /// Lays what a repository says between what a project inherits and what it says itself.
    pub fn set_team(&mut self, team: Option<Arc<Team>>) {
        self.team = team;
    }

    /// Returns the file of the project in `directory`.
    pub fn file(&self, directory: &Path) -> PathBuf {
        let directory = resolved(directory);
        self.home.join("projects").join(file_name(&directory))
    }

    /// Returns what is stored for `agent` in the project in `directory`, with what it inherits.
    pub fn choice(&self, directory: &Path, agent: &str) -> Result<Found, ProjectError> {
        let directory = resolved(directory);
        let own = self.home.join("projects").join(file_name(&directory));
        let mut found = Found {
            file: own.clone(),
            ..Found::default()
        };
        for (scope, path) in self.places(&directory) {
            let read = self.read(&path)?;
            let layer = read.agent(agent, &mut found.warnings)?;
            if let (Scope::Project, Some(team)) = (&scope, self.team.as_deref()) {
                let own = layer.as_ref().map(|layer| &layer.agent.choice);
                team::lay_over(&mut found, team, own);
            }
            let Some(layer) = layer else {
                continue;
            };
            if let Some(text) = layer.agent.docker_args.clone() {
                let file = path.clone();
                found.docker_args.push(Stored { file, text });
            }
            note_origins(&mut found.origins, &layer, (&scope, &path));
            found.agent = Some(match found.agent.take() {
                Some(mut below) => {
                    if layer.stands_alone {
                        below.choice = StoredChoice::default();
                    }
                    merged(below, layer.agent)
                }
                None => layer.agent,
            });
        }
        Ok(found)
    }

    /// Returns what is stored for `agent` in the project's own file, without what it inherits.
    pub fn own(&self, directory: &Path, agent: &str) -> Result<StoredAgent, ProjectError> {
        let read = self.read(&self.file(directory))?;
        let layer = read.agent(agent, &mut Vec::new())?;
        Ok(layer.map(|layer| layer.agent).unwrap_or_default())
    }

    /// Stores what was chosen for `agent` in the project in `directory`; everything else in the file stays.
    pub fn store(
        &self,
        directory: &Path,
        agent: &str,
        choice: &StoredChoice,
    ) -> Result<PathBuf, ProjectError> {
        let directory = resolved(directory);
        let path = self.home.join("projects").join(file_name(&directory));
        let lock = whole_file::lock(&self.lock())?;
        let mut inherited = Inherited::Nothing;
        let team = self.team.as_deref();
        if team.is_some_and(|team| team.file.extensions.iter().flatten().next().is_some()) {
            inherited = Inherited::Extensions;
        }
        for (scope, path) in self.places(&directory) {
            if scope == Scope::Project {
                continue;
            }
            let above = self.read(&path)?.agent(agent, &mut Vec::new())?;
            if above.is_some_and(|above| !above.agent.choice.extensions.is_empty()) {
                inherited = Inherited::Extensions;
            }
        }
        let mut file = ProjectFile::read(&path)?;
        file.set(agent, choice, inherited)?;
        file.set_path(&directory.to_string_lossy());
        self.write(&lock, &path, &file)?;
        Ok(path)
    }

    /// The lock that all projects share.
    fn lock(&self) -> PathBuf {
        self.home.join("projects/.lock")
    }

    /// Reads a file, unless that was done already.
    fn read(&self, path: &Path) -> Result<Arc<ProjectFile>, ProjectError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(ProjectFile::read(path)?);
        files.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// Writes what was changed in a file.
    fn write(&self, lock: &Lock, path: &Path, file: &ProjectFile) -> Result<(), ProjectError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.remove(path);
        if file.is_changed() {
            whole_file::replace(lock, path, file.to_text()?.as_bytes())?;
        }
        Ok(())
    }

    /// Lists the files that say something of a project, the most general first, its own last.
    fn places(&self, directory: &Path) -> Vec<(Scope, PathBuf)> {
        let config = self.home.join("config");
        let own = self.home.join("projects").join(file_name(directory));
        let trees = directory.ancestors().map(|tree| {
            let path = config.join("trees").join(file_name(tree));
            (Scope::Tree(tree.to_owned()), path)
        });
        let mut places = vec![(Scope::Project, own)];
        places.extend(trees);
        places.push((Scope::User, config.join("global.yml")));
        places.reverse();
        places
    }
}

/// Notes where the keys of an agent are said; one that takes the place of others leaves none of them.
fn note_origins(
    origins: &mut BTreeMap<&'static str, Vec<Origin>>,
    layer: &Layer,
    (scope, path): (&Scope, &Path),
) {
    if layer.stands_alone {
        origins.remove("extensions");
    }
    for (key, line) in &layer.lines {
        let places = origins.entry(key).or_default();
        if matches!(*key, "base" | "image_ref") {
            places.clear();
        }
        places.push(Origin::File {
            scope: scope.clone(),
            path: path.to_owned(),
            line: *line,
        });
    }
}

/// Lays what is stored nearer to the project over what it inherits, as the Python program does.
fn merged(below: StoredAgent, above: StoredAgent) -> StoredAgent {
    let mut result = below;
    let choice = &mut result.choice;
    if above.choice.base.is_some() {
        choice.base = above.choice.base;
        choice.image_ref = None;
    }
    if above.choice.image_ref.is_some() || !above.choice.extensions.is_empty() {
        choice.image_ref = above.choice.image_ref;
    }
    for extension in above.choice.extensions {
        if !choice.extensions.contains(&extension) {
            choice.extensions.push(extension);
        }
    }
    let arguments = result.docker_args.into_iter().chain(above.docker_args);
    let arguments: Vec<String> = arguments.collect();
    result.docker_args = (!arguments.is_empty()).then(|| arguments.join(" "));
    result.shares.extend(above.shares);
    result.extension_mounts.extend(above.extension_mounts);
    result.agreed_shares.extend(above.agreed_shares);
    result.mounts.extend(above.mounts);
    result
}

fn resolved(directory: &Path) -> PathBuf {
    fs_err::canonicalize(directory).unwrap_or_else(|_gone| directory.to_owned())
}

fn file_name(directory: &Path) -> String {
    let digest = Digest::of(directory.as_os_str().as_bytes());
    format!("{}.yml", digest.hex())
}

#[cfg(test)]
mod tests;
