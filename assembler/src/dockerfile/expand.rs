//! Expansion of variables in a word, and taking off its quotes, as `BuildKit`'s shell lexer does it.
//!
//! `$x`, `${x}`, `${x:-y}` `${x-y}`, `${x:+y}` `${x+y}`, `${x:?y}` `${x?y}`, `${x#p}` `${x##p}`, `${x%p}` `${x%%p}`,
//! `${x/p/y}` `${x//p/y}`; in patterns `*` and `?`. Single quotes keep all as it is, double quotes all but `$`. A variable
//! that is not set is empty.

/// Where variables come from.
pub(crate) trait Variables {
    /// Returns a variable that is set.
    fn get(&self, name: &str) -> Option<&str>;
}

/// No variables at all.
pub(crate) struct Nothing;

impl Variables for Nothing {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// Expands variables and takes quotes off.
pub(crate) fn word(text: &str, variables: &dyn Variables, escape: char) -> Result<String, String> {
    let mut lexer = Lexer::new(text, variables, escape);
    Ok(lexer.until(None)?.text)
}

/// Expands and then splits at white space that was not quoted.
pub(crate) fn words(
    text: &str,
    variables: &dyn Variables,
    escape: char,
) -> Result<Vec<String>, String> {
    let mut lexer = Lexer::new(text, variables, escape);
    Ok(lexer.until(None)?.finish())
}

/// Expands the content of a here-document, where quotes mean nothing.
pub(crate) fn document(text: &str, variables: &dyn Variables) -> Result<String, String> {
    let mut lexer = Lexer::new(text, variables, '\\');
    lexer.quotes = false;
    Ok(lexer.until(None)?.text)
}

struct Lexer<'a> {
    chars: Vec<char>,
    at: usize,
    variables: &'a dyn Variables,
    escape: char,
    /// Whether quotes mean something.
    quotes: bool,
    /// Whether escapes stay in the text: in patterns.
    raw: bool,
    /// How many substitutions we are in.
    depth: usize,
}

/// How many substitutions may be in each other; nobody writes so many, and each takes of our stack.
const DEPTH: usize = 100;

/// A text, and the words it falls into.
#[derive(Default)]
struct Expanded {
    text: String,
    words: Vec<String>,
    word: String,
}

