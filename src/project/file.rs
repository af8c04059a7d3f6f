//! One file of stored choices: what it says of an agent, and how that is changed.
//!
//! Invariant: a key of a wrong type counts as absent and is named once with file and line; only what would make writing
//! lose something is an error.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{ProjectError, StoredAgent, StoredChoice};
use crate::settings::{self, SETTINGS, Scope};
use crate::yaml::{
    self, YamlError,
    tree::{self, Mapping, Node, Value},
};

/// The version of the format; files of the Python program say none.
pub(super) const VERSION: u64 = 1;
/// Our own key: `false` where the extensions stored here are all there are, and none is inherited.
pub(super) const INHERIT: &str = "inherit_extensions";
/// Whether what an extension shares is mounted.
pub(super) const MOUNTED: &str = "extension_mounts";
/// Our own key: what of it was agreed to.
pub(super) const AGREED: &str = "agreed_shares";

/// The keys of an agent.
pub(super) const KEYS: [&str; 8] = [
    "base",
    "extensions",
    "image_ref",
    "docker_args",
    "shares",
    MOUNTED,
    AGREED,
    "mounts",
];

/// A file that may be there.
#[derive(Debug)]
pub(super) struct ProjectFile {
    path: PathBuf,
    /// As it was read.
    before: Mapping,
    root: Mapping,
    /// As it was read, if it has settings of the program.
    bytes: Vec<u8>,
}

/// Whether there are inherited extensions, which what is stored must keep out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inherited {
    Extensions,
    Nothing,
}

/// What one file says of an agent.
pub(super) struct Layer {
    pub(super) agent: StoredAgent,
    /// Whether base and extensions are those stored here, and none is inherited.
    pub(super) stands_alone: bool,
    /// The keys that are said here, with their lines.
    pub(super) lines: BTreeMap<&'static str, u64>,
}

impl ProjectFile {
    /// Reads a file; one that is not there is empty.
    pub(super) fn read(path: &Path) -> Result<Self, ProjectError> {
        let bytes = yaml::read_bytes(path).map_err(|source| ProjectError::Damaged {
            path: path.to_owned(),
            source,
        })?;
        Self::of(bytes.unwrap_or_default(), path)
    }

    /// Reads the text of a file.
    pub(super) fn of(bytes: Vec<u8>, path: &Path) -> Result<Self, ProjectError> {
        let damaged = |source| ProjectError::Damaged {
            path: path.to_owned(),
            source,
        };
        let node = tree::parse(&bytes, path).map_err(damaged)?;
        let line = node.line;
        let root = match node.value {
            Value::Mapping(root) => root,
            Value::Scalar(_) | Value::Sequence(_) => {
                return Err(ProjectError::Shape {
                    path: path.to_owned(),
                    line,
                    key: "the file".to_owned(),
                    expected: "keys and values",
                });
            }
        };
        let version = root.get("version").filter(|node| !node.is_nothing());
        if let Some(version) = version.filter(|node| node.as_number() != Some(VERSION)) {
            let text = version.as_text().map(str::to_owned);
            let number = version.as_number().map(|number| number.to_string());
            return Err(ProjectError::Newer {
                path: path.to_owned(),
                version: number.or(text).unwrap_or_else(|| "unknown".to_owned()),
            });
        }
        let has_settings = root.get(SETTINGS).is_some();
        Ok(Self {
            path: path.to_owned(),
            before: root.clone(),
            root,
            bytes: if has_settings { bytes } else { Vec::new() },
        })
    }

    /// Returns the settings of the program that the file has.
    pub(super) fn settings(&self, scope: &Scope) -> Result<settings::Layer, YamlError> {
        if self.bytes.is_empty() {
            return Ok(settings::Layer::default());
        }
        settings::Layer::of_section((&self.bytes, &self.root), &self.path, scope)
    }

    /// Returns the line of the settings of the program.
    pub(super) fn line_of_settings(&self) -> u64 {
        self.root.line_of(SETTINGS)
    }

    /// Lists the agents that have something to say, right or wrong.
    pub(super) fn names(&self) -> Vec<String> {
        let agents = self.root.get("agents").and_then(Node::as_mapping);
        let names = agents.into_iter().flat_map(Mapping::iter);
        names.map(|(name, _)| name.to_owned()).collect()
    }

    /// Returns all keys for changing them.
    pub(super) fn root_mut(&mut self) -> &mut Mapping {
        &mut self.root
    }

