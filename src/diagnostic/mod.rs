//! Turns errors into words: what could not be done, why, where to look, and one useful next step.
//!
//! Invariant: every variant of every error of the workspace has its own code, exit status and hint, by exhaustive
//! matches in the `from_*` files; an error is rendered once, by `Diagnostic::render` or `Diagnostic::to_json`.

#[cfg(test)]
mod catalogue;
mod from_assembler;
mod from_definition;
mod from_engine;
mod from_layer;
mod from_program;
mod from_registry;
mod from_transport;
mod render;
mod verdict;

use std::{error::Error, io, path::Path};

pub(crate) use from_engine::start_command;

use self::verdict::{Explain, Verdict};
use crate::exit_status::ExitStatus;

/// The most causes that are shown; a longer chain is cut, its last cause kept.
const CAUSE_LIMIT: usize = 8;
/// The most lines of a script's output that are shown.
const EXCERPT_LINES: usize = 20;

/// Why the program failed, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    code: &'static str,
    status: ExitStatus,
    message: String,
    causes: Vec<String>,
    facts: Vec<(&'static str, String)>,
    excerpt: Vec<String>,
    hint: Option<String>,
}

impl Diagnostic {
    /// Starts from words of our own. `code` is what scripts and `doc/errors.md` know the failure by.
    pub fn new(code: &'static str, status: ExitStatus, message: impl Into<String>) -> Self {
        Self {
            code,
            status,
            message: message.into(),
            causes: Vec::new(),
            facts: Vec::new(),
            excerpt: Vec::new(),
            hint: None,
        }
    }

    /// Starts from an error: its words are the message, its sources the causes.
    pub fn of(code: &'static str, status: ExitStatus, error: &dyn Error) -> Self {
        Self::new(code, status, error.to_string()).caused_by(error.source())
    }

    /// Starts from a failure of the operating system: its kind gives the hint.
    pub fn system(code: &'static str, message: impl Into<String>, error: &io::Error) -> Self {
        Self::new(code, ExitStatus::Failed, message)
            .caused_by(Some(error))
            .hint(Verdict::system(code, error).hint.as_deref())
    }

    /// Starts from an error that has a verdict of its own, whose hint is kept.
    pub(crate) fn explained(code: &'static str, status: ExitStatus, error: &dyn Explain) -> Self {
        Self::new(code, status, error.to_string())
            .caused_by(error.source())
            .hint(error.verdict().hint.as_deref())
    }

    /// Adds an error and its sources to the causes; what only repeats the words before it is left out.
    #[must_use]
    pub fn caused_by(mut self, mut source: Option<&dyn Error>) -> Self {
        while let Some(error) = source {
            let words = error.to_string();
            let last = self.causes.last().unwrap_or(&self.message);
            if *last != words && !last.ends_with(&format!(": {words}")) {
                if self.causes.len() == CAUSE_LIMIT {
                    self.causes.pop();
                }
                self.causes.push(words);
            }
            source = error.source();
        }
        self
    }

    /// Adds a cause that is words of our own.
    #[must_use]
    pub fn caused_by_words(mut self, words: impl Into<String>) -> Self {
        self.causes.push(words.into());
        self
    }

    /// Returns the failure as one sentence: the message and its innermost cause.
    pub fn sentence(&self) -> String {
        match self.causes.last() {
            Some(cause) => format!("{}: {cause}", self.message),
            None => self.message.clone(),
        }
    }

    /// Puts new words over a failure: what it kept us from doing. Code, status, facts and hint stay.
    #[must_use]
    pub fn because(message: impl Into<String>, cause: Self) -> Self {
        let mut causes = vec![cause.message];
        causes.extend(cause.causes);
        causes.truncate(CAUSE_LIMIT);
        Self {
            message: message.into(),
            causes,
            ..cause
        }
    }

    /// Gives the failure a code of its own: what it means here is more than what it was.
    #[must_use]
    pub fn coded(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    /// Adds one fact: a name and a value that can be copied.
    #[must_use]
    pub fn fact(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    /// Adds the log that tells more and its last lines.
    #[must_use]
    pub fn log(mut self, path: &Path) -> Self {
        self.excerpt = last_lines(path);
        self.fact("log", path.display().to_string())
    }

    /// Sets the one next step; `None` where there is none that helps.
    #[must_use]
    pub fn hint<'a>(mut self, hint: impl Into<Option<&'a str>>) -> Self {
        if let Some(hint) = hint.into() {
            self.hint = Some(hint.to_owned());
        }
        self
    }

    /// Returns what scripts know the failure by.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns how the program ends for it.
    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// Returns the one next step, where there is one.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the first line: what could not be done.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Returns an error as one sentence: its own words and its innermost cause.
pub fn sentence(error: &dyn Error) -> String {
    const NONE: &str = "";
    Diagnostic::of(NONE, ExitStatus::Failed, error).sentence()
}

/// Reads the end of a log; a log that cannot be read has no lines, because the failure itself matters more.
fn last_lines(path: &Path) -> Vec<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    const TAIL: u64 = 16 << 10;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs_err::File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        // A progress bar redraws its line after a carriage return; what stood there last is what counts.
        .map(|line| line.trim_end().rsplit('\r').next().unwrap_or(line))
        .filter(|line| !line.is_empty())
        .collect();
    let first = lines.len().saturating_sub(EXCERPT_LINES);
    lines
        .iter()
        .skip(first)
        .map(|line| (*line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_a_log_are_shown_as_they_were_seen_last() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("step.log");
        let lines: Vec<String> = (1..=40)
            .map(|line| format!("{line}%\rline {line}\n\n"))
            .collect();
        fs_err::write(&log, lines.concat()).unwrap();
        let lines = last_lines(&log);
        assert_eq!(lines.len(), EXCERPT_LINES);
        assert_eq!(
            (lines[0].as_str(), lines[19].as_str()),
            ("line 21", "line 40")
        );
        assert_eq!(
            last_lines(&directory.path().join("none")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_full_disk_and_a_bad_definition_get_the_hint_that_fits() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let diagnostic = Diagnostic::system("x", "cannot write", &full);
        assert!(
            diagnostic
                .hint
                .is_some_and(|hint| hint.contains("free some space"))
        );
        let error = crate::definition::DefinitionError::Missing {
            directory: "custom/agents/x".into(),
            missing: "agent.yml".to_owned(),
        };
        let expected = error.verdict().hint;
        assert!(expected.is_some(), "the error has a hint");
        let diagnostic = Diagnostic::explained("definition-invalid", ExitStatus::Usage, &error);
        assert_eq!(diagnostic.hint, expected);
    }

    #[test]
    fn a_cause_that_only_repeats_is_left_out() {
        let inner = std::io::Error::other("the disk is full");
        let diagnostic = Diagnostic::new("x", ExitStatus::Failed, "cannot write")
            .caused_by(Some(&inner))
            .caused_by(Some(&inner));
        assert_eq!(diagnostic.causes, ["the disk is full"]);
    }
}
