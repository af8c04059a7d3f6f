//! File names for digests, references and other words of people.
//!
//! Invariant: two different words never share a file name, not even where the file system ignores case; a name is never a
//! path, never hidden, and at most 200 bytes long before its extension.

use std::fmt::Write as _;

use crate::digest::Digest;

const LONGEST: usize = 200;
/// `~` and 64 digits.
const HASHED_TAIL: usize = 65;

/// Returns the name for a digest: `sha256-…`.
pub(super) fn of_digest(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.hex())
}

/// Reads back what [`of_digest`] wrote.
pub(super) fn to_digest(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Returns the name for a word: `%XX` for whatever might be special somewhere.
pub(super) fn of_word(word: &str) -> String {
    let mut name = String::with_capacity(word.len());
    for (position, byte) in word.bytes().enumerate() {
        let plain = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')
            || (byte == b'.' && position > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02x}").expect("a String takes all that is written to it");
        }
    }
    if name.is_empty() {
        return "%".to_owned();
    }
    if name.len() > LONGEST {
        name.truncate(LONGEST - HASHED_TAIL);
        name.push('~');
        name.push_str(&Digest::of(word.as_bytes()).hex());
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(name: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut rest = name.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).ok()
    }

    proptest! {
        #[test]
        fn every_word_has_a_safe_name_that_is_its_own(word in "\\PC{1,300}") {
            let name = of_word(&word);
            prop_assert!(name.len() <= LONGEST, "{name} is too long");
            prop_assert!(!name.starts_with('.') && !name.contains('/'), "{name} could be a path");
            prop_assert_eq!(&name.to_lowercase(), &name, "two names could differ in case only");
            if !name.contains('~') {
                prop_assert_eq!(back(&name), Some(word));
            }
        }
    }

    #[test]
    fn words_that_are_paths_elsewhere_become_plain_names() {
        assert_eq!(of_word("../../etc/passwd"), "%2e.%2f..%2fetc%2fpasswd");
        assert_eq!(
            of_word("docker.io/library/aicage:codex-debian"),
            "docker.io%2flibrary%2faicage%3acodex-debian"
        );
        assert_ne!(of_word("a:V1"), of_word("a:v1"));
        assert_ne!(
            of_word(&"a".repeat(300)),
            of_word(&"a".repeat(301)),
            "long names share nothing but their beginning"
        );
    }

    #[test]
    fn a_digest_reads_back_from_its_name() {
        let digest = Digest::of(b"x");
        assert_eq!(to_digest(&of_digest(&digest)), Some(digest));
        assert_eq!(to_digest("sha256-.."), None);
    }
}
