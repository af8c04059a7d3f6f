//! Everything that can be chosen on this machine: built-in and custom definitions side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use assembler::definition_files::DefinitionFiles;

use super::{
    DefinitionError, Source, agent::AgentDefinition, base::BaseDefinition, bundle,
    extension::ExtensionDefinition, found,
};
use crate::diagnostic;

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
    /// Definitions of the user's own that others of the same name hide.
    pub hidden: Vec<Hidden>,
    /// Nouns and ids of the user's own definitions that take the place of others.
    pub replaced: BTreeSet<(&'static str, String)>,
}

/// A definition that cannot be used.
#[derive(Debug)]
pub struct Problem {
    /// `agent`, `base` or `extension`.
    pub noun: &'static str,
    /// Its directory's name; nothing where the directory of all such definitions is meant.
    pub id: Option<String>,
    /// Why.
    pub error: DefinitionError,
}

/// A definition that another one of the same name, with other files, hides.
#[derive(Debug)]
pub struct Hidden {
    /// `agent`, `base` or `extension`.
    pub noun: &'static str,
    /// The name.
    pub id: String,
    /// Where the one is that is not used.
    pub path: PathBuf,
    /// Where the one is that is used.
    pub by: PathBuf,
}

impl Hidden {
    /// Says in one sentence which one is used.
    pub fn sentence(&self) -> String {
        format!(
            "{} `{}` is there twice with different files: {} is used, {} is not",
            self.noun,
            self.id,
            self.by.display(),
            self.path.display()
        )
    }
}

impl Problem {
    /// Says in one sentence what is left out and why.
    pub fn sentence(&self) -> String {
        let why = diagnostic::sentence(&self.error);
        match &self.id {
            Some(id) => format!("{} `{id}` is left out: {why}", self.noun),
            None => format!("every {} of a directory is left out: {why}", self.noun),
        }
    }
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
                let directory = |path: &Path| (Source::BuiltIn, bundle::directory(path, state));
                catalogue.add_from("agent", &root.join("agents"), &directory);
                catalogue.add_from("base", &root.join("bases"), &directory);
            }
        }
        catalogue
    }

    fn add_custom(&mut self, roots: &CustomRoots) {
        let directory = |path: &Path| {
            let files = bundle::directory(path, roots.state.as_deref());
            (Source::Custom(path.to_owned()), files)
        };
        for (noun, older, name) in [
            ("agent", "agents", "agents"),
            ("base", "base-images", "image-base"),
            ("extension", "extensions", "extension"),
        ] {
            for place in [roots.older.join(older), roots.custom.join(name)] {
                self.add_from(noun, &place, &directory);
            }
        }
    }

    fn add_from(
        &mut self,
        noun: &'static str,
        place: &Path,
        directory: &dyn Fn(&Path) -> (Source, DefinitionFiles),
    ) {
        let found = found::list(place);
        for (id, error) in found.problems {
            let error = error.into();
            self.problems.push(Problem { noun, id, error });
        }
        for (id, path) in found.definitions {
            let (source, files) = directory(&path);
            match noun {
                "agent" => self.add_agent(&id, files, (source, &path)),
                "base" => self.add_base(&id, files, (source, &path)),
                _ => self.add_extension(&id, files, (source, &path)),
            }
        }
    }

    fn add_agent(&mut self, id: &str, files: DefinitionFiles, (source, place): (Source, &Path)) {
        match AgentDefinition::new(id, files, source, place) {
            Ok(agent) => {
                let now = (agent.source.clone(), agent.files.clone());
                if let Some(before) = self.agents.insert(id.to_owned(), agent) {
                    self.replace(("agent", id), (before.source, before.files), now);
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
                let now = (base.source.clone(), base.files.clone());
                if let Some(before) = self.bases.insert(id.to_owned(), base) {
                    self.replace(("base", id), (before.source, before.files), now);
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
            Ok(extension) => {
                let now = (extension.source.clone(), extension.files.clone());
                if let Some(before) = self.extensions.insert(id.to_owned(), extension) {
                    self.replace(("extension", id), (before.source, before.files), now);
                }
            }
            Err(error) => {
                self.extensions.remove(id);
                self.problem("extension", id, error);
            }
        }
    }

    /// Notes that a definition took the place of another one.
    fn replace(
        &mut self,
        (noun, id): (&'static str, &str),
        (before, files_before): (Source, DefinitionFiles),
        (now, files_now): (Source, DefinitionFiles),
    ) {
        match (before, now) {
            (Source::BuiltIn, Source::Custom(_)) => {
                self.replaced.insert((noun, id.to_owned()));
            }
            (Source::Custom(path), Source::Custom(by)) => {
                let is_same = matches!(
                    (files_before.digest(), files_now.digest()),
                    (Ok(before), Ok(now)) if before == now
                );
                if !is_same {
                    let id = id.to_owned();
                    self.hidden.push(Hidden { noun, id, path, by });
                }
            }
            (_, Source::BuiltIn) => {}
        }
    }

    fn problem(&mut self, noun: &'static str, id: &str, error: DefinitionError) {
        self.problems.push(Problem {
            noun,
            id: Some(id.to_owned()),
            error,
        });
    }
}