    /// Returns what the file says of `agent`.
    pub(super) fn agent(
        &self,
        agent: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Layer>, ProjectError> {
        let Some(entry) = self.entry(agent)? else {
            return Ok(None);
        };
        let mut reader = Reader {
            path: &self.path,
            place: format!("agents.{agent}"),
            entry,
            warnings,
        };
        let choice = StoredChoice {
            base: reader.text("base"),
            extensions: reader.texts("extensions"),
            image_ref: reader.text("image_ref"),
        };
        let docker_args = reader.text("docker_args");
        let stored = StoredAgent {
            choice,
            docker_args: docker_args.or_else(|| self.older_docker_args().map(str::to_owned)),
            shares: reader.texts("shares"),
            extension_mounts: reader.booleans(MOUNTED),
            agreed_shares: reader.lists(AGREED),
            mounts: reader.booleans("mounts"),
        };
        let stands_alone = entry.get(INHERIT).and_then(Node::as_boolean) == Some(false);
        Ok(Some(Layer {
            agent: stored,
            stands_alone,
            lines: KEYS
                .into_iter()
                .filter(|key| entry.get(key).is_some_and(|node| !node.is_nothing()))
                .map(|key| (key, entry.line_of(key)))
                .collect(),
        }))
    }

    /// Tells whether anything was set that was not there before.
    pub(super) fn is_changed(&self) -> bool {
        self.before != self.root
    }

    /// Says which directory the file is about.
    pub(super) fn set_path(&mut self, directory: &str) {
        if self.root.get("path").is_none() {
            self.root.set("path", Node::text(directory));
        }
    }

    /// Sets what was chosen for `agent`.
    pub(super) fn set(
        &mut self,
        agent: &str,
        choice: &StoredChoice,
        inherited: Inherited,
    ) -> Result<(), ProjectError> {
        let mut entry = self.entry_to_change(agent)?;
        set_text(&mut entry, "base", choice.base.as_deref());
        set_text(&mut entry, "image_ref", choice.image_ref.as_deref());
        if choice.extensions.is_empty() {
            entry.remove("extensions");
        } else {
            entry.set("extensions", Node::texts(&choice.extensions));
        }
        match inherited {
            Inherited::Extensions => entry.set(INHERIT, Node::falsehood()),
            Inherited::Nothing => entry.remove(INHERIT),
        }
        self.change(agent, |there| *there = entry);
        Ok(())
    }

    /// Returns the entry of an agent for changing it.
    pub(super) fn entry_to_change(&mut self, agent: &str) -> Result<Mapping, ProjectError> {
        // Checks the shape, too: what is not understood is not written over.
        let mut entry = self.entry(agent)?.cloned().unwrap_or_default();
        self.hand_down_docker_args(agent, &mut entry)?;
        Ok(entry)
    }

    /// Gives the arguments of the oldest files to the agents that have none, as the Python program does.
    fn hand_down_docker_args(
        &mut self,
        agent: &str,
        entry: &mut Mapping,
    ) -> Result<(), ProjectError> {
        let names = self.agents()?;
        let Some(older) = self.older_docker_args().map(str::to_owned) else {
            return Ok(());
        };
        if names.is_empty() {
            return Ok(());
        }
        let give = |entry: &mut Mapping| {
            let own = entry.get("docker_args").and_then(Node::as_text);
            if own.unwrap_or_default().is_empty() {
                entry.set("docker_args", Node::text(&older));
            }
        };
        for name in &names {
            self.change(name, give);
        }
        if names.iter().any(|name| name == agent) {
            give(entry);
        }
        self.root.remove("docker_args");
        Ok(())
    }

    /// Returns the file's text.
    pub(super) fn to_text(&self) -> Result<String, ProjectError> {
        let root = Node::new(Value::Mapping(self.root.clone()));
        tree::to_text(&root, &self.path).map_err(|source| ProjectError::Damaged {
            path: self.path.clone(),
            source,
        })
    }

    fn entry(&self, agent: &str) -> Result<Option<&Mapping>, ProjectError> {
        let entry = |node: Option<&'_ Node>, key: &str| match node {
            Some(node) if !node.is_nothing() && node.as_mapping().is_none() => {
                Err(ProjectError::Shape {
                    path: self.path.clone(),
                    line: node.line,
                    key: key.to_owned(),
                    expected: "keys and values",
                })
            }
            Some(_) | None => Ok(()),
        };
        let agents = self.root.get("agents");
        entry(agents, "agents")?;
        let node = agents
            .and_then(Node::as_mapping)
            .and_then(|agents| agents.get(agent));
        entry(node, &format!("agents.{agent}"))?;
        Ok(node.and_then(Node::as_mapping))
    }

