//! What the terminal can show, and what agents that draw on it need.

use super::finding::{Check, Finding};

/// What is known of the terminal.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Columns and rows; `None` where stdout is no terminal.
    pub(super) size: Option<(u16, u16)>,
    /// `TERM`.
    pub(super) term: Option<String>,
    /// `COLORTERM`.
    pub(super) color_term: Option<String>,
}

/// Judges the terminal.
pub(super) fn judge(seen: &Seen) -> Finding {
    let Some((columns, rows)) = seen.size else {
        return Finding::skipped(Check::Terminal, "stdout is no terminal");
    };
    let term = seen.term.as_deref().unwrap_or_default();
    let what = format!("{term}, {columns} columns, {rows} rows");
    match term {
        "" => Finding::note(Check::Terminal, "TERM is not set")
            .why("Agents that draw on the screen do not know how.")
            .next("export TERM=xterm-256color"),
        "dumb" => Finding::note(Check::Terminal, what)
            .why("Progress and questions are plain lines there, and agents that draw on the screen do not start.")
            .next("export TERM=xterm-256color"),
        _ if columns < 40 || rows < 10 => Finding::note(Check::Terminal, what)
            .why("That is too small for most agents."),
        _ => {
            let colours = match seen.color_term.as_deref() {
                Some("truecolor" | "24bit") => ", all colours",
                _ => "",
            };
            Finding::ok(Check::Terminal, format!("{what}{colours}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_terminal_that_cannot_show_an_agent_is_told() {
        for (size, term, state) in [
            (None, "xterm", State::Skipped),
            (Some((80, 24)), "xterm", State::Ok),
            (Some((80, 24)), "dumb", State::Note),
            (Some((80, 24)), "", State::Note),
            (Some((20, 5)), "xterm", State::Note),
        ] {
            let seen = Seen {
                size,
                term: Some(term.to_owned()),
                color_term: None,
            };
            assert_eq!(judge(&seen).state, state, "{seen:?}");
        }
    }
}
