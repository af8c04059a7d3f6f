//! Names inside a layer.
//!
//! A [`LayerPath`] is bytes, relative to the root, without `.`, `..`, NUL, doubled or trailing slashes, and none
//! of its components starts with `.wh.`, because such a name would mean a whiteout to whoever applies the layer.
//! The empty path is the root itself.
//!
//! Paths are ordered component by component, so that a directory comes right before all that is below it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// What marks a whiteout's base name.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// The base name of an opaque marker.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Names one file of a layer or of a root filesystem, relative to its root.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct LayerPath(Vec<u8>);

/// Why bytes are not a path of a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path starts at the host's root.
    #[error("path {path:?} is absolute")]
    Absolute {
        /// The path as given, made printable.
        path: String,
    },
    /// The path has a `..` component.
    #[error("path {path:?} leaves the layer through `..`")]
    ParentComponent {
        /// The path as given, made printable.
        path: String,
    },
    /// The path holds a NUL byte.
    #[error("path {path:?} has a NUL byte in it")]
    Nul {
        /// The path as given, made printable.
        path: String,
    },
    /// A component starts with `.wh.`, which a layer can only use for whiteouts.
    #[error("path {path:?} has a name that starts with `.wh.`, which layers reserve for whiteouts")]
    Reserved {
        /// The path as given, made printable.
        path: String,
    },
}

impl LayerPath {
    /// Checks and normalises a relative path: `./a/` becomes `a`.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let path = path.as_ref();
        if path.first() == Some(&b'/') {
            return Err(PathError::Absolute {
                path: printable(path),
            });
        }
        if path.contains(&0) {
            return Err(PathError::Nul {
                path: printable(path),
            });
        }
        let mut normal = Vec::with_capacity(path.len());
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => {
                    return Err(PathError::ParentComponent {
                        path: printable(path),
                    });
                }
                name if name.starts_with(WHITEOUT) => {
                    return Err(PathError::Reserved {
                        path: printable(path),
                    });
                }
                _ => {}
            }
            if !normal.is_empty() {
                normal.push(b'/');
            }
            normal.extend_from_slice(component);
        }
        Ok(Self(normal))
    }

    /// Returns the root directory's own path.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Takes bytes that already obey the rules.
    pub(crate) fn from_normal(path: Vec<u8>) -> Self {
        Self(path)
    }

    /// Tells whether this is the root directory.
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes, without leading or trailing slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the directory that holds this name; the root has none.
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(parent(&self.0).to_vec()))
    }

    /// Returns the last component; empty for the root.
    pub fn base_name(&self) -> &[u8] {
        base_name(&self.0)
    }

    /// Appends a relative path.
    pub fn join(&self, name: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let below = Self::new(name)?;
        if self.is_root() || below.is_root() {
            return Ok(if self.is_root() { below } else { self.clone() });
        }
        let mut path = self.0.clone();
        path.push(b'/');
        path.extend_from_slice(&below.0);
        Ok(Self(path))
    }

    /// Tells whether this is `directory` or below it.
    pub fn starts_with(&self, directory: &Self) -> bool {
        is_at_or_below(&self.0, &directory.0)
    }
}

/// Tells whether bytes are a path as [`LayerPath::new`] would make it, without making one.
pub(crate) fn is_normal(path: &[u8]) -> bool {
    let is_name = |name: &[u8]| match name.first() {
        None => false,
        Some(b'.') => !matches!(name, b"." | b"..") && !name.starts_with(WHITEOUT),
        Some(_) => true,
    };
    path.is_empty() || (!path.contains(&0) && path.split(|byte| *byte == b'/').all(is_name))
}

/// Returns the part before the last slash.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(&[], |slash| path.get(..slash).unwrap_or_default())
}

/// Returns the part after the last slash.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(path, |slash| path.get(slash + 1..).unwrap_or_default())
}

/// Tells whether `path` is `directory` or inside it.
pub(crate) fn is_at_or_below(path: &[u8], directory: &[u8]) -> bool {
    path == directory || is_below(path, directory)
}

/// Tells whether `path` is strictly inside `directory`.
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    if directory.is_empty() {
        return !path.is_empty();
    }
    path.len() > directory.len()
        && path.starts_with(directory)
        && path.get(directory.len()) == Some(&b'/')
}

/// Compares two paths component by component. A NUL, which only the index's keys contain, sorts right after `/`.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |byte: u8| match byte {
        b'/' => 0_u16,
        0 => 1,
        other => u16::from(other) + 1,
    };
    // Neighbours share long prefixes: leap over them in words.
    let words = a
        .chunks_exact(8)
        .zip(b.chunks_exact(8))
        .take_while(|(x, y)| x == y)
        .count();
    let (rest_a, rest_b) = (&a[words * 8..], &b[words * 8..]);
    match rest_a.iter().zip(rest_b).find(|(x, y)| x != y) {
        Some((x, y)) => weight(*x).cmp(&weight(*y)),
        None => a.len().cmp(&b.len()),
    }
}

/// Makes bytes printable: valid text stays; control characters, stray bytes and `\` itself are escaped, as `\n`,
/// `\u{7f}`, `\xff` and `\\`, so that no two names are shown alike.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    text
}

impl Ord for LayerPath {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for LayerPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            formatter.write_str(".")
        } else {
            formatter.write_str(&printable(&self.0))
        }
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{self}`")
    }
}

impl FromStr for LayerPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_shown_alike() {
        for (bytes, shown) in [
            (&b"a\xff"[..], r"a\xff"),
            (br"a\xff", r"a\\xff"),
            (b"a\nb", r"a\nb"),
            ("\u{fc}".as_bytes(), "\u{fc}"),
        ] {
            assert_eq!(printable(bytes), shown);
        }
    }

    #[test]
    fn a_path_is_normalised() {
        for (given, normal) in [
            ("./a", "a"),
            ("a/", "a"),
            ("a//b/./c", "a/b/c"),
            (".", ""),
            ("./", ""),
        ] {
            assert_eq!(
                LayerPath::new(given).unwrap().as_bytes(),
                normal.as_bytes(),
                "from {given:?}"
            );
        }
    }

    #[test]
    fn a_path_that_could_leave_the_layer_or_mean_a_whiteout_is_refused() {
        for given in [
            "/etc",
            "..",
            "a/../b",
            "a/..",
            ".wh.x",
            "a/.wh.x",
            "a/.wh.x/b",
            ".wh..wh..opq",
            "a\0b",
        ] {
            assert!(LayerPath::new(given).is_err(), "{given:?} was taken");
        }
        assert!(LayerPath::new("a/.whx/..b/...").is_ok());
    }

    #[test]
    fn a_directory_sorts_right_before_what_is_below_it() {
        let mut paths: Vec<_> = ["a.b", "a/z", "a", "a/b/c", "a-", "b", ""]
            .map(|path| LayerPath::new(path).unwrap())
            .into();
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, [".", "a", "a/b/c", "a/z", "a-", "a.b", "b"]);
    }

    #[test]
    fn strange_names_print_without_control_bytes() {
        let path = LayerPath::new(b"a\nb\xff\xc3\xa4").unwrap();
        assert_eq!(path.to_string(), "a\\nb\\xffä");
    }

    proptest::proptest! {
        #[test]
        fn what_is_normal_is_what_a_path_looks_like(path in "[./wh\\x00a]{0,9}") {
            let path = path.as_bytes();
            let is_kept = LayerPath::new(path).is_ok_and(|kept| kept.as_bytes() == path);
            proptest::prop_assert_eq!(is_normal(path), is_kept);
        }
    }
}
