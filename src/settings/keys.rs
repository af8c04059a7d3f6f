//! The settings by their keys, such as `update.policy`: what kind each is, and how its value is written in words.
//!
//! Invariant: the keys are those of [`Config`], by its schema; each has one environment variable, `AICAGE_` and the key in
//! capitals with `_` for `.`.

use std::{path::Path, sync::OnceLock};

use schemars::schema_for;
use serde_json::{Map, Value};

use super::Config;
use crate::yaml;

/// One setting.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name, such as `update.policy`.
    pub name: String,
    /// What its value is.
    pub kind: Kind,
    /// What it is for, one sentence or more.
    pub description: String,
    /// The values it may have, where there are only a few.
    pub choices: Vec<String>,
    /// What is in force where nothing is set.
    pub default: Value,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Truth,
    /// Several texts.
    List,
    /// A text a name.
    Map,
    /// Several texts a name.
    MapOfLists,
}

impl Key {
    /// Returns the variable that sets it.
    pub fn variable(&self) -> String {
        format!("AICAGE_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// Says in a word or two what its value is.
    pub fn kind_in_words(&self) -> String {
        if !self.choices.is_empty() {
            return self.choices.join(", ");
        }
        match self.kind {
            Kind::Text => "a text",
            Kind::Number => "a number",
            Kind::Truth => "`true` or `false`",
            Kind::List => "a list",
            Kind::Map => "names and texts",
            Kind::MapOfLists => "names and lists",
        }
        .to_owned()
    }

    /// Makes its value of words, as a command line has them.
    pub fn value(&self, words: &[String]) -> Result<Value, String> {
        value_of(self.kind, words)
    }

    /// Makes its value of one text: a list is separated by commas, and what begins with `[` or `{` is YAML.
    pub fn value_of_text(&self, text: &str) -> Result<Value, String> {
        let is_many = matches!(self.kind, Kind::List | Kind::Map | Kind::MapOfLists);
        if !is_many {
            return self.value(&[text.to_owned()]);
        }
        if text.trim_start().starts_with(['[', '{']) {
            return yaml::parse(text.as_bytes(), Path::new(&self.name)).map_err(
                |error| match error {
                    yaml::YamlError::Content { reason, .. } => reason,
                    other => other.to_string(),
                },
            );
        }
        let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        self.value(&words)
    }
}

/// Makes a value of words.
pub fn value_of(kind: Kind, words: &[String]) -> Result<Value, String> {
    let one = || match words {
        [one] => Ok(one),
        _ => Err("it takes one value".to_owned()),
    };
    Ok(match kind {
        Kind::Text => Value::from(one()?.clone()),
        Kind::Number => {
            let word = one()?;
            let whole = word.parse::<i64>().map(Value::from);
            let number = whole.or_else(|_fraction| word.parse::<f64>().map(Value::from));
            number.map_err(|_neither| format!("`{word}` is no number"))?
        }
        Kind::Truth => match one()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Value::from(true),
            "false" | "no" | "off" | "0" => Value::from(false),
            _ => return Err("it is `true` or `false`".to_owned()),
        },
        Kind::List => Value::from(words.to_vec()),
        Kind::Map => Value::Object(
            pairs(words)?
                .map(|(key, value)| (key, Value::from(value)))
                .collect(),
        ),
        Kind::MapOfLists => {
            let mut map = Map::new();
            for (key, value) in pairs(words)? {
                let list = map.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()
                    .expect("it was made one just now")
                    .push(Value::from(value));
            }
            Value::Object(map)
        }
    })
}

fn pairs(words: &[String]) -> Result<impl Iterator<Item = (String, String)>, String> {
    let pairs = words.iter().flat_map(|word| word.split(','));
    let pairs = pairs.map(|pair| {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    });
    Ok(pairs.collect::<Result<Vec<_>, String>>()?.into_iter())
}

/// Returns all settings, sorted by name.
pub fn all() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let schema = schema_for!(Config).to_value();
        let defaults = Config::default().to_value();
        let mut keys = Vec::new();
        collect(&schema, (&schema, &defaults), "", &mut keys);
        keys.sort_by(|one, other| one.name.cmp(&other.name));
        keys
    })
}

/// Returns the setting of this name.
pub fn find(name: &str) -> Result<&'static Key, String> {
    all()
        .iter()
        .find(|key| key.name == name)
        .ok_or_else(|| unknown(name))
}

/// Tells whether `name` has keys below it.
pub fn is_section(name: &str) -> bool {
    all().iter().any(|key| {
        let rest = key.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('.'))
    })
}

