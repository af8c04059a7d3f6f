//! `aicage --config …`, as the Python program has it, turned into `aicage config …`.
//!
//! Invariant: only where `--config` is the first word; after an agent it is the agent's.

use std::ffi::OsString;

/// Turns the older form into the one form; what has no counterpart comes back as the words that do the same.
pub fn older_config(arguments: Vec<OsString>) -> Result<Vec<OsString>, String> {
    if arguments.get(1).is_none_or(|first| first != "--config") {
        return Ok(arguments);
    }
    let words: Option<Vec<&str>> = arguments.iter().skip(2).map(|word| word.to_str()).collect();
    let new: Vec<String> = match words.unwrap_or_default().as_slice() {
        [] | ["info" | "print"] | ["info" | "print", "global" | "tree"] => {
            ["config", "show", "--origin"].map(str::to_owned).to_vec()
        }
        ["remove"] => removal("project", "agents"),
        ["remove", place @ ("global" | "tree"), agent] => {
            removal(place, &format!("agents.{agent}"))
        }
        ["remove", agent] => removal("project", &format!("agents.{agent}")),
        [place @ ("global" | "tree"), rest @ ..] => {
            let agent = rest.last().copied().unwrap_or("AGENT");
            let scope = scope_of(place);
            return Err(format!(
                "`--config {place}` is `config set --scope {scope}` now, such as `aicage config set --scope {scope} agents.{agent}.base debian`"
            ));
        }
        _ => {
            return Err(
                "`--config` is `config` now: `aicage config show --origin`, `aicage config unset agents.AGENT`"
                    .to_owned(),
            );
        }
    };
    let program = arguments.into_iter().take(1);
    Ok(program.chain(new.into_iter().map(OsString::from)).collect())
}

fn scope_of(place: &str) -> &str {
    if place == "global" { "user" } else { place }
}

fn removal(place: &str, key: &str) -> Vec<String> {
    ["config", "unset", "--scope", scope_of(place), key]
        .map(str::to_owned)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: Result<&str, &str>) {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        match (older_config(words(typed)), expected) {
            (Ok(new), Ok(expected)) => assert_eq!(new, words(expected), "{typed}"),
            (Err(said), Err(part)) => assert!(said.contains(part), "{typed}: {said}"),
            (got, _) => panic!("{typed}: {got:?}"),
        }
    }

    #[test]
    fn the_forms_of_the_python_program_do_what_they_did_or_name_the_new_one() {
        for typed in [
            "--config",
            "--config info",
            "--config print",
            "--config info tree",
        ] {
            check(
                &format!("aicage {typed}"),
                Ok("aicage config show --origin"),
            );
        }
        check(
            "aicage --config remove codex",
            Ok("aicage config unset --scope project agents.codex"),
        );
        check(
            "aicage --config remove global codex",
            Ok("aicage config unset --scope user agents.codex"),
        );
        check(
            "aicage --config tree codex",
            Err("aicage config set --scope tree agents.codex.base debian"),
        );
        check("aicage --config what", Err("aicage config show --origin"));
        check(
            "aicage codex --config model=o3",
            Ok("aicage codex --config model=o3"),
        );
    }
}
