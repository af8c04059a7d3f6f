//! The older form `aicage [options] -- <agent> …`, turned into the one form that is parsed.
//!
//! Invariant: arguments are never joined and split again; what the user quoted stays one argument.

use std::ffi::{OsStr, OsString};

/// A `docker run` option of the older form that has no counterpart yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The option as it was typed.
    pub option: String,
}

/// Options of ours that take a value in the next argument.
const WITH_VALUE: &[&str] = &[
    "--allow",
    "--deny",
    "--base",
    "--extension",
    "--image-name",
    "--env",
    "-e",
    "--share",
    "--extension-shares",
    "--menu",
    "--progress",
    "--secret",
    "--set",
    "--name",
    "--detach-keys",
];
/// Options of ours without a value.
const WITHOUT_VALUE: &[&str] = &[
    "--git",
    "--git=on",
    "--git=off",
    "--docker",
    "--keep-shares",
    "--no-extensions",
    "--no-extension-shares",
    "--choose",
    "--offline",
    "--update",
    "--no-update",
    "--json",
    "-d",
    "--detach",
    "-h",
    "--help",
    "-V",
    "--version",
];

/// Drops the `--` of the older form, when nothing but options stands before it.
///
/// `aicage codex exec -- x` is left alone: there the `--` is the agent's.
pub fn arrange(arguments: Vec<OsString>) -> Result<Vec<OsString>, Refused> {
    let mut rest = arguments.iter().enumerate().skip(1);
    while let Some((position, argument)) = rest.next() {
        if argument == "--" {
            let mut arranged = arguments.clone();
            arranged.remove(position);
            return Ok(arranged);
        }
        let Some(text) = argument.to_str() else {
            return Ok(arguments);
        };
        if WITH_VALUE.contains(&text) {
            rest.next();
        } else if !text.starts_with('-') {
            return Ok(arguments);
        } else if !is_ours(text)
            && arguments
                .iter()
                .any(|argument| argument == OsStr::new("--"))
        {
            return Err(Refused {
                option: text.to_owned(),
            });
        }
    }
    Ok(arguments)
}

fn is_ours(text: &str) -> bool {
    let name = text.split('=').next().unwrap_or(text);
    WITHOUT_VALUE.contains(&text) || WITH_VALUE.contains(&name) || text.starts_with("-e")
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
        check(
            &["aicage", "--privileged", "--", "codex"],
            Err("--privileged"),
        );
        check(
            &["aicage", "--privileged", "codex"],
            Ok(&["aicage", "--privileged", "codex"]),
        );
    }
}
