//! What an agent switched on in the terminal, so that whoever leaves it running, or finds it dead, has a terminal as
//! before, and whoever comes back has what the agent expects.
//!
//! Watched are `CSI ? n… h` and `l` (private modes: another screen, the mouse, bracketed paste), `CSI > n u` and
//! `CSI < n u` (keys reported kitty's way) and `CSI > 4 ; n m` (xterm's way). All else passes unseen.

use std::{collections::BTreeMap, fmt::Write as _};

/// Longest sequence that is watched; none of those is longer.
const LONGEST: usize = 64;
/// How many modes are remembered; terminals know some fifty.
const MOST: usize = 64;
/// The cursor is shown in an ordinary terminal; all other modes are off.
const CURSOR: u16 = 25;
/// Lines wrap in an ordinary terminal.
const WRAP: u16 = 7;
/// Parts of the screen are drawn between these; whoever leaves in between would see nothing more.
const SYNCHRONISED: u16 = 2026;

/// What is switched on.
#[derive(Clone, Debug, Default)]
pub(crate) struct TerminalModes {
    /// Those that were ever set, by number, and whether they are now.
    private: BTreeMap<u16, bool>,
    /// How often the keyboard's reporting was pushed, with the flags of each.
    keyboard: Vec<u16>,
    /// xterm's reporting of keys.
    modified_keys: u16,
    /// A sequence that has begun.
    pending: Vec<u8>,
}

impl TerminalModes {
    /// Takes note of what is printed, in pieces of any size.
    pub(crate) fn see(&mut self, mut printed: &[u8]) {
        while !printed.is_empty() {
            if self.pending.is_empty() {
                let Some(start) = printed.iter().position(|&byte| byte == 0x1b) else {
                    return;
                };
                printed = printed.get(start..).unwrap_or_default();
            }
            let Some((&byte, rest)) = printed.split_first() else {
                return;
            };
            printed = rest;
            self.take(byte);
        }
    }

    fn take(&mut self, byte: u8) {
        let begins = match (self.pending.len(), byte) {
            (_, 0x1b) => {
                self.pending.clear();
                true
            }
            (1, b'[') | (2, b'?' | b'<' | b'>') => true,
            (3.., b'0'..=b'9' | b';') => self.pending.len() < LONGEST,
            (3.., b'h' | b'l' | b'u' | b'm') => {
                self.end(byte);
                false
            }
            _ => false,
        };
        if begins {
            self.pending.push(byte);
        } else {
            self.pending.clear();
        }
    }

    fn end(&mut self, last: u8) {
        let Some((&kind, numbers)) = self.pending.get(2..).and_then(<[u8]>::split_first) else {
            return;
        };
        let text = String::from_utf8_lossy(numbers);
        let mut numbers = text.split(';').map(|number| number.parse::<u16>().ok());
        match (kind, last) {
            (b'?', b'h' | b'l') => {
                for mode in numbers.flatten() {
                    if self.private.len() < MOST || self.private.contains_key(&mode) {
                        self.private.insert(mode, last == b'h');
                    }
                }
            }
            (b'>', b'u') if self.keyboard.len() < MOST => {
                self.keyboard
                    .push(numbers.next().flatten().unwrap_or_default());
            }
            (b'<', b'u') => {
                let count = numbers.next().flatten().unwrap_or(1).max(1);
                let left = self.keyboard.len().saturating_sub(count.into());
                self.keyboard.truncate(left);
            }
            (b'>', b'm') if numbers.next().flatten() == Some(4) => {
                self.modified_keys = numbers.next().flatten().unwrap_or_default();
            }
            _ => {}
        }
    }

    /// What makes the terminal an ordinary one again; nothing where it is one.
    pub(crate) fn leave(&self) -> String {
        let mut text = String::new();
        if !self.keyboard.is_empty() {
            write(&mut text, format_args!("\x1b[<{}u", self.keyboard.len()));
        }
        if self.modified_keys != 0 {
            write(&mut text, format_args!("\x1b[>4;0m"));
        }
        // In the other order than they were set: another screen goes last.
        for (mode, is_on) in self.unusual().rev() {
            let letter = if is_on { 'l' } else { 'h' };
            write(&mut text, format_args!("\x1b[?{mode}{letter}"));
        }
        if !text.is_empty() {
            write(&mut text, format_args!("\x1b[0m"));
        }
        text
    }

    /// What gives a terminal the modes that the agent expects.
    pub(crate) fn enter(&self) -> String {
        let mut text = String::new();
        for (mode, is_on) in self.unusual() {
            let letter = if is_on { 'h' } else { 'l' };
            if mode != SYNCHRONISED {
                write(&mut text, format_args!("\x1b[?{mode}{letter}"));
            }
        }
        if self.modified_keys != 0 {
            write(&mut text, format_args!("\x1b[>4;{}m", self.modified_keys));
        }
        for flags in &self.keyboard {
            write(&mut text, format_args!("\x1b[>{flags}u"));
        }
        text
    }

    /// The modes that are not as in an ordinary terminal. Another screen comes first: what is set after it is its.
    fn unusual(&self) -> impl DoubleEndedIterator<Item = (u16, bool)> {
        let usual = |mode: u16| matches!(mode, CURSOR | WRAP);
        let modes = self
            .private
            .iter()
            .map(|(mode, is_on)| (*mode, *is_on))
            .filter(move |(mode, is_on)| *is_on != usual(*mode));
        let (screens, others): (Vec<_>, Vec<_>) =
            modes.partition(|(mode, _)| matches!(mode, 47 | 1047 | 1049));
        screens.into_iter().chain(others)
    }
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a text takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pieces: &[&str]) -> TerminalModes {
        let mut modes = TerminalModes::default();
        for piece in pieces {
            modes.see(piece.as_bytes());
        }
        modes
    }

    #[test]
    fn what_was_switched_on_is_switched_off_in_the_other_order() {
        let modes = seen(&[
            "\x1b[?2004h\x1b[?1049h\x1b[?25lhello\x1b[31mred\x1b[>1u\x1b[>4;2m",
            "\x1b[?1000;1006h",
        ]);
        assert_eq!(
            modes.leave(),
            "\x1b[<1u\x1b[>4;0m\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l\x1b[0m"
        );
        assert_eq!(
            modes.enter(),
            "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[>4;2m\x1b[>1u"
        );
    }

    #[test]
    fn an_agent_that_tidies_up_leaves_nothing_to_do() {
        let modes = seen(&[
            "\x1b[?1049h\x1b[?25l\x1b[?7h\x1b[>1u",
            "\x1b[<u\x1b[?25h\x1b[?1049l",
        ]);
        assert_eq!(modes.leave(), "");
        assert_eq!(modes.enter(), "");
    }

    #[test]
    fn sequences_may_be_cut_anywhere_and_noise_is_no_sequence() {
        let text = "\x1b[\x1b[?20\x1b[?2004h";
        let whole = seen(&[text]).enter();
        assert_eq!(whole, "\x1b[?2004h");
        for cut in 0..text.len() {
            let (before, after) = text.split_at(cut);
            assert_eq!(seen(&[before, after]).enter(), whole, "cut at {cut}");
        }
        let long = format!("\x1b[?{}h", "1;".repeat(100));
        assert_eq!(seen(&[&long]).enter(), "", "no terminal sends such a thing");
    }
}
