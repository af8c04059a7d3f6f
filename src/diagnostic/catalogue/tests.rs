//! What the catalogue must hold, and `doc/errors.md` written of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::every;
use crate::{diagnostic::Diagnostic, exit_status::ExitStatus, printer::Colour};

/// Writes `doc/errors.md`.
fn document() -> String {
    let mut text = String::from(
        "# Exit codes and failures\n\n\
         Generated from the program by `AICAGE_UPDATE=1 cargo test -p aicage errors_md`; a test fails when it differs.\n\n\
         A failure goes to stderr: what could not be done, causes, facts, one hint. With `--json` or `--progress json` it is\n\
         one JSON object with the same words: `schema`, `event` (`error`), `code`, `exit_status`, `message`, `causes`, `facts`,\n\
         `output` (the last lines of a script), `hint`.\n\n\
         ## Exit codes\n\n| code | meaning |\n|---|---|\n",
    );
    for status in ExitStatus::OURS {
        writeln!(text, "| {} | {} |", status.code(), status.meaning()).unwrap();
    }
    text.push_str("| other | the agent's own |\n\n## Failures\n");
    let mut by_code: BTreeMap<&str, Vec<Diagnostic>> = BTreeMap::new();
    for diagnostic in every() {
        by_code
            .entry(diagnostic.code())
            .or_default()
            .push(diagnostic);
    }
    for (code, diagnostics) in &by_code {
        let exit = diagnostics[0].status().code();
        write!(text, "\n### `{code}` (exit code {exit})\n\n```text\n").unwrap();
        let shown: Vec<String> = diagnostics
            .iter()
            .map(|diagnostic| diagnostic.render(100, Colour::Never).join("\n"))
            .collect();
        writeln!(text, "{}\n```", shown.join("\n\n")).unwrap();
    }
    text.push_str("\n## Failures that commands find themselves\n\nTheir words say what was asked for.\n\n| code | exit code |\n|---|---|\n");
    for (code, exits) in codes_of_commands() {
        let exits: Vec<String> = exits.iter().map(u8::to_string).collect();
        writeln!(text, "| `{code}` | {} |", exits.join(" or ")).unwrap();
    }
    text
}

fn source_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// Finds the codes that commands give to constructors of `Diagnostic`, and the statuses they stand with.
fn codes_of_commands() -> BTreeMap<String, BTreeSet<u8>> {
    let mut codes: BTreeMap<String, BTreeSet<u8>> = BTreeMap::new();
    for file in sources(source_root()) {
        if file.starts_with(source_root().join("diagnostic")) {
            continue;
        }
        let text = fs_err::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let calls = [
            "Diagnostic::new(",
            "Diagnostic::of(",
            "Diagnostic::explained(",
        ];
        for rest in text.split("Diagnostic::system(").skip(1) {
            if let Some(code) = literal(rest) {
                codes
                    .entry(code)
                    .or_default()
                    .insert(ExitStatus::Failed.code());
            }
        }
        for rest in calls.iter().flat_map(|call| text.split(call).skip(1)) {
            let Some(code) = literal(rest) else { continue };
            let argument = rest.split(',').nth(1).unwrap_or_default().trim();
            let named = argument.strip_prefix("ExitStatus::");
            let exits = codes.entry(code).or_default();
            match ExitStatus::OURS
                .into_iter()
                .find(|status| named == Some(&format!("{status:?}")))
            {
                Some(status) => exits.extend([status.code()]),
                // Computed before: such a command fails otherwise while offline.
                None => exits.extend([ExitStatus::Failed.code(), ExitStatus::Offline.code()]),
            }
        }
    }
    codes
}

/// Returns a string literal that a text starts with.
fn literal(text: &str) -> Option<String> {
    let text = text.trim_start().strip_prefix('"')?;
    text.split_once('"')
        .map(|(literal, _rest)| literal.to_owned())
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_code_of_the_judgements_has_an_example() {
    let shown: BTreeSet<String> = every().iter().map(|one| one.code().to_owned()).collect();
    for file in sources(&source_root().join("diagnostic")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("from_") {
            continue;
        }
        let text = fs_err::read_to_string(&file).unwrap();
        let calls = ["failed(", "usage(", "system(", "ending(", "not_started("];
        for code in calls
            .iter()
            .flat_map(|call| text.split(call).skip(1))
            .filter_map(literal)
        {
            assert!(
                shown.contains(&code),
                "`{code}` of {name} has no example in the catalogue"
            );
        }
    }
}

#[test]
fn no_failure_speaks_like_a_program() {
    for diagnostic in every() {
        let message = diagnostic.message();
        assert!(!message.ends_with('.'), "a full stop ends: {message}");
        assert!(!message.contains("{ "), "a value is shown raw: {message}");
        for cause in &diagnostic.causes {
            assert_ne!(cause, message, "a cause repeats its failure");
        }
    }
}

#[test]
fn errors_md_is_what_the_program_says() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/errors.md"));
    let document = document();
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for whoever runs this test, not for users"
    )]
    if std::env::var_os("AICAGE_UPDATE").is_some() {
        fs_err::write(path, &document).unwrap();
    }
    let written = fs_err::read_to_string(path).unwrap_or_default();
    let line = document
        .lines()
        .zip(written.lines())
        .position(|(new, old)| new != old);
    assert!(
        document == written,
        "doc/errors.md differs from line {} on; write it anew with AICAGE_UPDATE=1",
        line.map_or(written.lines().count(), |line| line) + 1
    );
}
