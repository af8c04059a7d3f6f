//! YAML whose keys are not all known beforehand: read with lines, changed in places, written back.
//!
//! Invariant: what nobody changed keeps its meaning, for readers of YAML 1.1 too: a plain scalar is written plain again,
//! a text that some reader would take for something else is quoted. Comments are lost. What was written is read again
//! and compared before anybody gets it.

mod read;
mod write;

use std::{cmp::Ordering, collections::BTreeMap};

pub use self::{read::parse, write::to_text};

/// A value and where it is written.
#[derive(Clone, Debug)]
pub struct Node {
    /// The line, from 1; 0 for what was not read.
    pub line: u64,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, a number, a truth value or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and their values.
    Mapping(Mapping),
}

/// One word or text, as it was written.
#[derive(Clone, Debug)]
pub struct Scalar {
    text: String,
    /// Whether it was written without quotes, so that it may be something else than text.
    plain: bool,
    /// The line where it stands as a key, from 1; else 0.
    line: u64,
}

/// Keys and their values, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    entries: BTreeMap<Scalar, Node>,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Node {}

/// Quotes around what is text without them mean nothing.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.text, self.is_text()).cmp(&(&other.text, other.is_text()))
    }
}

impl Node {
    /// Makes a text.
    pub fn text(text: &str) -> Self {
        Self::new(Value::Scalar(Scalar::text(text)))
    }

    /// Makes `true`.
    pub fn truth() -> Self {
        Self::unquoted("true")
    }

    /// Makes `false`.
    pub fn falsehood() -> Self {
        Self::unquoted("false")
    }

    /// Makes a number, as it is to be written.
    pub fn number(text: &str) -> Self {
        Self::unquoted(text)
    }

    fn unquoted(text: &str) -> Self {
        Self::new(Value::Scalar(Scalar {
            text: text.to_owned(),
            plain: true,
            line: 0,
        }))
    }

    /// Makes a list of texts.
    pub fn texts(texts: &[String]) -> Self {
        Self::new(Value::Sequence(
            texts.iter().map(|text| Self::text(text)).collect(),
        ))
    }

    /// Makes a node that was not read.
    pub fn new(value: Value) -> Self {
        Self { line: 0, value }
    }

    /// Returns the keys and values, if it has such.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            Value::Scalar(_) | Value::Sequence(_) => None,
        }
    }

    /// Returns the items, if it is a list.
    pub fn as_sequence(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            Value::Scalar(_) | Value::Mapping(_) => None,
        }
    }

    /// Returns the text; a plain number, truth value or nothing is none. `no` and `on` are text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_text() => Some(&scalar.text),
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Returns the truth value; YAML 1.1's `yes`, `no`, `on` and `off` are such, too.
    pub fn as_boolean(&self) -> Option<bool> {
        match self.plain()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// Returns the number, if it is a whole one.
    pub fn as_number(&self) -> Option<u64> {
        self.plain()?.parse().ok()
    }

    /// Tells whether it is nothing.
    pub fn is_nothing(&self) -> bool {
        self.plain()
            .is_some_and(|text| matches!(text, "" | "~" | "null" | "Null" | "NULL"))
    }

    fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.plain => Some(&scalar.text),
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }
}

impl Mapping {
    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.iter()
            .find_map(|(name, node)| (name == key).then_some(node))
    }

    /// Returns the value of a key to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries
            .iter_mut()
            .find_map(|(name, node)| (name.text == key).then_some(node))
    }

    /// Returns the line of a key, from 1; 0 for one that was not read.
    pub fn line_of(&self, key: &str) -> u64 {
        let mut names = self.entries.keys();
        names
            .find(|name| name.text == key)
            .map_or(0, |name| name.line)
    }

    /// Returns keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries
            .iter()
            .map(|(name, node)| (name.text.as_str(), node))
    }

    /// Sets the value of a key.
    pub fn set(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(there) => *there = node,
            None => drop(self.entries.insert(Scalar::text(key), node)),
        }
    }

    /// Removes a key and its value.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|name, _| name.text != key);
    }

    /// Tells whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Scalar {
    /// Tells whether it is text, with quotes or without.
    fn is_text(&self) -> bool {
        !self.plain || is_text(&self.text)
    }

    fn text(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            plain: false,
            line: 0,
        }
    }
}