impl Expanded {
    /// Adds what may separate words.
    fn plain(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() {
                if !self.word.is_empty() {
                    self.words.push(std::mem::take(&mut self.word));
                }
            } else {
                self.word.push(c);
            }
        }
        self.text.push_str(text);
    }

    /// Adds what is part of a word whatever it is.
    fn quoted(&mut self, text: &str) {
        self.word.push_str(text);
        self.text.push_str(text);
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

impl<'a> Lexer<'a> {
    fn new(text: &str, variables: &'a dyn Variables, escape: char) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
            variables,
            escape,
            quotes: true,
            raw: false,
            depth: 0,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    /// Reads to the end, or behind `stop`.
    fn until(&mut self, stop: Option<char>) -> Result<Expanded, String> {
        if self.depth > DEPTH {
            return Err(format!(
                "substitutions are more than {DEPTH} deep in each other"
            ));
        }
        self.depth += 1;
        let result = self.read_until(stop);
        self.depth -= 1;
        result
    }

    fn read_until(&mut self, stop: Option<char>) -> Result<Expanded, String> {
        let mut result = Expanded::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.at += 1;
                return Ok(result);
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    result.plain(&value);
                }
                '\'' if self.quotes => {
                    let value = self.single()?;
                    result.quoted(&value);
                }
                '"' if self.quotes => {
                    let value = self.double()?;
                    result.quoted(&value);
                }
                c if c == self.escape => {
                    self.at += 1;
                    if self.raw {
                        result.quoted(c.encode_utf8(&mut [0; 4]));
                    }
                    if let Some(next) = self.next() {
                        result.quoted(next.encode_utf8(&mut [0; 4]));
                    }
                }
                c => {
                    self.at += 1;
                    result.plain(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
        match stop {
            Some(stop) => Err(format!("`{stop}` is missing")),
            None => Ok(result),
        }
    }

    fn single(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err("a single quote is not closed".to_owned()),
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    fn double(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err("a double quote is not closed".to_owned()),
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) if c == self.escape => {
                    self.at += 1;
                    if self.raw {
                        text.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == self.escape => {
                            self.at += 1;
                            text.push(next);
                        }
                        Some(_) => text.push(c),
                    }
                }
                Some(c) => {
                    self.at += 1;
                    text.push(c);
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(self.variables.get(&name).unwrap_or_default().to_owned());
        }
        self.at += 1;
        match self.peek() {
            None => return Err("`}` is missing".to_owned()),
            Some('{' | '}' | ':') => return Err("`${` begins no substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        let value = self.variables.get(&name).map(ToOwned::to_owned);
        match self.next() {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => {
                let modifier = self.next();
                self.modified(&name, value, (modifier, true))
            }
            Some('/') => self.replaced(&value.unwrap_or_default()),
            modifier => self.modified(&name, value, (modifier, false)),
        }
    }

    fn modified(
        &mut self,
        name: &str,
        value: Option<String>,
        (modifier, empty_is_unset): (Option<char>, bool),
    ) -> Result<String, String> {
        let Some(modifier) = modifier.filter(|modifier| "+-?#%".contains(*modifier)) else {
            let modifier = modifier.map(String::from).unwrap_or_default();
            return Err(format!("`${{{name}{modifier}` is no substitution"));
        };
        let before = std::mem::replace(&mut self.raw, matches!(modifier, '#' | '%'));
        let word = self.until(Some('}'))?.text;
        self.raw = before;
        let there = value
            .as_ref()
            .is_some_and(|value| !(empty_is_unset && value.is_empty()));
        let value = value.unwrap_or_default();
        match modifier {
            '-' | '?' if there => Ok(value),
            '-' => Ok(word),
            '+' if there => Ok(word),
            '+' => Ok(String::new()),
            '?' if word.is_empty() => Err(format!("`{name}` must be set")),
            '?' => Err(format!("{name}: {word}")),
            side => {
                let (word, reach) = match word.strip_prefix(side) {
                    Some(word) => (word, Reach::Longest),
                    None => (word.as_str(), Reach::Shortest),
                };
                let pattern = Pattern::read(word)?;
                let chars: Vec<char> = value.chars().collect();
                let rest = if side == '#' {
                    pattern.without_prefix(&chars, reach)
                } else {
                    pattern.without_suffix(&chars, reach)
                };
                Ok(rest.iter().collect())
            }
        }
    }

    fn replaced(&mut self, value: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        self.at += usize::from(all);
        let before = std::mem::replace(&mut self.raw, true);
        let pattern = Pattern::read(&self.until(Some('/'))?.text)?;
        let replacement = self.until(Some('}'))?.text;
        self.raw = before;
        Ok(pattern.replace(value, &replacement, if all { usize::MAX } else { 1 }))
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        let Some(first) = self.peek() else {
            return name;
        };
        if first.is_ascii_digit() {
            while let Some(c) = self.peek().filter(char::is_ascii_digit) {
                name.push(c);
                self.at += 1;
            }
            return name;
        }
        if "@*#?-$!".contains(first) {
            self.at += 1;
            name.push(first);
            return name;
        }
        while let Some(c) = self.peek().filter(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
            self.at += 1;
        }
        name
    }
}

/// A shell pattern of `*`, `?` and plain characters.
struct Pattern(Vec<Token>);

/// Which of several matches counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Shortest,
    Longest,
}

enum Token {
    Any,
    One,
    Char(char),
}

impl Pattern {
    fn read(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => match chars.next() {
                    Some(c @ ('}' | '/' | '*' | '?' | '\\')) => Token::Char(c),
                    Some(c) => return Err(format!("`\\{c}` is no escape in a pattern")),
                    None => return Err("a pattern ends in `\\`".to_owned()),
                },
                c => Token::Char(c),
            });
        }
        Ok(Self(tokens))
    }

    /// Returns every place where a match that begins at `from` may end, in order.
    fn ends(&self, value: &[char], from: usize) -> Vec<usize> {
        let mut places = vec![from];
        for token in &self.0 {
            places = match token {
                Token::Any => places
                    .first()
                    .map(|first| (*first..=value.len()).collect())
                    .unwrap_or_default(),
                Token::One => places
                    .into_iter()
                    .filter(|at| *at < value.len())
                    .map(|at| at + 1)
                    .collect(),
                Token::Char(c) => places
                    .into_iter()
                    .filter(|at| value.get(*at) == Some(c))
                    .map(|at| at + 1)
                    .collect(),
            };
        }
        places
    }

    fn without_prefix<'a>(&self, value: &'a [char], reach: Reach) -> &'a [char] {
        let ends = self.ends(value, 0);
        let end = if reach == Reach::Longest {
            ends.last()
        } else {
            ends.first()
        };
        value.get(end.copied().unwrap_or(0)..).unwrap_or_default()
    }

    fn without_suffix<'a>(&self, value: &'a [char], reach: Reach) -> &'a [char] {
        let fits = |start: &usize| self.ends(value, *start).last() == Some(&value.len());
        let start = if reach == Reach::Longest {
            (0..=value.len()).find(fits)
        } else {
            (0..=value.len()).rev().find(fits)
        };
        value
            .get(..start.unwrap_or(value.len()))
            .unwrap_or_default()
    }

    fn replace(&self, value: &str, by: &str, most: usize) -> String {
        let value: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut at = 0;
        let mut done = 0;
        while at <= value.len() {
            let end = self.ends(&value, at).last().copied();
            match end {
                Some(end) if done < most && (end > at || done == 0) => {
                    result.push_str(by);
                    done += 1;
                    if end == at {
                        result.extend(value.get(at));
                        at += 1;
                    } else {
                        at = end;
                    }
                }
                _ => {
                    result.extend(value.get(at));
                    at += 1;
                }
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Some2;

    impl Variables for Some2 {
        fn get(&self, name: &str) -> Option<&str> {
            match name {
                "x" => Some("foobarfoo"),
                "e" => Some(""),
                "s" => Some("a  b"),
                "1" => Some("one"),
                _ => None,
            }
        }
    }

    #[test]
    fn words_are_expanded_as_docker_does() {
        for (text, expanded) in [
            ("$x", "foobarfoo"),
            ("${x}y", "foobarfooy"),
            ("$x-$u-", "foobarfoo--"),
            (r"\$x", "$x"),
            ("'$x'", "$x"),
            ("\"$x\"", "foobarfoo"),
            (r#""\$x\a""#, r"$x\a"),
            ("${u:-d}", "d"),
            ("${e:-d}", "d"),
            ("${e-d}", ""),
            ("${u-d$x}", "dfoobarfoo"),
            ("${x:+d}", "d"),
            ("${e:+d}", ""),
            ("${e+d}", "d"),
            ("${x:?no}", "foobarfoo"),
            ("${x#f*o}", "obarfoo"),
            ("${x##f*o}", ""),
            ("${x%f*o}", "foobar"),
            ("${x%%f*o}", ""),
            ("${x%foo}", "foobar"),
            ("${x#bar}", "foobarfoo"),
            ("${x/foo/X}", "Xbarfoo"),
            ("${x//foo/X}", "XbarX"),
            ("${x//o/}", "fbarf"),
            ("${x/b?r/-}", "foo-foo"),
            ("${u:-${x%foo}}", "foobar"),
            ("$", "$"),
            ("a$ b", "a$ b"),
            ("$1", "one"),
            (r"a\\b", r"a\b"),
            ("it's ok'", "its ok"),
        ] {
            assert_eq!(word(text, &Some2, '\\').as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn mistakes_are_said() {
        for text in [
            "${x",
            "${}",
            "${:x}",
            "'a",
            "\"a",
            "${u:?need}",
            "${u?}",
            "${x^}",
            "${x:=a}",
            "${x#\\a}",
        ] {
            assert!(word(text, &Some2, '\\').is_err(), "{text}");
        }
        assert_eq!(
            word("${u:?set it}", &Some2, '\\'),
            Err("u: set it".to_owned())
        );
    }

    #[test]
    fn words_split_after_expansion_unless_quoted() {
        assert_eq!(
            words("$s \"$s\" c\\ d", &Some2, '\\').unwrap(),
            ["a", "b", "a  b", "c d"]
        );
    }

    #[test]
    fn another_escape_character_leaves_the_backslash_alone() {
        assert_eq!(word("`$x\\a", &Some2, '`').as_deref(), Ok("$x\\a"));
    }

    #[test]
    fn documents_keep_quotes() {
        assert_eq!(
            document("it's \"$e\" \\$x\n", &Some2).as_deref(),
            Ok("it's \"\" $x\n")
        );
    }
}
