//! Content digests: a blob's, a layer's uncompressed tar's, and a step's inputs', as three types.
//!
//! Invariant: a value of these types is always well formed, so it can be a file name but never a path.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A digest of a blob's bytes as they are stored and sent (OCI image-spec, "Digests").
///
/// `sha256` is what we compute; `sha512` is accepted and verified where others used it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// SHA-256, 32 bytes.
    Sha256([u8; 32]),
    /// SHA-512, 64 bytes.
    Sha512([u8; 64]),
}

/// A text that is not a digest we can verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest; expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct DigestError {
    /// What was found, cut to 100 characters.
    pub text: String,
}

impl Digest {
    /// Computes the SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(bytes).into())
    }

    /// Returns the algorithm's name as it stands before the colon.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// Returns the digest in lower-case hexadecimal, without the algorithm.
    pub fn hex(&self) -> String {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        };
        hex(bytes)
    }

    /// Returns the first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        let mut text = self.hex();
        text.truncate(12);
        text
    }

    /// Starts hashing with this digest's algorithm, to verify a stream against it.
    pub fn hasher(&self) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::sha256(),
            Self::Sha512(_) => Hasher::Sha512(Box::default()),
        }
    }
}

/// A running hash.
#[derive(Debug, Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Box<Sha256>),
    /// SHA-512.
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// Starts a SHA-256 hash.
    pub fn sha256() -> Self {
        Self::Sha256(Box::default())
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256((*hasher).finalize().into()),
            Self::Sha512(hasher) => Digest::Sha512((*hasher).finalize().into()),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let error = || DigestError {
            text: text.chars().take(100).collect(),
        };
        let (algorithm, digits) = text.split_once(':').ok_or_else(error)?;
        match algorithm {
            "sha256" => unhex(digits).map(Self::Sha256).ok_or_else(error),
            "sha512" => unhex(digits).map(Self::Sha512).ok_or_else(error),
            _ => Err(error()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Upper case is refused: the spec allows only lower case, and two spellings of one digest would be two file names.
fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

macro_rules! digest_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// Names a digest for what it is of.
            pub fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// Returns the bare digest.
            pub fn digest(&self) -> &Digest {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
    };
}

digest_of! {
    /// A digest of a layer's uncompressed tar: what a config's `rootfs.diff_ids` lists.
    DiffId
}

digest_of! {
    /// A digest of everything that decides what a step produces; equal keys, no second run.
    LayerKey
}

digest_of! {
    /// A digest of a stack of layers: what engines key unpacked layers by (OCI image-spec config.md, "Layer `ChainID`").
    ChainId
}

impl ChainId {
    /// Folds a stack of layers, bottom first, into its chain id; `None` for an empty stack.
    pub fn of(diff_ids: &[DiffId]) -> Option<Self> {
        let (first, rest) = diff_ids.split_first()?;
        let mut chain = Self(first.0);
        for diff_id in rest {
            chain = chain.push(*diff_id);
        }
        Some(chain)
    }

    /// Returns the chain id of this stack with one more layer on top.
    #[must_use]
    pub fn push(self, diff_id: DiffId) -> Self {
        Self(Digest::of(format!("{self} {diff_id}").as_bytes()))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_written_and_nothing_else_does() {
        let digest = Digest::of(b"hello");
        assert_eq!(
            digest.to_string(),
            "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in [
            "",
            "sha256:",
            "sha256:2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
            "sha256:../../../../../../../../../../../../../../../../../../../etc/passwd",
            "md5:2cf24dba5fb0a30e26e83b2ac5b9e29e",
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chain_id_is_folded_over_the_text_forms() {
        let a = DiffId::new(Digest::of(b"a"));
        let b = DiffId::new(Digest::of(b"b"));
        let chain = ChainId::of(&[a, b]).unwrap();
        assert_eq!(*chain.digest(), Digest::of(format!("{a} {b}").as_bytes()));
        assert_eq!(ChainId::of(&[]), None);
    }
}
