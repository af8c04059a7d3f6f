//! An extension's definition: `extension.yml`, and `scripts/*.sh`, a `Dockerfile` or `shares`.

use std::path::Path;

use assembler::recipe::{ScriptFile, ScriptFiles};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DefinitionError, Source};
use crate::yaml;

/// Something that a user adds on top of an agent's image.
#[derive(Clone, Debug)]
pub struct ExtensionDefinition {
    /// Its name.
    pub id: String,
    /// What `extension.yml` says.
    pub settings: ExtensionFile,
    /// All files of the definition.
    pub files: ScriptFiles,
    /// Where the definition is from.
    pub source: Source,
}

/// `extension.yml`: what an extension is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "extension.yml")]
pub struct ExtensionFile {
    /// The extension's name, for people.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Files and directories of the host that the agent's container gets to see: `HOST` or `HOST:ro`.
    #[serde(default)]
    pub shares: Vec<String>,
}

/// The file that takes the place of scripts.
pub const DOCKERFILE: &str = "Dockerfile";

impl ExtensionDefinition {
    /// Makes a definition of its files; `directory` is where errors say they are.
    pub fn new(
        id: &str,
        files: ScriptFiles,
        source: Source,
        directory: &Path,
    ) -> Result<Self, DefinitionError> {
        super::identifier::check(id, directory)?;
        let (name, file) = ["extension.yml", "extension.yaml"]
            .iter()
            .find_map(|name| Some((name, files.get(name)?)))
            .ok_or_else(|| DefinitionError::Missing {
                directory: directory.to_owned(),
                missing: "extension.yml".to_owned(),
            })?;
        let path = directory.join(name);
        let settings: ExtensionFile = yaml::parse(&file.content, &path)?;
        let empty = [
            ("name", &settings.name),
            ("description", &settings.description),
        ];
        if let Some((key, _)) = empty.iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(DefinitionError::Value {
                path,
                reason: format!("`{key}` is empty"),
            });
        }
        let extension = Self {
            id: id.to_owned(),
            settings,
            files,
            source,
        };
        if extension.scripts().is_empty()
            && extension.dockerfile().is_none()
            && extension.settings.shares.is_empty()
        {
            return Err(DefinitionError::Missing {
                directory: directory.to_owned(),
                missing: "scripts/*.sh".to_owned(),
            });
        }
        Ok(extension)
    }

    /// Returns the scripts to run, in order: `scripts/*.sh`.
    pub fn scripts(&self) -> Vec<String> {
        super::scripts_of(&self.files)
    }

    /// Returns the Dockerfile that is used instead of the scripts, if there is one.
    pub fn dockerfile(&self) -> Option<&ScriptFile> {
        self.files.get(DOCKERFILE)
    }

    /// Tells whether it adds a layer; one that only shares files does not.
    pub fn adds_layers(&self) -> bool {
        self.dockerfile().is_some() || !self.scripts().is_empty()
    }
}
