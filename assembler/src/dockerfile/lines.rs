//! Lines and words of a Dockerfile, as `BuildKit` splits them.
//!
//! A logical line is one or more physical ones: the escape character at the end of one joins the next to it, and comments
//! and empty lines in between are dropped. A word keeps its quotes and escapes; whoever expands it takes them off.

/// One instruction's text.
#[derive(Debug)]
pub(crate) struct LogicalLine {
    /// Joined, without what surrounds it.
    pub(crate) text: String,
    /// The index of the physical line after it.
    pub(crate) end: usize,
}

impl LogicalLine {
    /// Reads the logical line that begins at physical line `at`.
    pub(crate) fn read(physical: &[&str], at: usize, escape: char) -> Self {
        let mut text = String::new();
        let mut end = at;
        let mut first = true;
        while let Some(line) = physical.get(end) {
            end += 1;
            let line = line.trim_end_matches(['\n', '\r']);
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                if first {
                    break;
                }
                continue;
            }
            let line = if first { line.trim_start() } else { line };
            first = false;
            let Some(part) = continued(line, escape) else {
                text.push_str(line);
                break;
            };
            text.push_str(part);
        }
        Self {
            text: text.trim_end().to_owned(),
            end,
        }
    }

    /// Returns the instruction's name in upper case.
    pub(crate) fn keyword(&self) -> String {
        self.text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase()
    }

    /// Says whether what follows the options is a JSON array.
    pub(crate) fn is_json(&self) -> bool {
        let mut rest = self.text.as_str();
        let after_word = |rest: &mut &str| match rest.split_once(char::is_whitespace) {
            Some((_, after)) => *rest = after.trim_start(),
            None => *rest = "",
        };
        after_word(&mut rest);
        while rest.starts_with("--") {
            after_word(&mut rest);
        }
        rest.starts_with('[') && serde_json::from_str::<Vec<String>>(rest).is_ok()
    }
}

/// Joins the physical lines of one instruction's text.
pub(crate) fn join(text: &str, escape: char) -> String {
    // What looks like a comment is none behind the instruction's name.
    let marked = format!("-{text}");
    let physical: Vec<&str> = marked.split_inclusive('\n').collect();
    let mut joined = LogicalLine::read(&physical, 0, escape).text;
    joined.remove(0);
    joined
}

/// Returns a line without its escape character, if it goes on.
fn continued(line: &str, escape: char) -> Option<&str> {
    line.trim_end_matches([' ', '\t']).strip_suffix(escape)
}

/// Splits at white space outside of quotes; quotes and escapes stay.
pub(crate) fn split_words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            // One at the very end escapes nothing.
            if let Some(next) = chars.next() {
                word.push(c);
                word.push(next);
            }
            continue;
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Takes quotes and backslashes off a word.
pub(crate) fn unquote(word: &str) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == '\\' && quote != Some('\'') => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    plain
}

/// Splits the fields of an option such as `--mount=`, where a field may be quoted as in CSV.
pub(crate) fn split_fields(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut remaining = quoted;
            loop {
                let (part, after) = remaining.split_once('"')?;
                field.push_str(part);
                let Some(after_escaped) = after.strip_prefix('"') else {
                    remaining = after;
                    break;
                };
                field.push('"');
                remaining = after_escaped;
            }
            fields.push(field);
            rest = remaining;
            if rest.is_empty() {
                return Some(fields);
            }
            rest = rest.strip_prefix(',')?;
        } else {
            let Some((field, after)) = rest.split_once(',') else {
                fields.push(rest.to_owned());
                return Some(fields);
            };
            fields.push(field.to_owned());
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_are_joined_without_comments_and_empty_lines() {
        let text = "apt-get update && \\\n    # why\n\n  apt-get install -y \\  \n  make\nUSER x\n";
        assert_eq!(
            join(text, '\\'),
            "apt-get update &&   apt-get install -y   make"
        );
        assert_eq!(join("a `\nb\n", '`'), "a b");
    }

    #[test]
    fn words_keep_their_quotes() {
        assert_eq!(
            split_words(r#"A="b c" D='e "f' g\ h "" "#, '\\'),
            [r#"A="b c""#, r#"D='e "f'"#, r"g\ h", r#""""#]
        );
        assert_eq!(unquote(r#"a"b c"'d\e'\f"#), r"ab cd\ef");
    }

    #[test]
    fn fields_may_be_quoted_as_in_csv() {
        assert_eq!(
            split_fields(r#"type=bind,"source=a,b",ro"#).unwrap(),
            ["type=bind", "source=a,b", "ro"]
        );
        assert_eq!(split_fields(r#""a""b""#).unwrap(), ["a\"b"]);
        assert!(split_fields("\"open").is_none());
    }
}
