//! Reads a document into a tree, of the parser's events.
//!
//! Invariant: bounded in depth and in nodes, aliases followed; whoever writes it needs no recursion of ours to be read.

use std::{collections::BTreeMap, path::Path};

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Mapping, Node, Scalar, Value};
use crate::yaml::YamlError;

/// How deep nodes may be nested.
const DEPTH: usize = 40;
/// How many nodes a file may have once its aliases are followed.
const NODES: usize = 20_000;

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
