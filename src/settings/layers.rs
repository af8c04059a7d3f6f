//! Settings of one place each, and what all of them give together.
//!
//! Invariant: a key that is set in a stronger place counts as a whole, lists and maps too; what stands in a file is
//! checked there, so that a mistake is named with its file and line even where something stronger hides it. A path that
//! is here does not depend on the directory in which the program is started, unless it was typed there after `--set`: a
//! cloned repository would be trusted by the names of its files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Config, Origin, Scope, keys};
use crate::yaml::{
    self, YamlError,
    tree::{self, Mapping, Node},
};

/// The key below which a project's file has settings.
pub const SETTINGS: &str = "settings";

/// What one place sets.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    values: BTreeMap<String, (Value, Origin)>,
}

/// Where each setting comes from; what is not there is a default.
pub type Origins = BTreeMap<String, Origin>;

/// A file with `settings:` among other keys.
#[derive(Deserialize)]
struct Holder {
    #[serde(default)]
    settings: Config,
}

impl Layer {
    /// Reads a file that holds settings and nothing else.
    pub fn of_file(bytes: &[u8], path: &Path, scope: &Scope) -> Result<Self, YamlError> {
        let root = tree::parse(bytes, path)?;
        let Some(mapping) = root.as_mapping().filter(|mapping| !mapping.is_empty()) else {
            // A file of comments sets nothing. Of anything else the typed reader says what is wrong.
            return match root.as_mapping() {
                Some(_) => Ok(Self::default()),
                None => yaml::parse::<Config>(bytes, path).map(|_| Self::default()),
            };
        };
        let config = yaml::parse(bytes, path)?;
        Self::of_config(&config, mapping, (path, scope))
    }

    /// Reads a file that holds settings below `settings:`; `root` is the whole of it.
    pub fn of_section(
        (bytes, root): (&[u8], &Mapping),
        path: &Path,
        scope: &Scope,
    ) -> Result<Self, YamlError> {
        let Some(node) = root.get(SETTINGS).filter(|node| !node.is_nothing()) else {
            return Ok(Self::default());
        };
        let holder: Holder = yaml::parse(bytes, path)?;
        match node.as_mapping() {
            Some(mapping) => Self::of_config(&holder.settings, mapping, (path, scope)),
            None => Ok(Self::default()),
        }
    }

    /// Takes of `config` what `mapping` says.
    pub fn of_config(
        config: &Config,
        mapping: &Mapping,
        (path, scope): (&Path, &Scope),
    ) -> Result<Self, YamlError> {
        let all = config.to_value();
        let mut layer = Self::default();
        layer.take((&all, mapping), "", (path, scope));
        if config.check().is_err() {
            layer.refuse(path)?;
        }
        Ok(layer)
    }

    fn take(&mut self, (all, mapping): (&Value, &Mapping), prefix: &str, place: (&Path, &Scope)) {
        for (name, node) in mapping.iter() {
            let key = format!("{prefix}{name}");
            let Some(value) = all.get(name) else { continue };
            match node.as_mapping() {
                Some(below) if keys::is_section(&key) => {
                    self.take((value, below), &format!("{key}."), place);
                }
                Some(_) | None if keys::is_section(&key) => {}
                Some(_) | None => {
                    let directory = place.0.parent().unwrap_or(Path::new("/"));
                    let value = meant_from(directory, &key, value.clone());
                    let origin = Origin::File {
                        scope: place.1.clone(),
                        path: place.0.to_owned(),
                        line: mapping.line_of(name),
                    };
                    self.values.insert(key, (value, origin));
                }
            }
        }
    }

    /// Names the first value that is not right.
    fn refuse(&self, path: &Path) -> Result<(), YamlError> {
        for (key, (value, origin)) in &self.values {
            if let Err(reason) = checked(key, value) {
                let line = match origin {
                    Origin::File { line, .. } => *line,
                    Origin::Default | Origin::Variable(_) | Origin::Flag => 1,
                };
                return Err(YamlError::Content {
                    path: path.to_owned(),
                    line,
                    reason,
                });
            }
        }
        Ok(())
    }

    /// Sets one key, if that value is right.
    pub fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), String> {
        checked(key, &value)?;
        self.values.insert(key.to_owned(), (value, origin));
        Ok(())
    }

    /// Keeps those keys that `is_kept` picks.
    pub fn retain(&mut self, is_kept: impl Fn(&str, &Value) -> bool) {
        self.values.retain(|key, (value, _)| is_kept(key, value));
    }

    /// Returns the keys with their values and where they are set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.values
            .iter()
            .map(|(key, (value, origin))| (key.as_str(), value, origin))
    }

    /// Tells whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Makes the relative paths in a value mean what they mean in `directory`. Of `oci:` only what begins as a path does is
