//! An agent's definition: `agent.yml`, `install.sh`, `version.sh` and the files they use.

use std::path::Path;

use assembler::definition_files::DefinitionFiles;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DefinitionError, Source, base::BaseDefinition};
use crate::yaml;

/// A coding agent that can be installed.
#[derive(Clone, Debug)]
pub struct AgentDefinition {
    /// Its name on our command line, and the command it is started with.
    pub id: String,
    /// What `agent.yml` says.
    pub settings: AgentFile,
    /// All files of the definition.
    pub files: DefinitionFiles,
    /// Where the definition is from.
    pub source: Source,
}

/// `agent.yml`: what an agent is and what it needs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "agent.yml")]
pub struct AgentFile {
    /// The agent's full name, for people.
    #[serde(deserialize_with = "yaml::text")]
    #[schemars(regex(pattern = r"\S"))]
    pub agent_full_name: String,
    /// Where people learn more about it.
    #[serde(deserialize_with = "yaml::text")]
    #[schemars(regex(pattern = r"\S"))]
    pub agent_homepage: String,
    /// The files and directories in the user's home where it keeps its state; they are mounted into its container.
    #[serde(default)]
    pub agent_path: AgentPath,
    /// Whether its image is built here instead of pulled, because it may not be redistributed. Custom agents always are.
    #[serde(default = "yes")]
    pub build_local: bool,
    /// Bases it does not run on, by name.
    #[serde(default, deserialize_with = "yaml::texts")]
    #[schemars(inner(regex(pattern = r"\S")))]
    pub base_exclude: Vec<String>,
    /// Distributions it does not run on, by name.
    #[serde(default, deserialize_with = "yaml::texts")]
    #[schemars(inner(regex(pattern = r"\S")))]
    pub base_distro_exclude: Vec<String>,
}

/// Where an agent keeps its state.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentPath {
    /// Files, such as `~/.claude.json`.
    #[serde(default, deserialize_with = "yaml::texts")]
    #[schemars(inner(regex(pattern = r"\S")))]
    pub files: Vec<String>,
    /// Directories, such as `~/.codex`.
    #[serde(default, deserialize_with = "yaml::texts")]
    #[schemars(inner(regex(pattern = r"\S")))]
    pub directories: Vec<String>,
}

fn yes() -> bool {
    true
}

/// The script that installs an agent.
pub const INSTALL: &str = "install.sh";
/// The script that prints an agent's newest version.
pub const VERSION: &str = "version.sh";

impl AgentDefinition {
    /// Makes a definition of its files; `directory` is where errors say they are.
    pub fn new(
        id: &str,
        files: DefinitionFiles,
        source: Source,
        directory: &Path,
    ) -> Result<Self, DefinitionError> {
        super::identifier::check(id, directory)?;
        let (path, file) = super::description(&files, directory, "agent")?;
        let settings: AgentFile = yaml::parse(&file.content, &path)?;
        for script in [INSTALL, VERSION] {
            if !files.has(script)? {
                return Err(DefinitionError::Missing {
                    directory: directory.to_owned(),
                    missing: script.to_owned(),
                });
            }
        }
        Ok(Self {
            id: id.to_owned(),
            settings,
            files,
            source,
        })
    }

    /// Tells whether a finished image of this agent is published.
    pub fn is_published(&self) -> bool {
        self.source == Source::BuiltIn && !self.settings.build_local
    }

    /// Returns why the agent does not run on `base` for `architecture`; `None` when it does.
    pub fn excludes(&self, base: &BaseDefinition, architecture: &str) -> Option<String> {
        let same = |name: &String, other: &str| name.eq_ignore_ascii_case(other);
        if self
            .settings
            .base_exclude
            .iter()
            .any(|name| same(name, &base.id))
        {
            return Some(format!(
                "`{}` says in `base_exclude` that it does not run on it",
                self.id
            ));
        }
        let distro = &base.settings.base_image_distro;
        if self
            .settings
            .base_distro_exclude
            .iter()
            .any(|name| same(name, distro))
        {
            return Some(format!(
                "`{}` says in `base_distro_exclude` that it does not run on {distro}",
                self.id
            ));
        }
        base.lacks(architecture)
    }
}
