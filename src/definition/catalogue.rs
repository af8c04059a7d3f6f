//! Everything that can be chosen on this machine: built-in and custom definitions side by side.

use std::{
    collections::BTreeMap,
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

impl Catalogue {
    /// Reads all definitions; what is wrong with single ones is in [`Self::problems`].
    pub fn read(roots: &CustomRoots) -> Self {
        let mut catalogue = Self::default();
        for id in bundle::built_in_names("agents") {
            let files = bundle::built_in("agents", id);
            catalogue.add_agent(id, files, Source::BuiltIn);
        }
        for id in bundle::built_in_names("bases") {
            let files = bundle::built_in("bases", id);
            catalogue.add_base(id, files, Source::BuiltIn);
        }
        for directory in [roots.older.join("agents"), roots.custom.join("agents")] {
            for (id, path) in subdirectories(&directory) {
                let files = bundle::directory(&path, roots.state.as_deref());
                catalogue.add_agent(&id, files, Source::Custom(path));
            }
        }
        for directory in [
            roots.older.join("base-images"),
            roots.custom.join("image-base"),
        ] {
            for (id, path) in subdirectories(&directory) {
                let files = bundle::directory(&path, roots.state.as_deref());
                catalogue.add_base(&id, files, Source::Custom(path));
            }
        }
        for directory in [
            roots.older.join("extensions"),
            roots.custom.join("extension"),
        ] {
            for (id, path) in subdirectories(&directory) {
                let files = bundle::directory(&path, roots.state.as_deref());
                catalogue.add_extension(&id, files, Source::Custom(path));
            }
        }
        catalogue
    }

    fn add_agent(&mut self, id: &str, files: DefinitionFiles, source: Source) {
        let directory = directory_of(&source, "agents", id);
        match AgentDefinition::new(id, files, source, &directory) {
            Ok(agent) => drop(self.agents.insert(id.to_owned(), agent)),
            Err(error) => {
                self.agents.remove(id);
                self.problem("agent", id, error);
            }
        }
    }

    fn add_base(&mut self, id: &str, files: DefinitionFiles, source: Source) {
        let directory = directory_of(&source, "bases", id);
        match BaseDefinition::new(id, files, source, &directory) {
            Ok(base) => drop(self.bases.insert(id.to_owned(), base)),
            Err(error) => {
                self.bases.remove(id);
                self.problem("base", id, error);
            }
        }
    }

    fn add_extension(&mut self, id: &str, files: DefinitionFiles, source: Source) {
        let directory = directory_of(&source, "extensions", id);
        match ExtensionDefinition::new(id, files, source, &directory) {
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

fn directory_of(source: &Source, folder: &str, id: &str) -> PathBuf {
    match source {
        Source::BuiltIn => Path::new("definitions").join(folder).join(id),
        Source::Custom(path) => path.clone(),
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
