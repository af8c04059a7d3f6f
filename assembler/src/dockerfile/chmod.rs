//! `--chmod=`: an octal number, or changes such as `u=rwX,go-w`.

use layer::EntryKind;

/// New permission bits, or what changes in the old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chmod {
    /// These.
    Bits(u32),
    /// Changes, in order.
    Changes(Vec<Change>),
}

/// One `who`, operator and permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Of `u`, `g`, `o`.
    who: Vec<char>,
    operator: char,
    permissions: Vec<char>,
}

impl Chmod {
    /// Understands a mode; nothing if it is not one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.chars().all(|c| c.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).ok()?;
            return (bits <= 0o7777).then_some(Self::Bits(bits));
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            let operator_at = clause.find(['+', '-', '='])?;
            let (who, rest) = clause.split_at(operator_at);
            let mut who: Vec<char> = who.chars().collect();
            if !who.iter().all(|c| "ugoa".contains(*c)) {
                return None;
            }
            if who.is_empty() || who.contains(&'a') {
                who = vec!['u', 'g', 'o'];
            }
            let mut rest = rest.chars().peekable();
            while let Some(operator) = rest.next() {
                let mut permissions = Vec::new();
                while let Some(c) = rest.next_if(|c| !"+-=".contains(*c)) {
                    if !"rwxXst".contains(c) {
                        return None;
                    }
                    permissions.push(c);
                }
                changes.push(Change {
                    who: who.clone(),
                    operator,
                    permissions,
                });
            }
        }
        Some(Self::Changes(changes))
    }

    /// Returns the bits that something has afterwards, which is of some kind: `X` asks for it.
    pub(crate) fn apply(&self, mode: u32, kind: &EntryKind) -> u32 {
        let is_directory = *kind == EntryKind::Directory;
        match self {
            Self::Bits(bits) => *bits,
            Self::Changes(changes) => changes.iter().fold(mode, |mode, change| {
                let (mut bits, mut reach) = (0, 0);
                for who in &change.who {
                    let shift = match who {
                        'u' => 6,
                        'g' => 3,
                        _ => 0,
                    };
                    reach |= 0o7 << shift;
                    for permission in &change.permissions {
                        bits |= match permission {
                            'r' => 0o4 << shift,
                            'w' => 0o2 << shift,
                            'x' => 0o1 << shift,
                            'X' if is_directory || mode & 0o111 != 0 => 0o1 << shift,
                            's' if *who == 'u' => 0o4000,
                            's' if *who == 'g' => 0o2000,
                            't' => 0o1000,
                            _ => 0,
                        };
                    }
                }
                match change.operator {
                    '+' => mode | bits,
                    '-' => mode & !bits,
                    _ => (mode & !reach) | bits,
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_numbers_or_changes() {
        let file = EntryKind::File { size: 1 };
        for (text, before, kind, after) in [
            ("755", 0o644, &file, 0o755),
            ("0644", 0o755, &file, 0o644),
            ("u+x", 0o644, &file, 0o744),
            ("+x", 0o644, &file, 0o755),
            ("a=r", 0o755, &file, 0o444),
            ("u=rwX,go=rX", 0o600, &file, 0o644),
            ("u=rwX,go=rX", 0o600, &EntryKind::Directory, 0o755),
            ("go-rwx", 0o755, &file, 0o700),
            ("u+s,+t", 0o755, &file, 0o5755),
        ] {
            let mode = Chmod::read(text).unwrap();
            assert_eq!(mode.apply(before, kind), after, "{text}");
        }
        for text in ["", "8", "77777", "x", "u", "z+x", "u+q"] {
            assert_eq!(
                Chmod::read(text).filter(|_| !text.is_empty()),
                None,
                "{text}"
            );
        }
    }
}
