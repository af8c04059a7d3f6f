//! An agent's definition: `agent.yml`, `install.sh`, `version.sh` and the files they use.

use std::path::{Component, Path};

use assembler::definition_files::DefinitionFiles;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{DefinitionError, Source, base::BaseDefinition};
use crate::{printer::printable, yaml};

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
    #[serde(default, deserialize_with = "state_paths")]
    #[schemars(inner(regex(pattern = r"\S")))]
    pub files: Vec<String>,
    /// Directories, such as `~/.codex`.
    #[serde(default, deserialize_with = "state_paths")]
    #[schemars(inner(regex(pattern = r"\S")))]
    pub directories: Vec<String>,
}

fn state_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct StatePath(#[serde(deserialize_with = "state_path")] String);
    let paths = Vec::<StatePath>::deserialize(deserializer)?;
    Ok(paths.into_iter().map(|StatePath(path)| path).collect())
}

fn state_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = yaml::text(deserializer)?;
    match is_no_state(&text) {
        Some(why) => Err(D::Error::custom(format!("`{}` {why}", printable(&text)))),
        None => Ok(text),
    }
}

/// Returns why an agent cannot keep its state there, as far as the path alone tells.
fn is_no_state(path: &str) -> Option<&'static str> {
    let parts = || Path::new(path).components();
    if parts().any(|part| part == Component::ParentDir) {
        return Some("has `..` in it; name the path below the home directory itself");
    }
    let below = path.strip_prefix("~/").or_else(|| path.strip_prefix('/'));
    match below {
        None if path != "~" => Some("begins neither with `~/` nor with `/`"),
        Some(below) if Path::new(below).file_name().is_some() => None,
        Some(_) | None => Some("is a whole tree; name what in it the agent keeps its state in"),
    }
}

fn yes() -> bool {
    true
}

/// The script that installs an agent.
pub const INSTALL: &str = "install.sh";
/// The script that prints an agent's newest version.
pub const VERSION: &str = "version.sh";

impl AgentDefinition {
    /// Returns the scripts and what is beside them, without what `agent.yml` says.
    pub fn scripts(&self) -> DefinitionFiles {
        self.files.without(&["agent.yml", "agent.yaml"])
    }

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
