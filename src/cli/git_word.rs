//! `--git on` as two words, as people type it, turned into the one word that is parsed.
//!
//! Invariant: the agent after a bare `--git` is not taken for its value, and what follows the agent's name is the agent's.

use std::ffi::OsString;

use super::grammar::{Options, Takes};

/// Joins `--git` and the `on` or `off` after it.
pub fn join_git(arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.iter().all(|word| word != "--git") {
        return arguments;
    }
    let mut options = Options::ours();
    let mut joined: Vec<OsString> = Vec::with_capacity(arguments.len());
    let mut rest = arguments.into_iter().peekable();
    joined.extend(rest.next());
    let mut verb = None;
    while let Some(word) = rest.next() {
        let text = word.to_str().unwrap_or_default().to_owned();
        if text == "--git" {
            let value = rest.next_if(|value| value == "on" || value == "off");
            joined.push(match value {
                Some(value) => format!("--git={}", value.display()).into(),
                None => word,
            });
            continue;
        }
        joined.push(word);
        match (text.as_str(), verb.as_deref()) {
            ("--", _) => break,
            (option, _) if option.starts_with('-') => {
                if options.takes(option) == Some(Takes::Next) {
                    joined.extend(rest.next());
                }
            }
            (name @ ("run" | "shell"), None) => {
                options.add_those_of(name);
                verb = Some(text);
            }
            // A shell has no arguments of its own; its options may follow what it is to be in.
            (_, Some("shell")) => {}
            _ => break,
        }
    }
    joined.extend(rest);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, joined: &str) {
        let words = typed.split(' ').map(OsString::from).collect();
        let found: Vec<String> = join_git(words)
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        assert_eq!(found.join(" "), joined);
    }

    #[test]
    fn a_bare_git_does_not_swallow_the_agent() {
        check("aicage --git codex on", "aicage --git codex on");
        check("aicage --git off codex", "aicage --git=off codex");
        check("aicage run --git on codex", "aicage run --git=on codex");
        check("aicage codex --git off", "aicage codex --git off");
        check("aicage --git off -- codex", "aicage --git=off -- codex");
        check("aicage -- codex --git off", "aicage -- codex --git off");
        check("aicage run codex --git on", "aicage run codex --git on");
    }

    #[test]
    fn what_other_options_take_is_not_taken_for_the_agent() {
        for options in [
            "--base on",
            "--net none",
            "-it",
            "-itp 80:80",
            "-p80:80",
            "--init",
        ] {
            check(
                &format!("aicage {options} --git off codex"),
                &format!("aicage {options} --git=off codex"),
            );
        }
    }

    #[test]
    fn a_shell_takes_it_like_a_run() {
        check(
            "aicage shell --git on --new codex",
            "aicage shell --git=on --new codex",
        );
        check(
            "aicage shell codex --net none --git on",
            "aicage shell codex --net none --git=on",
        );
    }
}
