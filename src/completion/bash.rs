//! Bash, which takes words apart at `:` and `=`: it sends its whole line, and gets back only what follows the last of these.

use std::{ffi::OsString, io, path::Path};

use clap_complete::env::EnvCompleter;

/// By which name it asks.
pub(super) const NAME: &str = "bash";

/// Asks with the line up to the cursor.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is(&self, name: &str) -> bool {
        name == NAME
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn io::Write,
    ) -> io::Result<()> {
        let script = r#"_NAME() {
    local IFS=$'\n'
    COMPREPLY=( $(VAR=bash COMPLETER -- "${COMP_LINE:0:COMP_POINT}" 2> /dev/null) )
    if [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[=/:] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
complete -o bashdefault -o default -F _NAME BIN
"#
        .replace("COMPLETER", completer)
        .replace("NAME", name)
        .replace("VAR", var)
        .replace("BIN", bin);
        buf.write_all(script.as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut clap::Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn io::Write,
    ) -> io::Result<()> {
        let current = args.last().cloned().unwrap_or_default();
        let current = current.to_string_lossy();
        let last = current.rfind([':', '=']).map_or(0, |at| at + 1);
        let before = current.get(..last).unwrap_or_default();
        let index = args.len().saturating_sub(1);
        let found = clap_complete::engine::complete(cmd, args, index, current_dir)?;
        for candidate in found {
            let value = candidate.get_value().to_string_lossy();
            let rest = value.strip_prefix(before).unwrap_or(&value);
            writeln!(buf, "{rest}")?;
        }
        Ok(())
    }
}

/// Takes the line that stands after `--` apart into words, as a shell does; the last one is being typed.
pub(super) fn split(arguments: &[OsString]) -> Vec<OsString> {
    let at = arguments.iter().position(|word| word == "--");
    let Some(at) = at else {
        return arguments.to_vec();
    };
    let (before, line) = arguments.split_at(at + 1);
    let line = line.first().map(|line| line.to_string_lossy());
    let words = words(line.as_deref().unwrap_or_default());
    before
        .iter()
        .cloned()
        .chain(words.into_iter().map(OsString::from))
        .collect()
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut is_begun = false;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match (quote, character) {
            (Some(end), character) if character == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                is_begun = true;
            }
            (None | Some('"'), '\\') => word.extend(rest.next()),
            (None, ' ' | '\t' | '\n') => {
                if is_begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                is_begun = false;
            }
            (_, character) => word.push(character),
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_a_shell_does_and_the_last_word_is_being_typed() {
        for (line, expected) in [
            ("aicage ", vec!["aicage", ""]),
            (
                "aicage  image rm aicage:co",
                vec!["aicage", "image", "rm", "aicage:co"],
            ),
            (
                r#"aicage --share "/a b" '' /c\ d"#,
                vec!["aicage", "--share", "/a b", "", "/c d"],
            ),
            ("aicage 'un", vec!["aicage", "un"]),
            ("", vec![""]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