/// Tells whether YAML 1.2 takes a plain scalar for text.
fn is_text(plain: &str) -> bool {
    let number = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && (number.parse::<f64>().is_ok()
            || number
                .get(..2)
                .is_some_and(|prefix| matches!(prefix, "0x" | "0o")));
    let lower = number.to_ascii_lowercase();
    !is_number
        && !matches!(
            lower.as_str(),
            "" | "~" | "null" | "true" | "false" | ".inf" | ".nan"
        )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Node {
        parse(text.as_bytes(), Path::new("a.yml")).unwrap()
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        let error = parse(text.as_bytes(), Path::new("a.yml")).unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[track_caller]
    fn written(text: &str, expected: &str) {
        let written = to_text(&read(text), Path::new("a.yml")).unwrap();
        assert_eq!(written, expected);
        assert_eq!(read(&written), read(expected), "it is read as it was meant");
    }

    #[test]
    fn what_nobody_changed_keeps_its_meaning() {
        written(
            "b: 1.10\na: {z: [1, '1', \"on\", on], y: {}}\nd: 2026-01-01\nc: []\n",
            "a:\n  y: {}\n  z:\n    - 1\n    - '1'\n    - 'on'\n    - on\nb: 1.10\nc: []\nd: 2026-01-01\n",
        );
        written("a:\nb: ~\n", "a: ~\nb: ~\n");
        written("a: \"x\\ny\\u0007\"\n", "a: \"x\\ny\\u0007\"\n");
        written("a: |\n  two\n  lines\n", "a: \"two\\nlines\\n\"\n");
        written(
            "- - 1\n  - - a: 'it''s'\n",
            "-\n  - 1\n  -\n    -\n      a: 'it''s'\n",
        );
    }

    #[test]
    fn texts_that_some_reader_takes_for_something_else_are_quoted() {
        let words = [
            "yes", "1:30", "~", "-e A=b", "a: b", "#x", "", "a:", "0x1", " a", "ü",
        ];
        let node = Node::texts(&words.map(str::to_owned));
        let text = to_text(&node, Path::new("a.yml")).unwrap();
        assert!(text.lines().all(|line| line.starts_with("- '")), "{text}");
        let again = read(&text);
        let items: Vec<_> = again
            .as_sequence()
            .unwrap()
            .iter()
            .map(Node::as_text)
            .collect();
        assert_eq!(items, words.map(Some));
    }

    #[test]
    fn scalars_are_what_a_reader_expects() {
        let node = read("a: no\nb: 5\nc: 'true'\nd: yes\ne: null\nf: -1.5\ng: 1.2.3\n");
        let mapping = node.as_mapping().unwrap();
        let get = |key: &str| mapping.get(key).unwrap();
        assert_eq!(
            (get("a").as_text(), get("a").as_boolean()),
            (Some("no"), Some(false))
        );
        assert_eq!((get("b").as_text(), get("b").as_number()), (None, Some(5)));
        assert_eq!(
            (get("c").as_text(), get("c").as_boolean()),
            (Some("true"), None)
        );
        assert_eq!((get("d").as_boolean(), get("d").line), (Some(true), 4));
        assert!(get("e").is_nothing() && get("e").as_text().is_none());
        assert_eq!(
            (get("f").as_text(), get("g").as_text()),
            (None, Some("1.2.3"))
        );
    }

    #[test]
    fn aliases_are_followed_within_bounds_and_bad_input_is_named_by_its_line() {
        let node = read("a: &x [one]\nb: *x\n");
        let mapping = node.as_mapping().unwrap();
        assert_eq!(mapping.get("a"), mapping.get("b"));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let item = format!("*a{},", level - 1);
            let line = format!("a{level}: &a{level} [{}]\n", item.repeat(10));
            bomb.push_str(&line);
        }
        refused(&bomb, "a.yml:5: there are more than 20000 values");
        refused("a: 1\na: 2\n", "a.yml:2: the key `a` is there twice");
        refused(
            "a: 1\n---\nb: 2\n",
            "a.yml:1: there is more than one document",
        );
        refused(
            "a: !!python/object:x {}\n",
            "a.yml:1: the tag `!!python/object:x` is not understood",
        );
        refused(
            &("[".repeat(50) + &"]".repeat(50)),
            "a.yml:1: more than 40 levels are nested",
        );
        refused("? [a]\n: b\n", "a.yml:1: a key is not one word");
        assert!(read("").as_mapping().unwrap().is_empty());
        assert!(read("# only a comment\n").as_mapping().unwrap().is_empty());
    }
}
