//! Extended images that were put together once: agent, base, extensions in order, and the image's name.
//!
//! Format: `~/.aicage/custom/image-extended/<NAME>/image-extended.yml`; the Python program's own,
//! `state/image-extended/state/<tag>/image-extended.yml`, are read too. Invariant: one that cannot be used is left out
//! and named; what a file says counts, not its directory's name.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use assembler::{digest::Digest, reference::ImageReference};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    names,
    settings::Settings,
    yaml::{
        self, YamlError,
        tree::{self, Mapping, Node, Value},
    },
};

/// The file's name.
pub const FILE: &str = "image-extended.yml";
/// The name it may have, too.
const OTHER_FILE: &str = "image-extended.yaml";

/// The longest name of a directory; most file systems take 255 bytes.
const NAME_LIMIT: usize = 200;

/// `image-extended.yml`: an agent's image with extensions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "image-extended.yml")]
pub struct ExtendedImage {
    /// The agent.
    pub agent: String,
    /// The base that the agent runs on.
    pub base: String,
    /// The extensions, in the order in which they are added.
    pub extensions: Vec<String>,
    /// The image's name, `NAME:TAG`.
    pub image_ref: String,
}

/// Why the definition of an extended image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExtendedImageError {
    /// Its file cannot be read or written as YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A value is not allowed.
    #[error("{}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// All that were put together, sorted by name, and what is wrong with others.
#[derive(Debug, Default)]
pub struct ExtendedImages {
    /// Those that can be used.
    pub images: Vec<ExtendedImage>,
    /// Those that cannot: why.
    pub problems: Vec<ExtendedImageError>,
}

impl ExtendedImages {
    /// Reads all of this user; one that aicage wrote goes before one of the Python program with the same name.
    pub fn read(settings: &Settings) -> Self {
        let mut found = Self::default();
        for directory in places(settings) {
            let paths = match subdirectories(&directory) {
                Ok(paths) => paths,
                Err(source) => {
                    let path = directory.clone();
                    found.problems.push(YamlError::Read { path, source }.into());
                    continue;
                }
            };
            for path in paths {
                match ExtendedImage::read(&path) {
                    Ok(Some(image)) if found.named(&image.image_ref).is_none() => {
                        found.images.push(image);
                    }
                    Ok(_) => {}
                    Err(error) => found.problems.push(error),
                }
            }
        }
        found
            .images
            .sort_by(|one, other| one.image_ref.cmp(&other.image_ref));
        found
    }

    /// Returns the one whose image has this name.
    pub fn named(&self, image_ref: &str) -> Option<&ExtendedImage> {
        self.images
            .iter()
            .find(|image| image.image_ref == image_ref)
    }
}

impl ExtendedImage {
    /// Says what the image is made of.
    pub fn parts(&self) -> String {
        format!(
            "{} on {} with {}",
            self.agent,
            self.base,
            self.extensions.join(", ")
        )
    }

    /// Returns the directory in which it is defined.
    pub fn place(&self, settings: &Settings) -> Option<PathBuf> {
        let places = places(settings);
        let mut all = places
            .iter()
            .flat_map(|place| subdirectories(place).unwrap_or_default());
        all.find(|path| self.is_in(path))
    }

    fn is_in(&self, directory: &Path) -> bool {
        matches!(Self::read(directory), Ok(Some(there)) if there.image_ref == self.image_ref)
    }

    /// Reads the definition in `directory`; nothing if there is none.
    fn read(directory: &Path) -> Result<Option<Self>, ExtendedImageError> {
        for name in [FILE, OTHER_FILE] {
            let path = directory.join(name);
            if let Some(image) = yaml::read::<Self>(&path)? {
                return image.checked(&path).map(Some);
            }
        }
        Ok(None)
    }

    fn checked(mut self, path: &Path) -> Result<Self, ExtendedImageError> {
        let refused = |reason: String| ExtendedImageError::Value {
            path: path.to_owned(),
            reason,
        };
        let empty = [("agent", &self.agent), ("base", &self.base)];
        if let Some((key, _)) = empty.iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(refused(format!("`{key}` is empty")));
        }
        if self.extensions.is_empty() {
            return Err(refused("`extensions` is empty".to_owned()));
        }
        let reference = names::chosen_image(&self.image_ref)
            .map_err(|diagnostic| refused(format!("`image_ref`: {}", diagnostic.sentence())))?;
        self.image_ref = reference.familiar();
        Ok(self)
    }

    /// Writes the definition, unless it is there as it is; returns its file. Only one of the same image is replaced.
    pub fn store(
        &self,
        settings: &Settings,
        reference: &ImageReference,
    ) -> Result<PathBuf, ExtendedImageError> {
        let directory = self.directory(&directory(settings), reference);
        let path = directory.join(FILE);
        if matches!(Self::read(&directory), Ok(Some(there)) if there == *self) {
            return Ok(path);
        }
        let mut root = Mapping::default();
        root.set("agent", Node::text(&self.agent));
        root.set("base", Node::text(&self.base));
        root.set("extensions", Node::texts(&self.extensions));
        root.set("image_ref", Node::text(&self.image_ref));
        let text = tree::to_text(&Node::new(Value::Mapping(root)), &path)?;
        let written = || {
            fs_err::create_dir_all(&directory)?;
            let mut file = tempfile::Builder::new()
                .prefix(".new-")
                .tempfile_in(&directory)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            fs_err::File::open(&directory)?.sync_all()
        };
        written().map_err(|source| ExtendedImageError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }

    /// Returns where the image is defined, else a place of its own: names that differ can give one directory.
    fn directory(&self, all: &Path, reference: &ImageReference) -> PathBuf {
        let there = subdirectories(all).unwrap_or_default();
        if let Some(there) = there.into_iter().find(|path| self.is_in(path)) {
            return there;
        }
        let plain = directory_name(reference);
        if matches!(Self::read(&all.join(&plain)), Ok(None)) {
            return all.join(plain);
        }
        let digest = Digest::of(reference.familiar().as_bytes());
        all.join(format!("{plain}-{}", digest.short()))
    }
}

/// Returns where extended images are defined, ours first.
fn places(settings: &Settings) -> [PathBuf; 2] {
    [
        directory(settings),
        settings.state().join("image-extended/state"),
    ]
}

fn directory(settings: &Settings) -> PathBuf {
    settings.custom_roots().custom.join("image-extended")
}

/// Names the directory after the tag; after the whole name where the user chose a repository of their own.
fn directory_name(reference: &ImageReference) -> String {
    let name = reference.familiar();
    let plain = match name.strip_prefix("aicage-extended:") {
        Some(tag) => tag.to_owned(),
        None => name.replace(['/', ':'], "_"),
    };
    match plain.get(..NAME_LIMIT) {
        Some(start) if plain.len() > NAME_LIMIT => {
            format!("{start}-{}", Digest::of(name.as_bytes()).short())
        }
        Some(_) | None => plain,
    }
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_after_the_tag_or_the_whole_name_and_fit_every_file_system() {
        let name = |text: &str| directory_name(&text.parse().unwrap());
        assert_eq!(name("aicage-extended:one-two"), "one-two");
        assert_eq!(name("host:5000/a/b:1"), "host_5000_a_b_1");
        let long = name(&format!("{}:1", "x".repeat(240)));
        let other = name(&format!("{}:2", "x".repeat(240)));
        assert!(long.len() < 255 && long != other, "{long} and {other}");
    }
}
