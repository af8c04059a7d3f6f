//! Options that are stored as `docker_args`, as the Python program stores them: for the project, for a tree, for all.
//!
//! Invariant: they are read by the parser that reads the command line; what it does not take is an error that names the
//! file, because an agent without what it was given is worse than one that does not start.

use std::path::PathBuf;

use crate::{diagnostic::Diagnostic, exit_status::ExitStatus};

use super::{Flags, text};

/// One `docker_args` and the file that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The file.
    pub file: PathBuf,
    /// The options, quoted as in a shell.
    pub text: String,
}

/// Reads stored options, the most general first; those nearer to the project win.
pub fn read(agent: &str, all: &[Stored]) -> Result<Flags, Diagnostic> {
    let mut flags = Flags::default();
    for stored in all {
        flags = flags.overridden_by(stored.flags(agent)?);
    }
    Ok(flags)
}

impl Stored {
    /// Reads the options.
    pub fn flags(&self, agent: &str) -> Result<Flags, Diagnostic> {
        let words = text::split(&self.text).map_err(|error| error.to_string());
        words.and_then(|words| Flags::parse(&words)).map_err(|why| {
            let file = self.file.display();
            Diagnostic::new(
                "stored-docker-args",
                ExitStatus::Usage,
                format!("`docker_args` of `{agent}` cannot be used"),
            )
            .caused_by_words(why)
            .fact("file", file.to_string())
            .fact("docker_args", crate::printer::printable(&self.text))
            .hint(
                format!(
                    "correct `docker_args` in {file}, or start once with `--no-stored-options`"
                )
                .as_str(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> Stored {
        Stored {
            file: "/home/me/.aicage/projects/x.yml".into(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_is_nearer_wins() {
        let flags = read(
            "codex",
            &[
                stored("-e 'A=b c' --name far"),
                stored("--name near -e B=1"),
            ],
        )
        .unwrap();
        assert_eq!(
            flags.words(),
            ["--env", "A=b c", "--env", "B=1", "--name", "near"]
        );
    }

    #[test]
    fn what_cannot_be_used_names_file_and_option() {
        for (text, why) in [
            ("-e 'A", "the quote before `A` is not closed"),
            ("--restart=always", "`--restart` has no use here"),
            ("--privileged", "it gives the agent all of this machine"),
            ("-p x", "`x` is no port"),
        ] {
            let error = read("codex", &[stored(text)]).unwrap_err();
            assert!(error.sentence().contains(why), "{}", error.sentence());
            assert_eq!(error.code(), "stored-docker-args");
        }
    }
}