    /// Lists the agents, if each has an entry.
    fn agents(&self) -> Result<Vec<String>, ProjectError> {
        let names = self.names();
        for name in &names {
            self.entry(name)?;
        }
        Ok(names)
    }

    /// Changes the entry of an agent, which is made if it is not there; its shape was checked.
    pub(super) fn change(&mut self, agent: &str, change: impl FnOnce(&mut Mapping)) {
        let agents = mapping_of(&mut self.root, "agents");
        change(mapping_of(agents, agent));
    }

    /// Files of the first versions had the arguments once for all agents.
    fn older_docker_args(&self) -> Option<&str> {
        self.root.get("docker_args").and_then(Node::as_text)
    }
}

/// Returns the keys and values under `key`; anything else there is replaced by an empty set.
pub(super) fn mapping_of<'a>(parent: &'a mut Mapping, key: &str) -> &'a mut Mapping {
    if parent.get(key).and_then(Node::as_mapping).is_none() {
        parent.set(key, Node::new(Value::Mapping(Mapping::default())));
    }
    match parent.get_mut(key).map(|node| &mut node.value) {
        Some(Value::Mapping(mapping)) => mapping,
        _ => unreachable!("it was set just now"),
    }
}

fn set_text(entry: &mut Mapping, key: &str, value: Option<&str>) {
    match value {
        Some(value) => entry.set(key, Node::text(value)),
        None => entry.remove(key),
    }
}

/// Reads the keys of one agent.
struct Reader<'a> {
    path: &'a Path,
    place: String,
    entry: &'a Mapping,
    warnings: &'a mut Vec<String>,
}

impl<'a> Reader<'a> {
    fn text(&mut self, key: &str) -> Option<String> {
        let node = self.present(key)?;
        let text = node.as_text();
        if text.is_none() {
            self.drop(key, node, "it is not a text");
        }
        text.filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(node) = self.present(key) else {
            return Vec::new();
        };
        let Some(items) = node.as_sequence() else {
            self.drop(key, node, "it is not a list");
            return Vec::new();
        };
        let mut texts: Vec<String> = Vec::new();
        for item in items {
            match item.as_text() {
                Some(text) if !text.is_empty() && !texts.iter().any(|there| there == text) => {
                    texts.push(text.to_owned());
                }
                Some(_) => {}
                None => self.drop(key, item, "one of its items is not a text"),
            }
        }
        texts
    }

    fn booleans(&mut self, key: &str) -> BTreeMap<String, bool> {
        let Some(node) = self.present(key) else {
            return BTreeMap::new();
        };
        let Some(mapping) = node.as_mapping() else {
            self.drop(key, node, "it is not keys and values");
            return BTreeMap::new();
        };
        let mut values = BTreeMap::new();
        for (name, node) in mapping.iter().filter(|(_, node)| !node.is_nothing()) {
            match node.as_boolean() {
                Some(value) => drop(values.insert(name.to_owned(), value)),
                None => self.drop(&format!("{key}.{name}"), node, "it is not true or false"),
            }
        }
        values
    }

    fn lists(&mut self, key: &str) -> BTreeMap<String, Vec<String>> {
        let Some(node) = self.present(key) else {
            return BTreeMap::new();
        };
        let Some(mapping) = node.as_mapping() else {
            self.drop(key, node, "it is not keys and values");
            return BTreeMap::new();
        };
        let mut reader = Reader {
            path: self.path,
            place: format!("{}.{key}", self.place),
            entry: mapping,
            warnings: self.warnings,
        };
        let names = mapping.iter().map(|(name, _)| name);
        names
            .map(|name| (name.to_owned(), reader.texts(name)))
            .collect()
    }

    fn present(&self, key: &str) -> Option<&'a Node> {
        self.entry.get(key).filter(|node| !node.is_nothing())
    }

    fn drop(&mut self, key: &str, node: &Node, why: &str) {
        self.warnings.push(format!(
            "{}:{}: `{}.{key}` is not used: {why}",
            self.path.display(),
            node.line,
            self.place
        ));
    }
}
