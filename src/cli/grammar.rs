//! The older form `aicage [options] -- <agent> …`, turned into the one form that is parsed.
//!
//! Invariant: arguments are never joined and split again; what the user quoted stays one argument. Which options there
//! are, and which take a value, the command line itself says.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{Arg, Command, CommandFactory as _};

use super::Cli;

/// An option before the `--` of the older form that is none of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The option as it was typed.
    pub option: String,
}

/// Drops the `--` of the older form, when nothing but options stands before it.
///
/// `aicage codex exec -- x` is left alone: there the `--` is the agent's.
pub fn arrange(arguments: Vec<OsString>) -> Result<Vec<OsString>, Refused> {
    match arguments.as_slice() {
        // The Python program's word for it; with anything beside it, `-v` is docker's.
        [program, only] if only == "-v" => return Ok(vec![program.clone(), "-V".into()]),
        all if all.iter().all(|argument| argument != "--") => return Ok(arguments),
        _ => {}
    }
    let options = Options::ours();
    let mut arranged: Vec<OsString> = arguments.iter().take(1).cloned().collect();
    let mut rest = arguments.get(1..).unwrap_or_default().iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            arranged.extend(rest.cloned());
            return Ok(arranged);
        }
        let text = argument.to_str().filter(|text| text.starts_with('-'));
        let Some(text) = text else {
            return Ok(arguments);
        };
        let after = rest.as_slice().first().filter(|next| *next != "--");
        if text == "-h" && after.is_some_and(|next| !starts_with_dash(next)) {
            // Before `--` stands what docker takes, and there this is a name.
            arranged.push("--hostname".into());
            arranged.extend(rest.next().cloned());
            continue;
        }
        arranged.push(argument.clone());
        match options.takes(text) {
            Some(Takes::Next) => arranged.extend(rest.next().cloned()),
            Some(Takes::Nothing) => {}
            None => {
                return Err(Refused {
                    option: text.to_owned(),
                });
            }
        }
    }
    Ok(arguments)
}

fn starts_with_dash(argument: &OsString) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}

/// Whether an option takes the argument after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Next,
    Nothing,
}

/// The options before an agent, by name and by letter.
pub(super) struct Options {
    long: BTreeMap<String, Takes>,
    short: BTreeMap<char, Takes>,
}

impl Options {
    pub(super) fn ours() -> Self {
        // What clap adds by itself when it parses.
        let long =
            BTreeMap::from(["help", "version"].map(|name| (name.to_owned(), Takes::Nothing)));
        let short = BTreeMap::from(['h', 'V'].map(|letter| (letter, Takes::Nothing)));
        let mut ours = Self { long, short };
        ours.add(&Cli::command());
        ours
    }

    /// Adds the options that a verb has beside them.
    pub(super) fn add_those_of(&mut self, verb: &str) {
        if let Some(verb) = Cli::command().find_subcommand(verb) {
            self.add(verb);
        }
    }

    fn add(&mut self, command: &Command) {
        for argument in command.get_arguments() {
            let takes = takes(argument);
            let names = argument.get_long_and_visible_aliases().unwrap_or_default();
            let hidden = argument.get_aliases().unwrap_or_default();
            self.long.extend(
                names
                    .into_iter()
                    .chain(hidden)
                    .map(|name| (name.to_owned(), takes)),
            );
            let letters = argument.get_short_and_visible_aliases().unwrap_or_default();
            self.short
                .extend(letters.into_iter().map(|letter| (letter, takes)));
        }
    }

    /// Tells what an argument that begins with a dash takes; `None` if it is no option of ours.
    pub(super) fn takes(&self, text: &str) -> Option<Takes> {
        if let Some(name) = text.strip_prefix("--") {
            return match name.split_once('=') {
                Some((name, _)) => self.long.get(name).map(|_| Takes::Nothing),
                None => self.long.get(name).copied(),
            };
        }
        let mut letters = text.chars().skip(1);
        letters.clone().next()?;
        while let Some(letter) = letters.next() {
            match self.short.get(&letter)? {
                Takes::Nothing => {}
                // The rest of the word is the value, if there is any.
                Takes::Next if letters.next().is_some() => return Some(Takes::Nothing),
                Takes::Next => return Some(Takes::Next),
            }
        }
        Some(Takes::Nothing)
    }
}

