//! The one rendering of a failure, as text and as JSON, with the same words.

use serde_json::{Value, json};

use super::Diagnostic;
use crate::printer::{Colour, Role, printable, wrap};

impl Diagnostic {
    /// Writes it for people: what could not be done, causes, facts, one hint.
    pub(crate) fn render(&self, width: usize, colour: Colour) -> Vec<String> {
        let label = colour.paint(Role::Error, "error:");
        let mut lines = wrap(&format!("{label} {}", shown(&self.message)), width, "  ");
        for cause in &self.causes {
            let text = format!("  caused by: {}", shown(cause));
            lines.extend(wrap(&text, width, "    "));
        }
        if !self.excerpt.is_empty() {
            lines.push(String::new());
            let excerpt = self
                .excerpt
                .iter()
                .map(|line| format!("  | {}", printable(line)));
            lines.extend(excerpt);
        }
        if !self.facts.is_empty() || self.hint.is_some() {
            lines.push(String::new());
        }
        let name_width = self
            .facts
            .iter()
            .map(|(name, _value)| name.len())
            .max()
            .unwrap_or(0);
        for (name, value) in &self.facts {
            let name = colour.paint(Role::Faint, &format!("{name:name_width$}"));
            lines.push(format!("  {name}   {}", shown(value)));
        }
        if let Some(hint) = &self.hint {
            let label = colour.paint(Role::Hint, "hint:");
            lines.extend(wrap(
                &format!("  {label} {}", shown(hint)),
                width,
                "        ",
            ));
        }
        lines
    }

    /// Writes it for programs.
    pub(crate) fn to_json(&self, schema: &str) -> Value {
        let facts: serde_json::Map<String, Value> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        json!({
            "schema": schema,
            "event": "error",
            "code": self.code,
            "exit_status": self.status.code(),
            "message": self.message,
            "causes": self.causes,
            "facts": facts,
            "output": self.excerpt,
            "hint": self.hint,
        })
    }
}

/// Keeps line ends of messages that have several (a parser's pointer into a file) as spaces, escapes the rest.
fn shown(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    printable(&one_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_status::ExitStatus;

    fn sample() -> Diagnostic {
        let mut diagnostic = Diagnostic::new(
            "script-failed",
            ExitStatus::Failed,
            "cannot build layer `agent codex`",
        )
        .fact("log", "/home/me/.aicage/logs/codex.log")
        .hint("look at the script's output above, and try again with `aicage build codex`");
        diagnostic.causes = vec!["`install.sh` exited with status 100".to_owned()];
        diagnostic.excerpt = vec!["E: \u{1b}[31mno\u{1b}[0m".to_owned()];
        diagnostic
    }

    #[test]
    fn a_failure_reads_top_to_bottom_and_keeps_to_the_width() {
        assert_eq!(
            sample().render(60, Colour::Never),
            [
                "error: cannot build layer `agent codex`",
                "  caused by: `install.sh` exited with status 100",
                "",
                "  | E: \\u{1b}[31mno\\u{1b}[0m",
                "",
                "  log   /home/me/.aicage/logs/codex.log",
                "  hint: look at the script's output above, and try again",
                "        with `aicage build codex`",
            ]
        );
    }

    #[test]
    fn json_says_the_same_words() {
        assert_eq!(
            sample().to_json("aicage.error/1"),
            serde_json::json!({
                "schema": "aicage.error/1",
                "event": "error",
                "code": "script-failed",
                "exit_status": 1,
                "message": "cannot build layer `agent codex`",
                "causes": ["`install.sh` exited with status 100"],
                "facts": {"log": "/home/me/.aicage/logs/codex.log"},
                "output": ["E: \u{1b}[31mno\u{1b}[0m"],
                "hint": "look at the script's output above, and try again with `aicage build codex`",
            })
        );
    }
}
