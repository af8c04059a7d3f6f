//! Patterns of paths: those of `COPY`, and those of `.dockerignore`.
//!
//! `*` and `?` stand for what is within one name, `[a-z]` and `[^a-z]` for one character, `\` takes the meaning away;
//! `**`, only in `.dockerignore`, stands for any number of directories. Paths are bytes, and so are the characters here:
//! a `?` or a class that is to match something outside ASCII matches one byte of it.

/// A pattern, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Any,
    /// `**` and what follows it: nothing, or whole directories.
    Directories,
    /// `**` at the end.
    Rest,
    Class {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
}

impl Glob {
    /// Understands a pattern of `COPY`; nothing if it is not one.
    pub(crate) fn of_copy(pattern: &str) -> Option<Self> {
        Self::read(pattern.as_bytes(), Stars::Single)
    }

    /// Understands a pattern of `.dockerignore`; nothing if it is not one.
    pub(crate) fn of_ignore(pattern: &str) -> Option<Self> {
        Self::read(pattern.as_bytes(), Stars::Double)
    }

    fn read(pattern: &[u8], stars: Stars) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            tokens.push(match first {
                b'*' if stars == Stars::Double && rest.first() == Some(&b'*') => {
                    rest = rest.get(1..).unwrap_or_default();
                    if let Some(after) = rest.strip_prefix(b"/") {
                        rest = after;
                    }
                    if rest.is_empty() {
                        Token::Rest
                    } else {
                        Token::Directories
                    }
                }
                b'*' => Token::Any,
                b'?' => Token::One,
                b'\\' => {
                    let (escaped, after) = rest.split_first()?;
                    rest = after;
                    Token::Byte(*escaped)
                }
                b'[' => {
                    let (token, after) = class(rest)?;
                    rest = after;
                    token
                }
                byte => Token::Byte(*byte),
            });
        }
        Some(Self(tokens))
    }

    /// Says whether a whole path fits.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        // Every place of the path that the tokens so far can lead to: no backtracking, whatever the pattern.
        let mut places = vec![false; path.len() + 1];
        places[0] = true;
        for token in &self.0 {
            let mut next = vec![false; path.len() + 1];
            match token {
                Token::Any | Token::Rest => {
                    let mut open = false;
                    for at in 0..=path.len() {
                        open |= places[at];
                        next[at] = open;
                        if *token == Token::Any && path.get(at) == Some(&b'/') {
                            open = false;
                        }
                    }
                }
                Token::Directories => {
                    let mut open = false;
                    for at in 0..=path.len() {
                        let behind_slash = at > 0 && path[at - 1] == b'/';
                        next[at] = places[at] || (open && behind_slash);
                        open |= places[at];
                    }
                }
                _ => {
                    for (at, byte) in path.iter().enumerate() {
                        next[at + 1] = places[at] && token.fits(*byte);
                    }
                }
            }
            places = next;
        }
        places[path.len()]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stars {
    Single,
    Double,
}

impl Token {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Byte(expected) => *expected == byte,
            Self::One => byte != b'/',
            Self::Class { negated, ranges } => {
                let inside = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&byte));
                byte != b'/' && inside != *negated
            }
            _ => false,
        }
    }
}

/// Reads a class behind its `[`.
fn class(rest: &[u8]) -> Option<(Token, &[u8])> {
    let (negated, mut rest) = match rest.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty()
            && let Some(after) = rest.strip_prefix(b"]")
        {
            return Some((Token::Class { negated, ranges }, after));
        }
        let low = class_byte(&mut rest)?;
        let high = match rest.strip_prefix(b"-") {
            Some(after) => {
                rest = after;
                class_byte(&mut rest)?
            }
            None => low,
        };
        ranges.push((low, high));
    }
}

fn class_byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    match first {
        b'-' | b']' => None,
        b'\\' => {
            let (escaped, after) = rest.split_first()?;
            *rest = after;
            Some(*escaped)
        }
        byte => Some(*byte),
    }
}

/// Says whether a text has a character that makes it a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_copy_stay_within_a_name() {
        for (pattern, path, fits) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "d/a.txt", false),
            ("d/*", "d/a", true),
            ("d/*/c", "d/b/c", true),
            ("d?", "de", true),
            ("d?", "d/", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("**", "a/b", false),
            ("*a*b*", "xxaxxbxx", true),
        ] {
            let glob = Glob::of_copy(pattern).unwrap();
            assert_eq!(glob.matches(path.as_bytes()), fits, "{pattern} {path}");
        }
        for pattern in ["[", "[]", "[a", "[a-", "\\", "[-a]"] {
            assert!(Glob::of_copy(pattern).is_none(), "{pattern}");
        }
    }

    #[test]
    fn two_stars_reach_any_number_of_directories() {
        for (pattern, path, fits) in [
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "a/bx", false),
            ("a/**/x", "a/x", true),
            ("a/**/x", "a/b/c/x", true),
            ("a/**", "a/b/c", true),
            ("**", "a/b", true),
            ("**/*.go", "a/b.go", true),
        ] {
            let glob = Glob::of_ignore(pattern).unwrap();
            assert_eq!(glob.matches(path.as_bytes()), fits, "{pattern} {path}");
        }
    }
}