fn takes(argument: &Arg) -> Takes {
    if argument.get_action().takes_values() && !argument.is_require_equals_set() {
        Takes::Next
    } else {
        Takes::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &[&str], parsed: Result<&[&str], &str>) {
        let words = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>();
        let expected = parsed.map(words).map_err(|option| Refused {
            option: option.to_owned(),
        });
        assert_eq!(arrange(words(typed)), expected);
    }

    #[test]
    fn no_verb_has_a_flag_by_the_name_of_one_that_all_have() {
        use clap::CommandFactory as _;
        let program = crate::cli::Cli::command();
        let of_all: Vec<String> = program
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .map(|argument| argument.get_id().to_string())
            .collect();
        assert!(of_all.contains(&"engine".to_owned()), "{of_all:?}");
        let mut verbs: Vec<&clap::Command> = program.get_subcommands().collect();
        while let Some(verb) = verbs.pop() {
            verbs.extend(verb.get_subcommands());
            for argument in verb.get_arguments() {
                let name = argument.get_id().to_string();
                assert!(!of_all.contains(&name), "{}: {name}", verb.get_name());
            }
        }
    }

    #[test]
    fn only_the_dashes_before_an_agent_are_ours() {
        check(
            &["aicage", "--", "codex", "--", "x"],
            Ok(&["aicage", "codex", "--", "x"]),
        );
        check(
            &["aicage", "-e", "A=b c", "--", "codex"],
            Ok(&["aicage", "-e", "A=b c", "codex"]),
        );
        check(
            &["aicage", "codex", "exec", "--", "hello world"],
            Ok(&["aicage", "codex", "exec", "--", "hello world"]),
        );
        check(
            &["aicage", "--base", "--", "codex"],
            Ok(&["aicage", "--base", "--", "codex"]),
        );
        check(&["aicage", "--colour", "--", "codex"], Err("--colour"));
        check(
            &["aicage", "--colour", "codex"],
            Ok(&["aicage", "--colour", "codex"]),
        );
    }

    #[test]
    fn which_options_take_a_value_the_command_line_says() {
        for before in [
            &["-p", "80:80"][..],
            &["-p80:80", "-it", "--rm"],
            &["-itp", "80:80"],
            &["--read-only", "--init=false", "--privileged=word"],
            &["--mount", "type=bind,src=/a,dst=/b", "--name=x"],
            &["--docker-args", "-e A='b c'", "--dry-run"],
            &["-e", "A", "--net", "none", "-v", "/a:/b"],
            &["--base", "debian", "--offline"],
        ] {
            let typed = [&["aicage"], before, &["--", "codex", "x"]].concat();
            let parsed = [&["aicage"], before, &["codex", "x"]].concat();
            check(&typed, Ok(&parsed));
        }
        for (before, option) in [
            (&["-p80:80", "-q"][..], "-q"),
            (&["-itq", "80:80"], "-itq"),
            (&["--restart=always"], "--restart=always"),
            (&["-"], "-"),
        ] {
            check(
                &[&["aicage"], before, &["--", "codex"]].concat(),
                Err(option),
            );
        }
    }

    /// What the Python program's two versions made of each is in `doc/container-options.md`.
    #[test]
    fn lines_that_the_python_program_took_oddly() {
        for same in [
            &["aicage", "codex", "--help"][..],
            &["aicage", "codex", "--config", "model=o3"],
            &["aicage", "codex", "--docker", "x"],
            &["aicage", "codex", "exec", "--", "hello world"],
            &["aicage", "--dry", "codex"],
            &["aicage", "--menu", "foo", "codex"],
            &["aicage", "-h"],
            &["aicage", "-h", "codex"],
        ] {
            check(same, Ok(same));
        }
        check(
            &["aicage", "-e", "FOO=a b", "--", "codex"],
            Ok(&["aicage", "-e", "FOO=a b", "codex"]),
        );
        check(
            &["aicage", "-h", "myhost", "--", "codex"],
            Ok(&["aicage", "--hostname", "myhost", "codex"]),
        );
        check(
            &["aicage", "-h", "--", "codex"],
            Ok(&["aicage", "-h", "codex"]),
        );
        check(&["aicage", "-v"], Ok(&["aicage", "-V"]));
        check(&["aicage", "--dry", "--", "codex"], Err("--dry"));
        check(&["aicage", "--"], Ok(&["aicage"]));
    }
}
