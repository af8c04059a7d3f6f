//! Everything that can be chosen on this machine: built-in and custom definitions side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use assembler::definition_files::DefinitionFiles;

use super::{
    DefinitionError, Source, agent::AgentDefinition, base::BaseDefinition, bundle,
    extension::ExtensionDefinition,
};

/// The definitions of this machine.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Agents by id.
    pub agents: BTreeMap<String, AgentDefinition>,
    /// Bases by id.
    pub bases: BTreeMap<String, BaseDefinition>,
    /// Extensions by id; all of them are the user's.
    pub extensions: BTreeMap<String, ExtensionDefinition>,
    /// Definitions that cannot be used: which one, and why.
    pub problems: Vec<Problem>,
    /// Nouns and ids of the user's own definitions that take the place of others.
    pub replaced: BTreeSet<(&'static str, String)>,
}

/// A definition that cannot be used.
#[derive(Debug)]
pub struct Problem {
    /// `agent`, `base` or `extension`.
    pub noun: &'static str,
    /// Its directory's name.
    pub id: String,
    /// Why.
    pub error: DefinitionError,
}

/// Where the user's own definitions are.
#[derive(Clone, Debug)]
pub struct CustomRoots {
    /// `~/.aicage/custom`.
    pub custom: PathBuf,
    /// `~/.aicage-custom`, as the Python program has it.
    pub older: PathBuf,
    /// `~/.aicage/state`, where digests of definitions are kept; without it they are computed each time.
    pub state: Option<PathBuf>,
}

/// Where the definitions are that are not the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Published {
    /// In the program.
    #[default]
    BuiltIn,
    /// In a directory with `agents/` and `bases/`.
    Bundle(PathBuf),
    /// Nowhere: a bundle is configured and cannot be had.
    Missing,
}

impl Catalogue {
    /// Reads all definitions; what is wrong with single ones is in [`Self::problems`].
    pub fn read(published: &Published, roots: &CustomRoots) -> Self {
        let mut catalogue = Self::published(published, roots.state.as_deref());
        catalogue.add_custom(roots);
        catalogue
    }

    /// Reads the definitions that are not the user's own.
    pub fn published(published: &Published, state: Option<&Path>) -> Self {
        let mut catalogue = Self::default();
        match published {
            Published::Missing => {}
            Published::BuiltIn => {
                for id in bundle::built_in_names("agents") {
                    let files = bundle::built_in("agents", id);
                    let place = Path::new("definitions/agents").join(id);
                    catalogue.add_agent(id, files, (Source::BuiltIn, &place));
                }
                for id in bundle::built_in_names("bases") {
                    let files = bundle::built_in("bases", id);
                    let place = Path::new("definitions/bases").join(id);
                    catalogue.add_base(id, files, (Source::BuiltIn, &place));
                }
            }
            Published::Bundle(root) => {
                for (id, path) in subdirectories(&root.join("agents")) {
                    let files = bundle::directory(&path, state);
                    catalogue.add_agent(&id, files, (Source::BuiltIn, &path));
                }
                for (id, path) in subdirectories(&root.join("bases")) {
                    let files = bundle::directory(&path, state);
                    catalogue.add_base(&id, files, (Source::BuiltIn, &path));
                }
            }
        }
        catalogue
    }

    fn add_custom(&mut self, roots: &CustomRoots) {
        let state = roots.state.as_deref();
        for directory in [roots.older.join("agents"), roots.custom.join("agents")] {
            for (id, path) in subdirectories(&directory) {
                let files = bundle::directory(&path, state);
                self.add_agent(&id, files, (Source::Custom(path.clone()), &path));
            }
        }
        for directory in [
            roots.older.join("base-images"),
            roots.custom.join("image-base"),
        ] {
            for (id, path) in subdirectories(&directory) {
                let files = bundle::directory(&path, state);
                self.add_base(&id, files, (Source::Custom(path.clone()), &path));
            }
        }
        for directory in [
            roots.older.join("extensions"),
            roots.custom.join("extension"),
        ] {
            for (id, path) in subdirectories(&directory) {
                let files = bundle::directory(&path, state);
                self.add_extension(&id, files, (Source::Custom(path.clone()), &path));
            }
        }
    }

    fn add_agent(&mut self, id: &str, files: DefinitionFiles, (source, place): (Source, &Path)) {
        match AgentDefinition::new(id, files, source, place) {
            Ok(agent) => {
                let custom = agent.source != Source::BuiltIn;
                let before = self.agents.insert(id.to_owned(), agent);
                if custom && before.is_some_and(|before| before.source == Source::BuiltIn) {
                    self.replaced.insert(("agent", id.to_owned()));
                }
            }
            Err(error) => {
                self.agents.remove(id);
                self.problem("agent", id, error);
            }
        }
    }

    fn add_base(&mut self, id: &str, files: DefinitionFiles, (source, place): (Source, &Path)) {
        match BaseDefinition::new(id, files, source, place) {
            Ok(base) => {
                let custom = base.source != Source::BuiltIn;
                let before = self.bases.insert(id.to_owned(), base);
                if custom && before.is_some_and(|before| before.source == Source::BuiltIn) {
                    self.replaced.insert(("base", id.to_owned()));
                }
            }
            Err(error) => {
                self.bases.remove(id);
                self.problem("base", id, error);
            }
        }
    }

    fn add_extension(
        &mut self,
        id: &str,
        files: DefinitionFiles,
        (source, place): (Source, &Path),
    ) {
        match ExtensionDefinition::new(id, files, source, place) {
            Ok(extension) => drop(self.extensions.insert(id.to_owned(), extension)),
            Err(error) => {
                self.extensions.remove(id);
                self.problem("extension", id, error);
            }
        }
    }

    fn problem(&mut self, noun: &'static str, id: &str, error: DefinitionError) {
        self.problems.push(Problem {
            noun,
            id: id.to_owned(),
            error,
        });
    }
}

/// Lists the directories that may be definitions; hidden ones (`.git`, `.idea`) are other programs'.
fn subdirectories(directory: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return Vec::new();
    };
    let mut found: Vec<(String, PathBuf)> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    found.sort();
    found
}
