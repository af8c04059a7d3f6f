//! Changes one key of a file of stored choices, in whatever place: a project, a directory tree, or everywhere.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    ProjectError, Projects,
    file::{AGREED, INHERIT, MOUNTED, ProjectFile, mapping_of},
    file_name, resolved,
};
use crate::{
    settings::{
        Scope,
        keys::{self, Kind},
        layers::to_node,
    },
    whole_file,
    yaml::tree::{Mapping, Node},
};

/// A key of an agent.
#[derive(Debug)]
pub struct AgentKey {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
}

const KEYS: [AgentKey; 8] = [
    AgentKey::of("base", Kind::Text),
    AgentKey::of("extensions", Kind::List),
    AgentKey::of("image_ref", Kind::Text),
    AgentKey::of("docker_args", Kind::Text),
    AgentKey::of("shares", Kind::List),
    AgentKey::of("mounts", Kind::Map),
    AgentKey::of(MOUNTED, Kind::Map),
    AgentKey::of(AGREED, Kind::MapOfLists),
];

impl AgentKey {
    const fn of(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// Returns all of them.
    pub fn all() -> &'static [Self] {
        &KEYS
    }

    /// Returns the one that a person may set.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::settable().find(|key| key.name == name)
    }

    /// Returns those that a person may set.
    pub fn settable() -> impl Iterator<Item = &'static Self> {
        let keys = KEYS.iter();
        keys.filter(|key| !matches!(key.name, "image_ref" | AGREED))
    }

    /// Makes what is written of a value; a map of an agent has `true` and `false`.
    pub fn node(&self, value: &Value) -> Result<Option<Node>, String> {
        let mut value = value.clone();
        if let (Kind::Map, Value::Object(entries)) = (self.kind, &mut value) {
            for (name, value) in entries {
                let word = value.as_str().unwrap_or_default().to_owned();
                *value = keys::value_of(Kind::Truth, &[word])
                    .map_err(|reason| format!("`{name}`: {reason}"))?;
            }
        }
        Ok(to_node(&value))
    }
}

impl Projects {
    /// Returns the file for all projects below `directory`, and the directory as it really is called.
    pub fn tree(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let directory = resolved(directory);
        let path = self.home.join("config/trees").join(file_name(&directory));
        (directory, path)
    }

    /// Returns the file for all projects of this user.
    pub fn everywhere(&self) -> PathBuf {
        self.home.join("config/global.yml")
    }

    /// Sets a key of the file at `path`, which is about `directory`; without a value the key goes.
    pub fn change(
        &self,
        (path, directory): (&Path, &Path),
        keys: &[&str],
        value: Option<Node>,
    ) -> Result<(), ProjectError> {
        let lock = whole_file::lock(&lock_of(path))?;
        let mut file = ProjectFile::read(path)?;
        if let ["agents", agent, _, ..] = keys {
            let entry = file.entry_to_change(agent)?;
            file.change(agent, |there| *there = entry);
        }
        let is_set = value.is_some();
        put(file.root_mut(), keys, value);
        // The image's name belongs to what was chosen. That no extension is inherited belongs to the choice of extensions,
        // which another base leaves as it is.
        if let ["agents", agent, field @ ("base" | "extensions")] = keys {
            put(file.root_mut(), &["agents", agent, "image_ref"], None);
            if *field == "extensions" || !is_set {
                put(file.root_mut(), &["agents", agent, INHERIT], None);
            }
        }
        if is_set {
            file.set_path(&resolved(directory).to_string_lossy());
        }
        self.write(&lock, path, &file)
    }
}

/// Says what is wrong with the text of a file of stored choices; single keys that would not be used come back.
pub fn check(text: &[u8], (path, scope): (&Path, &Scope)) -> Result<Vec<String>, ProjectError> {
    let file = ProjectFile::of(text.to_vec(), path)?;
    let mut warnings = Vec::new();
    for agent in file.names() {
        file.agent(&agent, &mut warnings)?;
    }
    file.settings(scope)
        .map_err(|source| ProjectError::Damaged {
            path: path.to_owned(),
            source,
        })?;
    Ok(warnings)
}

/// Returns the lock for changing a file of stored choices.
pub fn lock_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).join(".lock")
}

/// Sets or removes what is below `keys`; what is empty then goes, too.
fn put(mapping: &mut Mapping, keys: &[&str], value: Option<Node>) {
    match (keys, value) {
        ([], _) => {}
        ([key], Some(value)) => mapping.set(key, value),
        ([key], None) => mapping.remove(key),
        ([key, rest @ ..], value) => {
            if value.is_none() && mapping.get(key).and_then(Node::as_mapping).is_none() {
                return;
            }
            let below = mapping_of(mapping, key);
            put(below, rest, value);
            if below.is_empty() {
                mapping.remove(key);
            }
        }
    }
}