/// one; else it is a name in a registry.
pub fn meant_from(directory: &Path, key: &str, value: Value) -> Value {
    let absolute = |text: &str| {
        let path = Path::new(text);
        if text.is_empty() || path.is_absolute() || path.starts_with("~") {
            return text.to_owned();
        }
        // `./` and the like are not needed any more.
        let path: PathBuf = directory.join(path).components().collect();
        path.to_string_lossy().into_owned()
    };
    match (key, value) {
        ("network.ca", Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(path) => Value::from(absolute(&path)),
                other => other,
            })
            .collect(),
        ("definitions", Value::String(text)) => Value::from(match text.strip_prefix("oci:") {
            None => absolute(&text),
            Some(layout) if layout.starts_with('.') => format!("oci:{}", absolute(layout)),
            Some(_) => text,
        }),
        (_, value) => value,
    }
}

/// Tells whether a value has a path that means something else in each directory.
pub fn has_relative_path(key: &str, value: &Value) -> bool {
    meant_from(Path::new("/"), key, value.clone()) != *value
}

/// Says what is wrong with one value, if anything is.
pub fn checked(key: &str, value: &Value) -> Result<(), String> {
    let mut all = Config::default().to_value();
    put(&mut all, key, value.clone());
    let config = Config::of_value(all).map_err(|error| format!("`{key}`: {error}"))?;
    config.check()
}

/// Lays places over each other, the weakest first.
pub fn merged<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> (Config, Origins) {
    let mut origins = Origins::new();
    let mut all = None;
    for layer in layers {
        for (key, value, origin) in layer.iter() {
            let all = all.get_or_insert_with(|| Config::default().to_value());
            put(all, key, value.clone());
            origins.insert(key.to_owned(), origin.clone());
        }
    }
    let config = match all {
        Some(all) => Config::of_value(all).expect("each value was read as what its key takes"),
        None => Config::default(),
    };
    (config, origins)
}

/// Puts a value at a key such as `update.policy`.
pub fn put(all: &mut Value, key: &str, value: Value) {
    let mut slot = all;
    for part in key.split('.') {
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot = slot
            .as_object_mut()
            .expect("it is one now")
            .entry(part)
            .or_insert(Value::Null);
    }
    *slot = value;
}

/// Returns the value at a key such as `update.policy`.
pub fn at<'a>(all: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(all, |value, part| value.get(part))
}

/// Makes a tree of a value, for files that are written as trees.
pub fn to_node(value: &Value) -> Option<Node> {
    Some(match value {
        Value::String(text) => Node::text(text),
        Value::Bool(true) => Node::truth(),
        Value::Bool(false) => Node::falsehood(),
        Value::Number(number) => Node::number(&number.to_string()),
        Value::Array(items) => Node::new(tree::Value::Sequence(
            items.iter().filter_map(to_node).collect(),
        )),
        Value::Object(entries) => {
            let mut mapping = Mapping::default();
            for (key, value) in entries {
                if let Some(node) = to_node(value) {
                    mapping.set(key, node);
                }
            }
            Node::new(tree::Value::Mapping(mapping))
        }
        Value::Null => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str, scope: &Scope) -> Result<Layer, YamlError> {
        Layer::of_file(text.as_bytes(), Path::new("/x/config.yml"), scope)
    }

    #[test]
    fn the_stronger_place_counts_key_by_key_and_the_line_is_that_of_the_key() {
        let weak = layer(
            "default_base: alpine\nnetwork:\n  ca: [/a]\nupdate:\n  policy: auto\n",
            &Scope::System,
        );
        let strong = layer(
            "# mine\nnetwork:\n  ca:\n  - /b\nupdate:\n  deadline: 5s\n",
            &Scope::User,
        );
        let (config, origins) = merged([&weak.unwrap(), &strong.unwrap()]);
        assert_eq!(config.default_base, "alpine");
        assert_eq!(config.network.ca, [Path::new("/b")]);
        assert_eq!(config.update.deadline, "5s");
        let shown: Vec<String> = origins
            .iter()
            .map(|(key, origin)| format!("{key}: {origin}"))
            .collect();
        assert_eq!(
            shown,
            [
                "default_base: system, /x/config.yml:1",
                "network.ca: user, /x/config.yml:3",
                "update.deadline: user, /x/config.yml:6",
                "update.policy: system, /x/config.yml:5",
            ]
        );
    }

    #[test]
    fn a_mistake_is_named_with_the_line_it_is_in() {
        for (text, expected) in [
            ("a: b\n", "/x/config.yml:1: unknown key `a`"),
            (
                "default_base: x\nupdate:\n  polcy: auto\n",
                "/x/config.yml:3: unknown key `polcy`; did you mean `policy`?",
            ),
            (
                "default_base: x\nupdate:\n  policy: auto\n  deadline: soon\n",
                "/x/config.yml:4: `update.deadline`: `soon` is not a time span",
            ),
            ("- a\n", "/x/config.yml:1: keys and values are expected"),
        ] {
            let error = layer(text, &Scope::User).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
        for empty in ["", "# nothing\n", "{}\n"] {
            assert!(layer(empty, &Scope::User).unwrap().is_empty(), "{empty:?}");
        }
    }
}
