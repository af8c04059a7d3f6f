//! Changes one key in the text of a YAML file of one or two levels, and leaves the rest as the user wrote it.
//!
//! Invariant: no comment is lost; those inside what is replaced come to stand before it. What is written in another style
//! than block style comes out wrong, so whoever edits reads the result back and holds it against what was meant.

use std::ops::Range;

/// Puts `value`, lines that begin with `name:`, in the place of a top-level key, or of one in a `section`; without a value
/// the key goes.
pub fn set_key(old: &str, (section, name): (Option<&str>, &str), value: Option<&str>) -> String {
    let lines: Vec<&str> = old.lines().collect();
    let value: Vec<&str> = value
        .map(|value| value.lines().collect())
        .unwrap_or_default();
    let Some(section) = section else {
        let place = find(&lines, 0..lines.len(), name);
        return joined(&replaced(&lines, place, &value));
    };
    let Some(block) = find(&lines, 0..lines.len(), section) else {
        let mut new = lines.iter().map(|&line| line.to_owned()).collect();
        if !value.is_empty() {
            append_section(&mut new, section, &value);
        }
        return joined(&new);
    };
    let inside = block.start + 1..block.end;
    let indent = inside
        .clone()
        .find_map(|at| indent_of(lines.get(at)?))
        .filter(|&indent| indent > 0)
        .unwrap_or(2);
    let value: Vec<String> = value
        .iter()
        .map(|line| format!("{}{line}", " ".repeat(indent)))
        .collect();
    let value: Vec<&str> = value.iter().map(String::as_str).collect();
    let place = find(&lines, inside.clone(), name);
    if place.is_none() {
        let mut new: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        let after = block.end;
        new.splice(after..after, value.iter().map(|&line| line.to_owned()));
        return joined(&new);
    }
    let new = replaced(&lines, place, &value);
    let shrunk = lines.len() - block.end;
    let end = new.len() - shrunk;
    let is_empty = !new
        .get(inside.start..end)
        .unwrap_or_default()
        .iter()
        .any(|line| indent_of(line).is_some());
    if is_empty {
        // `section:` alone would be null.
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        return joined(&replaced(&new, Some(block.start..block.start + 1), &[]));
    }
    joined(&new)
}

/// Puts `value` in the place of some lines, or at the end; their comments stay before it.
fn replaced(lines: &[&str], place: Option<Range<usize>>, value: &[&str]) -> Vec<String> {
    let mut new: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    let place = place.unwrap_or(new.len()..new.len());
    let comments = lines.get(place.clone()).unwrap_or_default().iter();
    let mut with: Vec<String> = comments
        .filter_map(|line| {
            let comment = comment_of(line)?;
            let indent = line.len() - line.trim_start().len();
            Some(format!(
                "{}{comment}",
                line.get(..indent).unwrap_or_default()
            ))
        })
        .collect();
    with.extend(value.iter().map(|&line| line.to_owned()));
    new.splice(place, with);
    new
}

fn append_section(lines: &mut Vec<String>, section: &str, value: &[&str]) {
    lines.push(format!("{section}:"));
    lines.extend(value.iter().map(|line| format!("  {line}")));
}

/// Finds a key's lines: its own and those below it, without the comments and empty lines that lead to what follows.
fn find(lines: &[&str], within: Range<usize>, name: &str) -> Option<Range<usize>> {
    let is_key = |line: &str| {
        let line = line.trim_start();
        let rest = line.strip_prefix(name);
        let quoted = |quote: char| {
            line.strip_prefix(quote)
                .and_then(|line| line.strip_prefix(name))
                .and_then(|line| line.strip_prefix(quote))
        };
        rest.or_else(|| quoted('"'))
            .or_else(|| quoted('\''))
            .is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    // Keys of one mapping stand in one column; that of the first is it.
    let column = within.clone().find_map(|at| indent_of(lines.get(at)?))?;
    let start = within.clone().find(|&at| {
        lines
            .get(at)
            .is_some_and(|line| indent_of(line) == Some(column) && is_key(line))
    })?;
    let mut end = start + 1;
    for at in start + 1..within.end {
        let Some(line) = lines.get(at) else { break };
        let Some(indent) = indent_of(line) else {
            continue;
        };
        let is_item = indent == column && line.trim_start().starts_with("- ");
        if indent <= column && !is_item {
            break;
        }
        end = at + 1;
    }
    Some(start..end)
}

/// Returns how far a line with content is indented; nothing for empty lines and comments.
fn indent_of(line: &str) -> Option<usize> {
    let content = line.trim_start();
    let is_content = !content.is_empty() && !content.starts_with('#') && content != "---";
    is_content.then(|| line.len() - content.len())
}

/// Returns the comment of a line: from a `#` at its begin or after a space, outside quotes.
fn comment_of(line: &str) -> Option<&str> {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return line.get(at..),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    None
}

fn joined(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
# mine
default_base: debian # for now
registry:
  # of the company
  mirrors:
# at column 0
    docker.io:
    - https://a # first
  plain_http: []

# when
update:
  check_interval: 1h
";

    #[track_caller]
    fn check(key: (Option<&str>, &str), value: Option<&str>, old: &str, expected: &str) {
        assert_eq!(set_key(old, key, value), expected);
    }

    #[test]
    fn a_key_is_changed_and_the_rest_stays_with_all_comments() {
        check(
            (Some("registry"), "mirrors"),
            Some("mirrors:\n  ghcr.io: []"),
            OLD,
            "\
# mine
default_base: debian # for now
registry:
  # of the company
# at column 0
    # first
  mirrors:
    ghcr.io: []
  plain_http: []

# when
update:
  check_interval: 1h
",
        );
        check(
            (None, "default_base"),
            Some("default_base: fedora"),
            "# mine\ndefault_base: debian # for now\n",
            "# mine\n# for now\ndefault_base: fedora\n",
        );
    }

    #[test]
    fn a_key_that_is_not_there_comes_to_the_end_of_its_section_or_file() {
        check(
            (Some("registry"), "final_repository"),
            Some("final_repository: a/b"),
            "registry:\n    plain_http: []\n\n# when\nupdate: {}\n",
            "registry:\n    plain_http: []\n    final_repository: a/b\n\n# when\nupdate: {}\n",
        );
        check(
            (Some("network"), "ca"),
            Some("ca:\n- x"),
            "# only this",
            "# only this\nnetwork:\n  ca:\n  - x\n",
        );
        check((None, "a"), Some("a: b"), "", "a: b\n");
    }

    #[test]
    fn a_default_takes_the_key_away_and_a_section_that_is_empty_then() {
        check(
            (Some("update"), "check_interval"),
            None,
            "a: b\nupdate:\n  # often\n  check_interval: 1h\nc: d\n",
            "a: b\n  # often\nc: d\n",
        );
        check((Some("update"), "x"), None, "a: b\n", "a: b\n");
    }

    #[test]
    fn lists_in_the_column_of_their_key_belong_to_it() {
        check(
            (Some("network"), "ca"),
            Some("ca: []"),
            "network:\n  ca:\n  - a\n  - b\nx: y\n",
            "network:\n  ca: []\nx: y\n",
        );
    }

    #[test]
    fn a_sign_in_a_value_is_no_comment() {
        assert_eq!(comment_of("a: b#c"), None);
        assert_eq!(comment_of("a: 'b # c' # d"), Some("# d"));
        assert_eq!(comment_of("# x"), Some("# x"));
    }
}
