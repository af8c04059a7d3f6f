//! Colours by role, and who wants them.
//!
//! Invariant: what is painted can be understood without the paint.

/// Whether a stream has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Text is painted.
    Always,
    /// Text is left as it is.
    Never,
}

/// What the user's environment says about colours.
#[derive(Clone, Debug, Default)]
pub struct ColourWish {
    /// `NO_COLOR`.
    pub no_color: Option<String>,
    /// `CLICOLOR_FORCE`.
    pub clicolor_force: Option<String>,
    /// `TERM`.
    pub term: Option<String>,
}

/// What a piece of text is, which decides its paint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The word `error`.
    Error,
    /// The word `warning`.
    Warning,
    /// The word `hint`.
    Hint,
    /// A table's head, a title.
    Heading,
    /// Something that is as it should be.
    Good,
    /// Something that deserves a look.
    Notable,
    /// Something of lesser weight.
    Faint,
}

impl Colour {
    /// Decides for one stream: `NO_COLOR` wins, then `CLICOLOR_FORCE`, then whether it is a terminal that is not dumb.
    pub fn decide(wish: &ColourWish, width: Option<usize>) -> Self {
        let set = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
        if set(&wish.no_color) {
            return Self::Never;
        }
        if set(&wish.clicolor_force) && wish.clicolor_force.as_deref() != Some("0") {
            return Self::Always;
        }
        if width.is_some() && wish.term.as_deref() != Some("dumb") {
            Self::Always
        } else {
            Self::Never
        }
    }

    /// Paints `text` if this stream has colours.
    pub fn paint(self, role: Role, text: &str) -> String {
        let code = match role {
            Role::Error => "1;31",
            Role::Warning => "1;33",
            Role::Hint => "1;36",
            Role::Heading => "1",
            Role::Good => "32",
            Role::Notable => "33",
            Role::Faint => "2",
        };
        match self {
            Self::Always => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Never => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check([no_color, force, term]: [&str; 3], width: Option<usize>, expect: Colour) {
        let wish = ColourWish {
            no_color: Some(no_color.to_owned()),
            clicolor_force: Some(force.to_owned()),
            term: Some(term.to_owned()),
        };
        assert_eq!(Colour::decide(&wish, width), expect);
    }

    #[test]
    fn no_color_wins_over_force_and_force_over_the_stream() {
        check(["", "", "xterm"], Some(80), Colour::Always);
        check(["", "", "dumb"], Some(80), Colour::Never);
        check(["", "", "xterm"], None, Colour::Never);
        check(["", "1", "xterm"], None, Colour::Always);
        check(["", "0", "xterm"], None, Colour::Never);
        check(["1", "1", "xterm"], Some(80), Colour::Never);
    }
}
