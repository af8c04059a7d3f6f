//! Here-documents of `RUN`, taken out before the parser reads the rest.
//!
//! The parser crate knows here-documents of `COPY` and `ADD`, but of `RUN` only one that stands first in its line. So
//! each logical line that is a `RUN` with here-documents gets its `<<` replaced by [`MARK`], and the lines of the
//! documents become comments: every other line keeps its number and every instruction its place.
//!
//! Invariant: the result has as many lines as the text.

use std::{borrow::Cow, collections::BTreeMap};

use super::lines::{self, LogicalLine};

/// Stands for `<<` in what the parser reads.
const MARK: &str = "\u{1}\u{1}";

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heredoc {
    /// The word that ends it, which is also its file's name.
    pub(crate) name: String,
    /// Its lines; tabs that `<<-` drops are still there.
    pub(crate) content: String,
    /// Whether leading tabs are dropped (`<<-`).
    pub(crate) chomp: bool,
}

/// A text without the here-documents of its `RUN`s.
#[derive(Debug)]
pub(crate) struct Extracted<'a> {
    /// What the parser may read.
    pub(crate) text: Cow<'a, str>,
    /// The documents by the line, from 1, of their `RUN`.
    pub(crate) documents: BTreeMap<usize, Vec<Heredoc>>,
}

/// A here-document without an end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unterminated {
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// Takes the here-documents of all `RUN`s out.
pub(crate) fn extract(text: &str, escape: char) -> Result<Extracted<'_>, Unterminated> {
    let physical: Vec<&str> = text.split_inclusive('\n').collect();
    let mut result = String::with_capacity(text.len());
    let mut documents = BTreeMap::new();
    let mut at = 0;
    while at < physical.len() {
        let logical = LogicalLine::read(&physical, at, escape);
        let heads = match logical.keyword().as_str() {
            "RUN" | "COPY" | "ADD" if !logical.is_json() => heads(&logical.text),
            _ => Vec::new(),
        };
        let is_run = logical.keyword() == "RUN";
        for line in physical.get(at..logical.end).unwrap_or_default() {
            if is_run && !heads.is_empty() {
                result.push_str(&line.replace("<<", MARK));
            } else {
                result.push_str(line);
            }
        }
        let mut next = logical.end;
        let mut found = Vec::new();
        for head in heads {
            let (document, after) =
                body(&physical, next, head).map_err(|name| Unterminated { line: at + 1, name })?;
            for line in physical.get(next..after).unwrap_or_default() {
                if is_run {
                    result.push_str(if line.ends_with('\n') { "#\n" } else { "#" });
                } else {
                    result.push_str(line);
                }
            }
            found.push(document);
            next = after;
        }
        if is_run && !found.is_empty() {
            documents.insert(at + 1, found);
        }
        at = next;
    }
    Ok(Extracted {
        text: if documents.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(result)
        },
        documents,
    })
}

/// Puts `<<` back into what the parser gave.
pub(crate) fn unmark(text: &str) -> String {
    text.replace(MARK, "<<")
}

/// Drops the leading tabs of each line.
pub(crate) fn chomp(content: &str) -> String {
    content
        .split_inclusive('\n')
        .map(|line| line.trim_start_matches('\t'))
        .collect()
}

/// Says whether a whole command is one here-document and nothing else.
pub(crate) fn is_only_heredoc(command: &str) -> bool {
    matches!(lines::split_words(command, '\\').as_slice(), [word] if head(word).is_some())
}

/// What announces a here-document.
struct Head {
    name: String,
    chomp: bool,
}

/// Finds the words that announce here-documents.
fn heads(line: &str) -> Vec<Head> {
    if !line.contains("<<") {
        return Vec::new();
    }
    lines::split_words(line, '\\')
        .iter()
        .filter_map(|word| head(word))
        .collect()
}

/// Reads a word such as `<<EOF`, `3<<-"EOF"`.
fn head(word: &str) -> Option<Head> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix("<<")?;
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let name: String = lines::unquote(rest);
    (!name.is_empty()).then_some(Head { name, chomp })
}

fn body(physical: &[&str], from: usize, head: Head) -> Result<(Heredoc, usize), String> {
    let mut content = String::new();
    let mut at = from;
    while let Some(line) = physical.get(at) {
        at += 1;
        let bare = line.strip_suffix('\n').unwrap_or(line);
        let candidate = if head.chomp {
            bare.trim_start_matches('\t')
        } else {
            bare
        };
        if candidate == head.name {
            let document = Heredoc {
                name: head.name,
                content,
                chomp: head.chomp,
            };
            return Ok((document, at));
        }
        content.push_str(line);
    }
    Err(head.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_run_become_comments_and_lines_keep_their_numbers() {
        let text =
            "FROM a\nRUN cat <<EOF >/x && \\\n  cat <<-'B' >/y\none\nEOF\n\ttwo\n\tB\nUSER u\n";
        let extracted = extract(text, '\\').unwrap();
        assert_eq!(
            extracted.text.lines().collect::<Vec<_>>(),
            [
                "FROM a",
                "RUN cat \u{1}\u{1}EOF >/x && \\",
                "  cat \u{1}\u{1}-'B' >/y",
                "#",
                "#",
                "#",
                "#",
                "USER u"
            ]
        );
        let documents = &extracted.documents[&2];
        assert_eq!(documents[0].content, "one\n");
        assert_eq!(
            (&*documents[1].content, documents[1].chomp),
            ("\ttwo\n", true)
        );
        assert_eq!(chomp(&documents[1].content), "two\n");
    }

    #[test]
    fn what_is_no_document_stays_as_it_is() {
        for text in [
            "FROM a\nRUN echo $((1<<2)) \"<<EOF\" <<<word\n",
            "FROM a\nRUN [\"cat\", \"<<EOF\"]\n",
            "FROM a\nCOPY <<EOF /x\nRUN <<B\nEOF\n",
            "FROM a\n# RUN <<EOF\nENV A=<<EOF\n",
        ] {
            let extracted = extract(text, '\\').unwrap();
            assert_eq!(extracted.text, text);
            assert!(extracted.documents.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_document_without_an_end_is_named_with_its_line() {
        let error = extract("FROM a\nRUN <<EOF\nEOFX\n", '\\').unwrap_err();
        assert_eq!((error.line, error.name.as_str()), (2, "EOF"));
    }

    #[test]
    fn only_a_lone_document_is_the_script_itself() {
        assert!(is_only_heredoc("<<EOF"));
        assert!(is_only_heredoc("<<-\"EOF\""));
        assert!(!is_only_heredoc("<<EOF sh"));
        assert!(!is_only_heredoc("sh <<EOF"));
    }
}
