//! A base's definition: `base.yml` and the scripts that turn its root image into a base image.

use std::path::Path;

use assembler::definition_files::DefinitionFiles;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{DefinitionError, Source};
use crate::{image_source::ImageSource, yaml};

/// A base that agents can be installed on.
#[derive(Clone, Debug)]
pub struct BaseDefinition {
    /// Its name.
    pub id: String,
    /// What `base.yml` says.
    pub settings: BaseFile,
    /// All files of the definition.
    pub files: DefinitionFiles,
    /// Where the definition is from.
    pub source: Source,
    scripts: Vec<String>,
    has_dockerfile: bool,
}

/// `base.yml`: what a base is made from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "base.yml")]
pub struct BaseFile {
    /// The root image: a registry reference, or `oci:`, `oci-archive:`, `docker-archive:`, `rootfs:` or
    /// `docker-daemon:` and where it is.
    #[serde(alias = "root_image", deserialize_with = "from_image")]
    #[schemars(regex(pattern = r"\S"))]
    pub from_image: String,
    /// The distribution, such as `Debian`.
    #[serde(deserialize_with = "yaml::text")]
    #[schemars(regex(pattern = r"\S"))]
    pub base_image_distro: String,
    /// One sentence for people.
    #[serde(deserialize_with = "yaml::text")]
    #[schemars(regex(pattern = r"\S"))]
    pub base_image_description: String,
    /// The architectures it exists for.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    #[serde(deserialize_with = "architectures")]
    pub architectures: Vec<Architecture>,
    /// Accepted for the sake of older files; custom bases are always built here.
    #[serde(default)]
    pub build_local: bool,
}

/// An architecture that images are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

fn from_image<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = yaml::text(deserializer)?;
    match text.parse::<ImageSource>() {
        Ok(_) if text.starts_with("docker://") => Err(D::Error::custom(
            "leave `docker://` out; the name of an image is enough",
        )),
        Ok(_) => Ok(text),
        Err(error) => Err(D::Error::custom(error)),
    }
}

fn architectures<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Architecture>, D::Error> {
    let list = Vec::<Architecture>::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom("`architectures` is empty"));
    }
    match list
        .iter()
        .enumerate()
        .find(|(at, one)| list[..*at].contains(one))
    {
        Some((_, twice)) => Err(D::Error::custom(format!("{} is there twice", twice.name()))),
        None => Ok(list),
    }
}

impl Architecture {
    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl BaseDefinition {
    /// Makes a definition of its files; `directory` is where errors say they are.
    pub fn new(
        id: &str,
        files: DefinitionFiles,
        source: Source,
        directory: &Path,
    ) -> Result<Self, DefinitionError> {
        super::identifier::check(id, directory)?;
        let (path, file) = super::description(&files, directory, "base")?;
        let settings: BaseFile = yaml::parse(&file.content, &path)?;
        Ok(Self {
            id: id.to_owned(),
            scripts: super::scripts_of(&files)?,
            has_dockerfile: files.has(super::DOCKERFILE)?,
            settings,
            files,
            source,
        })
    }

    /// Returns the scripts to run, in order: `scripts/*.sh`.
    pub fn scripts(&self) -> Vec<String> {
        self.scripts.clone()
    }

    /// Tells whether it has a Dockerfile, which is used instead of the scripts.
    pub fn has_dockerfile(&self) -> bool {
        self.has_dockerfile
    }

    /// Tells whether the user wrote it.
    pub fn is_custom(&self) -> bool {
        self.source != Source::BuiltIn
    }

    /// Returns the architectures it exists for, in images' spelling.
    pub fn architectures(&self) -> Vec<&'static str> {
        let architectures = self.settings.architectures.iter();
        architectures
            .map(|architecture| architecture.name())
            .collect()
    }

    /// Returns why there is no such base for `architecture`; `None` when there is.
    pub fn lacks(&self, architecture: &str) -> Option<String> {
        let names = self.architectures();
        (!names.contains(&architecture)).then(|| {
            format!(
                "base `{}` exists for {}, not for {architecture}",
                self.id,
                names.join(" and ")
            )
        })
    }
}
