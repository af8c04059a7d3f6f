//! An extension's definition: `extension.yml`, and `scripts/*.sh`, a `Dockerfile` or `shares`.

use std::path::Path;

use assembler::definition_files::DefinitionFiles;
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
    pub files: DefinitionFiles,
    /// Where the definition is from.
    pub source: Source,
    scripts: Vec<String>,
    has_dockerfile: bool,
}

/// `extension.yml`: what an extension is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "extension.yml")]
pub struct ExtensionFile {
    /// The extension's name, for people.
    #[serde(deserialize_with = "yaml::text")]
    #[schemars(regex(pattern = r"\S"))]
    pub name: String,
    /// One sentence for people.
    #[serde(deserialize_with = "yaml::text")]
    #[schemars(regex(pattern = r"\S"))]
    pub description: String,
    /// Files and directories of the host that the agent's container gets to see: `HOST` or `HOST:ro`.
    #[serde(default, deserialize_with = "yaml::texts")]
    #[schemars(inner(regex(pattern = r"\S")))]
    pub shares: Vec<String>,
}

impl ExtensionDefinition {
    /// Makes a definition of its files; `directory` is where errors say they are.
    pub fn new(
        id: &str,
        files: DefinitionFiles,
        source: Source,
        directory: &Path,
    ) -> Result<Self, DefinitionError> {
        super::identifier::check(id, directory)?;
        let (path, file) = super::description(&files, directory, "extension")?;
        let settings: ExtensionFile = yaml::parse(&file.content, &path)?;
        let extension = Self {
            id: id.to_owned(),
            scripts: super::scripts_of(&files)?,
            has_dockerfile: files.has(super::DOCKERFILE)?,
            settings,
            files,
            source,
        };
        if !extension.adds_layers() && extension.settings.shares.is_empty() {
            return Err(DefinitionError::Missing {
                directory: directory.to_owned(),
                missing: "scripts/*.sh".to_owned(),
            });
        }
        Ok(extension)
    }

    /// Returns the scripts to run, in order: `scripts/*.sh`.
    pub fn scripts(&self) -> Vec<String> {
        self.scripts.clone()
    }

    /// Tells whether it has a Dockerfile, which is used instead of the scripts.
    pub fn has_dockerfile(&self) -> bool {
        self.has_dockerfile
    }

    /// Tells whether it adds a layer; one that only shares files does not.
    pub fn adds_layers(&self) -> bool {
        self.has_dockerfile || !self.scripts.is_empty()
    }
}
