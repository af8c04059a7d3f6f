//! YAML whose keys are not all known beforehand: read with lines, changed in places, written back.
//!
//! Invariant: what nobody changed keeps its meaning, for readers of YAML 1.1 too: a plain scalar is written plain again,
//! a text that some reader would take for something else is quoted. Comments are lost. What was written is read again
//! and compared before anybody gets it.

use std::{cmp::Ordering, collections::BTreeMap, path::Path};

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::YamlError;

/// How deep nodes may be nested.
const DEPTH: usize = 40;
/// How many nodes a file may have once its aliases are followed.
const NODES: usize = 20_000;

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

/// Reads one document; nothing at all is an empty mapping. `path` is what errors name.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Node, YamlError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_not_utf8| YamlError::Encoding {
        path: path.to_owned(),
    })?;
    let mut builder = Builder::default();
    let mut documents = 0;
    for next in Parser::new_from_str(text) {
        let result = match next {
            Ok((Event::DocumentStart(..), _)) if documents > 0 => {
                Err((0, "there is more than one document".to_owned()))
            }
            Ok((Event::DocumentStart(..), _)) => {
                documents += 1;
                Ok(())
            }
            Ok((event, span)) => {
                let line = span.start.line() as u64;
                builder.event(event, line).map_err(|reason| (line, reason))
            }
            Err(error) => Err((error.marker().line() as u64, error.info())),
        };
        result.map_err(|(line, reason)| YamlError::Content {
            path: path.to_owned(),
            line: line.max(1),
            reason: reason.lines().next().unwrap_or("not valid").to_owned(),
        })?;
    }
    Ok(builder.root.unwrap_or(Node {
        line: 1,
        value: Value::Mapping(Mapping::default()),
    }))
}

/// Writes a tree as text, keys sorted; `path` is what it is meant for.
pub fn to_text(root: &Node, path: &Path) -> Result<String, YamlError> {
    let mut text = String::new();
    write(root, 0, &mut text);
    match parse(text.as_bytes(), path) {
        Ok(again) if again == *root => Ok(text),
        Ok(_) | Err(_) => Err(YamlError::Write {
            path: path.to_owned(),
            reason: "it would not be read as it was meant".to_owned(),
        }),
    }
}

/// Builds nodes of the parser's events, without recursion.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or mapping whose end has not come.
struct Open {
    line: u64,
    anchor: usize,
    /// How many nodes there were before it.
    before: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping(Mapping, Option<Scalar>),
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: u64) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = plain_tag(tag.as_deref(), "str")?;
                let scalar = Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain && !tagged,
                    line: 0,
                };
                let value = Value::Scalar(scalar);
                self.add(Node { line, value }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                plain_tag(tag.as_deref(), "seq")?;
                self.begin(line, anchor, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                plain_tag(tag.as_deref(), "map")?;
                self.begin(line, anchor, Content::Mapping(Mapping::default(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self
                    .open
                    .pop()
                    .expect("the parser closes only what is open");
                let value = match open.content {
                    Content::Sequence(items) => Value::Sequence(items),
                    Content::Mapping(mapping, _) => Value::Mapping(mapping),
                };
                let line = open.line;
                let size = self.nodes - open.before + 1;
                self.add(Node { line, value }, open.anchor, size)
            }
            Event::Alias(id) => {
                let anchored = self.anchors.get(&id).cloned();
                let (node, size) = anchored.ok_or("an alias refers to what it is part of")?;
                self.nodes += size - 1;
                self.add(node, 0, size)
            }
            // What begins and ends streams and documents, and comments.
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: u64, anchor: usize, content: Content) -> Result<(), String> {
        if self.open.len() == DEPTH {
            return Err(format!("more than {DEPTH} levels are nested"));
        }
        self.open.push(Open {
            line,
            anchor,
            before: self.nodes,
            content,
        });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > NODES {
            return Err(format!("there are more than {NODES} values"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping(mapping, key)) => match (key.take(), node.value) {
                (None, Value::Scalar(name)) if mapping.get(&name.text).is_some() => {
                    return Err(format!("the key `{}` is there twice", name.text));
                }
                (None, Value::Scalar(name)) => {
                    *key = Some(Scalar {
                        line: node.line,
                        ..name
                    });
                }
                (None, Value::Sequence(_) | Value::Mapping(_)) => {
                    return Err("a key is not one word".to_owned());
                }
                (Some(name), value) => {
                    let line = node.line;
                    drop(mapping.entries.insert(name, Node { line, value }));
                }
            },
        }
        Ok(())
    }
}

/// Says whether there is the core schema's tag `expected`; any other tag is refused.
fn plain_tag(tag: Option<&Tag>, expected: &str) -> Result<bool, String> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema_tag(expected) => Ok(true),
        Some(tag) => Err(format!("the tag `{}` is not understood", tag.original())),
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

fn write(node: &Node, indent: usize, text: &mut String) {
    match &node.value {
        Value::Scalar(scalar) => {
            scalar_text(scalar, text);
            text.push('\n');
        }
        Value::Sequence(items) if items.is_empty() => text.push_str("[]\n"),
        Value::Mapping(mapping) if mapping.is_empty() => text.push_str("{}\n"),
        Value::Sequence(items) => {
            for item in items {
                pad(indent, text);
                text.push('-');
                below(item, indent + 2, text);
            }
        }
        Value::Mapping(mapping) => {
            for (key, value) in &mapping.entries {
                pad(indent, text);
                scalar_text(key, text);
                text.push(':');
                below(value, indent + 2, text);
            }
        }
    }
}

/// Writes a value after its key or dash: on the same line if it is short, else below.
fn below(node: &Node, indent: usize, text: &mut String) {
    let nested = match &node.value {
        Value::Scalar(_) => false,
        Value::Sequence(items) => !items.is_empty(),
        Value::Mapping(mapping) => !mapping.is_empty(),
    };
    text.push(if nested { '\n' } else { ' ' });
    write(node, indent, text);
}

fn pad(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn scalar_text(scalar: &Scalar, text: &mut String) {
    let content = scalar.text.as_str();
    let one_line = !content.contains(|c: char| {
        c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
    });
    if one_line && (scalar.plain || needs_no_quotes(content)) {
        text.push_str(if content.is_empty() { "null" } else { content });
    } else if one_line {
        text.push('\'');
        text.push_str(&content.replace('\'', "''"));
        text.push('\'');
    } else {
        text.push('"');
        for c in content.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                    text.extend(["\\u", &format!("{:04x}", u32::from(c))]);
                }
                c => text.push(c),
            }
        }
        text.push('"');
    }
}

/// Tells whether every reader of YAML takes `content` without quotes for text.
fn needs_no_quotes(content: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || "/_".contains(c);
    let rest = |c: char| c.is_ascii_alphanumeric() || "/_.-@+~:".contains(c);
    let word = content.to_ascii_lowercase();
    content.starts_with(first)
        && content.chars().all(rest)
        && !content.ends_with(':')
        && !matches!(
            word.as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        )
}

#[cfg(test)]
mod tests {
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
