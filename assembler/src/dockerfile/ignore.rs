//! `.dockerignore`: which paths of a build context are left out.
//!
//! One pattern a line; the last that fits decides, `!` takes a path back in, and what fits a directory fits all that is
//! in it. `#` at the start of a line makes it a comment.

use super::glob::{Glob, is_pattern};

/// The patterns of one file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    glob: Glob,
    takes_back: bool,
}

impl Ignore {
    /// Reads the file; the error is the line, and the pattern that is none.
    pub(crate) fn read(text: &str) -> Result<Self, (usize, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut ignore = Self::default();
        for (number, line) in text.lines().enumerate() {
            if !line.starts_with('#') {
                ignore.add(line).map_err(|pattern| (number + 1, pattern))?;
            }
        }
        Ok(ignore)
    }

    /// Reads patterns.
    pub(crate) fn of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut ignore = Self::default();
        for pattern in patterns {
            ignore.add(pattern)?;
        }
        Ok(ignore)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let line = line.trim();
        let (takes_back, path) = match line.strip_prefix('!') {
            Some(path) => (true, path.trim()),
            None => (false, line),
        };
        if path.is_empty() {
            return if takes_back {
                Err(line.to_owned())
            } else {
                Ok(())
            };
        }
        let text = clean(path);
        let glob = Glob::of_ignore(&text).ok_or_else(|| line.to_owned())?;
        self.patterns.push(Pattern {
            text,
            glob,
            takes_back,
        });
        Ok(())
    }

    /// Says whether a path is left out.
    pub(crate) fn leaves_out(&self, path: &[u8]) -> bool {
        let mut out = false;
        for pattern in &self.patterns {
            if pattern.takes_back != out {
                continue;
            }
            let ends = path
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'/')
                .map(|(at, _)| at)
                .chain([path.len()]);
            let fits = |end: usize| pattern.glob.matches(path.get(..end).unwrap_or_default());
            if ends.into_iter().any(fits) {
                out = !pattern.takes_back;
            }
        }
        out
    }

    /// Says whether a path is asked for with `!`, though nothing before left it out.
    pub(crate) fn asks_for(&self, path: &[u8]) -> bool {
        let fits = |pattern: &&Pattern| pattern.glob.matches(path);
        let last = self.patterns.iter().rev().find(fits);
        last.is_some_and(|pattern| pattern.takes_back)
    }

    /// Says whether something below a directory that is left out may be taken back in.
    pub(crate) fn may_take_back_below(&self, directory: &[u8]) -> bool {
        let below = [directory, b"/"].concat();
        self.patterns.iter().any(|pattern| {
            pattern.takes_back
                && (is_pattern(&pattern.text) || pattern.text.as_bytes().starts_with(&below))
        })
    }

    /// Says whether there is no pattern.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

/// Takes `./`, `//` and the leading slash off; `..` at the beginning stays, and fits nothing.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") => parts.push(part),
                Some(_) => drop(parts.pop()),
                None if path.starts_with('/') => {}
                None => parts.push(part),
            },
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let ignore = Ignore::read(
            "# comment\n\n*.md\n!README.md\n/node_modules/\n**/*.tmp\nout\n!out/keep\nout/keep/x\n",
        )
        .unwrap();
        for (path, out) in [
            ("a.md", true),
            ("README.md", false),
            ("d/a.md", false),
            ("node_modules", true),
            ("node_modules/a/b", true),
            ("a/b.tmp", true),
            ("b.tmp", true),
            ("out/a", true),
            ("out/keep", false),
            ("out/keep/y", false),
            ("out/keep/x", true),
            ("# comment", false),
        ] {
            assert_eq!(ignore.leaves_out(path.as_bytes()), out, "{path}");
        }
        assert!(ignore.may_take_back_below(b"out"));
        assert!(!ignore.may_take_back_below(b"node_modules"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        assert_eq!(Ignore::read("#\nok\n[x\n"), Err((3, "[x".to_owned())));
        assert_eq!(Ignore::read("!\n"), Err((1, "!".to_owned())));
    }

    #[test]
    fn what_leads_out_of_the_directory_fits_nothing_in_it() {
        for (pattern, out) in [
            ("../foo", false),
            ("a/../../foo", false),
            ("a/../foo", true),
            ("/../foo", true),
            ("foo/", true),
        ] {
            let ignore = Ignore::read(pattern).unwrap();
            assert_eq!(ignore.leaves_out(b"foo"), out, "{pattern}");
        }
    }
}
