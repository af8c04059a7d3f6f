//! The keys that leave a session running: `ctrl-p,ctrl-q` where nothing else is said, spelled as docker spells them.
//!
//! Invariant: no key is held back. Docker's own client keeps the first key of the sequence to itself until the next one
//! comes, so that every second control-P is late; here the agent gets all but the last key at once.

/// The keys as docker has them.
pub const USUAL_KEYS: &str = "ctrl-p,ctrl-q";
/// What switches them off.
const NO_KEYS: &str = "none";

/// The keys that leave a session running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    /// How they were spelled.
    spelled: String,
}

/// A key that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{key}` is no key: write single characters and `ctrl-` with one of a-z, @, [, \\, ], ^, _, with commas between them"
)]
pub struct UnknownKey {
    /// As it was written.
    pub key: String,
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self {
            sequence: vec![16, 17],
            spelled: USUAL_KEYS.to_owned(),
        }
    }
}

impl std::str::FromStr for DetachKeys {
    type Err = UnknownKey;

    /// Reads `ctrl-p,ctrl-q`, `ctrl-],d` or `none`; nothing means the usual keys, as docker has it.
    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let sequence = match text {
            "" => return Ok(Self::default()),
            NO_KEYS => Vec::new(),
            text => text.split(',').map(byte).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            sequence,
            spelled: text.to_owned(),
        })
    }
}

impl std::fmt::Display for DetachKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.spelled)
    }
}

fn byte(key: &str) -> Result<u8, UnknownKey> {
    let unknown = || UnknownKey {
        key: key.to_owned(),
    };
    if let [byte] = key.as_bytes() {
        return Ok(*byte);
    }
    if key == "DEL" {
        return Ok(127);
    }
    let lower = key.to_lowercase();
    match lower.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => Ok(letter - b'a' + 1),
        Some([sign @ (b'@' | b'['..=b'_')]) => Ok(sign - b'@'),
        _ => Err(unknown()),
    }
}

impl DetachKeys {
    /// Begins to watch what is typed.
    pub(crate) fn watch(&self) -> Watch<'_> {
        Watch {
            sequence: &self.sequence,
            matched: 0,
        }
    }
}

/// Watches what is typed for the keys.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    sequence: &'a [u8],
    matched: usize,
}

impl Watch<'_> {
    /// Returns where in what was typed the last of the keys is, if all were typed: what is before it is the agent's.
    pub(crate) fn completes(&mut self, typed: &[u8]) -> Option<usize> {
        for (position, &key) in typed.iter().enumerate() {
            self.matched = self.after(key);
            if self.matched == self.sequence.len() && !self.sequence.is_empty() {
                self.matched = 0;
                return Some(position);
            }
        }
        None
    }

    /// How many keys of the sequence are typed after this one: the longest beginning that is an end of what was typed.
    fn after(&self, key: u8) -> usize {
        let mut typed = self
            .sequence
            .get(..self.matched)
            .unwrap_or_default()
            .to_vec();
        typed.push(key);
        (0..typed.len())
            .find_map(|start| {
                let end = typed.get(start..)?;
                self.sequence.starts_with(end).then_some(end.len())
            })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_docker_spells_them() {
        for (text, bytes) in [
            ("", [16_u8, 17].as_slice()),
            ("ctrl-p,ctrl-q", &[16, 17]),
            ("Ctrl-],d", &[29, b'd']),
            ("ctrl-@", &[0]),
            ("ctrl-_,DEL", &[31, 127]),
            ("none", &[]),
        ] {
            let keys: DetachKeys = text.parse().unwrap();
            assert_eq!(keys.sequence, bytes, "of `{text}`");
        }
        for text in ["ctrl-", "ctrl-ab", "alt-x", "ctrl-p,,q", "ctrl-1"] {
            assert!(text.parse::<DetachKeys>().is_err(), "`{text}` was taken");
        }
    }

    #[test]
    fn the_keys_are_found_across_pieces_and_after_a_false_start() {
        let keys: DetachKeys = "a,a,b".parse().unwrap();
        let mut watch = keys.watch();
        assert_eq!(watch.completes(b"xa"), None);
        assert_eq!(watch.completes(b"a"), None);
        assert_eq!(watch.completes(b"ab-"), Some(1), "`aaab` ends with `aab`");
        assert_eq!(watch.completes(b"b"), None, "each time anew");
        let none: DetachKeys = "none".parse().unwrap();
        assert_eq!(none.watch().completes(&[16, 17]), None);
    }
}
