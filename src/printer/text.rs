//! Text on a terminal: what is safe to show, how wide it is, where it breaks.
//!
//! Invariant: [`printable`] leaves no control character, so no image can move our cursor or set a window title.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Escapes control characters; other text stays as it is.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction_mark(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Marks that reorder what follows them can make one name look like another.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns how many columns `text` takes; escape sequences of our own paint take none.
pub(super) fn columns(text: &str) -> usize {
    let mut width = 0;
    for (index, part) in text.split('\u{1b}').enumerate() {
        let shown = if index == 0 {
            part
        } else {
            part.split_once('m').map_or("", |(_paint, shown)| shown)
        };
        width += shown.width();
    }
    width
}

/// Cuts unpainted `text` to at most `width` columns, with `…` where something is missing.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

/// Breaks `text` at spaces into lines of at most `width` columns; lines after the first start with `indent`.
///
/// A word that is longer than a line (a path, a digest) stays whole, so that it can be copied.
pub fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let mut is_fresh = true;
    for word in text.split(' ') {
        let word_width = columns(word);
        if !is_fresh && used + 1 + word_width > width {
            lines.push(std::mem::take(&mut line));
            line.push_str(indent);
            used = columns(indent);
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += word_width;
        is_fresh = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_are_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable("exe.\u{202e}txt"), "exe.\\u{202e}txt");
        assert_eq!(printable("ä 漢"), "ä 漢");
    }

    #[test]
    fn text_breaks_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrap("one two three", 7, "  "), ["one two", "  three"]);
        assert_eq!(
            wrap("a /very/long/path b", 5, ""),
            ["a", "/very/long/path", "b"]
        );
        assert_eq!(wrap("  led by spaces", 40, ""), ["  led by spaces"]);
    }

    #[test]
    fn paint_takes_no_columns_and_wide_characters_take_two() {
        assert_eq!(columns("\u{1b}[1;31merror:\u{1b}[0m x"), 8);
        assert_eq!(columns("漢字"), 4);
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("short", 5), "short");
    }
}