fn unknown(name: &str) -> String {
    let near = all()
        .iter()
        .map(|key| (strsim::jaro_winkler(name, &key.name), &key.name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match near {
        Some((_, near)) => format!("there is no setting `{name}`; did you mean `{near}`?"),
        None => format!("there is no setting `{name}`"),
    }
}

fn collect(root: &Value, (schema, default): (&Value, &Value), prefix: &str, keys: &mut Vec<Key>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let name_of = format!("{prefix}{name}");
        let default = default.get(name).unwrap_or(&Value::Null);
        let target = resolved(root, property);
        if target.get("properties").is_some() {
            let prefix = format!("{name_of}.");
            collect(root, (target, default), &prefix, keys);
            continue;
        }
        let description = property.get("description").and_then(Value::as_str);
        keys.push(Key {
            name: name_of,
            kind: kind_of(root, target),
            description: description.unwrap_or_default().replace('\n', " "),
            choices: choices(target),
            default: default.clone(),
        });
    }
}

/// Follows a reference, and takes the one alternative that is not null.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    // Our own types refer to each other a few times at most.
    for _ in 0..8 {
        let alternatives = schema.get("anyOf").and_then(Value::as_array);
        let other = |one: &&Value| one.get("type").and_then(Value::as_str) != Some("null");
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = root.pointer(target.trim_start_matches('#'));
            schema = target.unwrap_or(&Value::Null);
        } else if let Some(one) = alternatives.and_then(|all| all.iter().find(other)) {
            schema = one;
        } else {
            break;
        }
    }
    schema
}

fn kind_of(root: &Value, schema: &Value) -> Kind {
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().find(|kind| *kind != "null"),
        other => other,
    };
    match kind.and_then(Value::as_str) {
        Some("boolean") => Kind::Truth,
        Some("integer" | "number") => Kind::Number,
        Some("array") => Kind::List,
        Some("object") => {
            let of = schema.get("additionalProperties").unwrap_or(&Value::Null);
            match kind_of(root, resolved(root, of)) {
                Kind::List => Kind::MapOfLists,
                _ => Kind::Map,
            }
        }
        _ => Kind::Text,
    }
}

fn choices(schema: &Value) -> Vec<String> {
    let plain = schema.get("enum").and_then(Value::as_array);
    let described = schema.get("oneOf").and_then(Value::as_array);
    let described = described.into_iter().flatten();
    let described = described.filter_map(|one| one.get("const"));
    let words = plain.into_iter().flatten().chain(described);
    words
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn every_setting_has_a_kind_a_description_and_a_variable_of_its_own() {
        let variables: BTreeSet<String> = all().iter().map(Key::variable).collect();
        assert_eq!(variables.len(), all().len(), "two keys have one variable");
        for key in all() {
            assert!(!key.description.is_empty(), "{}", key.name);
            assert!(
                !super::super::variables::TAKEN.contains(&key.variable().as_str()),
                "{} means something else",
                key.variable()
            );
        }
        assert_eq!(
            find("update.policy").unwrap().choices,
            ["ask", "auto", "never"]
        );
        assert_eq!(find("registry.mirrors").unwrap().kind, Kind::MapOfLists);
        assert_eq!(find("update.version_on_host").unwrap().kind, Kind::Truth);
        assert!(is_section("update") && !is_section("upd") && !is_section("default_base"));
        let error = find("update.polcy").unwrap_err();
        assert!(error.contains("did you mean `update.policy`?"), "{error}");
    }

    #[test]
    fn the_guide_has_every_setting_with_its_variable_and_what_it_is_for() {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc/configuration.md");
        let guide = fs_err::read_to_string(guide).unwrap();
        for key in all() {
            let (name, variable) = (&key.name, key.variable());
            let row = guide
                .lines()
                .find(|line| line.starts_with(&format!("| `{name}` | `{variable}` |")));
            let row = row.unwrap_or_else(|| panic!("doc/configuration.md has no row of `{name}`"));
            assert!(
                row.ends_with(&format!("| {} |", key.description)),
                "doc/configuration.md says of `{name}` something else than the program: {}",
                key.description
            );
        }
    }

    #[test]
    fn values_are_what_their_key_takes() {
        let map = value_of(Kind::MapOfLists, &words(&["a=1,b=2", "a=3"])).unwrap();
        assert_eq!(map, serde_json::json!({"a": ["1", "3"], "b": ["2"]}));
        assert!(value_of(Kind::MapOfLists, &words(&["a"])).is_err());
        assert!(value_of(Kind::Text, &words(&["a", "b"])).is_err());
        assert!(value_of(Kind::Truth, &words(&["perhaps"])).is_err());
        assert_eq!(
            value_of(Kind::Number, &words(&["3"])).unwrap(),
            Value::from(3)
        );
        let ca = find("network.ca").unwrap();
        assert_eq!(
            ca.value_of_text("/a, /b").unwrap(),
            serde_json::json!(["/a", "/b"])
        );
        assert_eq!(
            ca.value_of_text("['/a,b']").unwrap(),
            serde_json::json!(["/a,b"])
        );
        assert!(ca.value_of_text("[").is_err());
    }
}
