//! Writes a tree as text.
//!
//! Invariant: what was written is read again and compared before anybody gets it.

use std::path::Path;

use super::{Node, Scalar, Value, parse};
use crate::yaml::YamlError;

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
