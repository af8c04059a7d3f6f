//! The only place that knows which YAML library is in use (`doc/decisions/0003-yaml.md`).
//!
//! Invariant: input is bounded in size, anchors cannot explode, a key twice is an error, and every error has file and
//! line.

pub mod tree;

use std::path::{Path, PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};

use crate::small_file::{self, SmallFile};

/// The largest YAML file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// Why a YAML file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is too large to be one of ours.
    #[error("{} is {size} bytes; at most {LIMIT} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// It is not UTF-8.
    #[error("{} is not UTF-8 text", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// It is not YAML, or not what this file should hold.
    #[error("{}:{line}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A value of ours cannot be written as YAML.
    #[error("cannot write {} as YAML: {reason}", path.display())]
    Write {
        /// The file it was meant for.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
}

/// Reads `path`; `None` when there is no such file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, YamlError> {
    let bytes = read_bytes(path)?;
    bytes.map(|bytes| parse(&bytes, path)).transpose()
}

/// Reads the bytes of `path`, a bounded number; `None` when there is no such file.
pub fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, YamlError> {
    let read = small_file::read(path, LIMIT).map_err(|source| YamlError::Read {
        path: path.to_owned(),
        source,
    })?;
    match read {
        SmallFile::Missing => Ok(None),
        SmallFile::Content(content) => Ok(Some(content)),
        SmallFile::TooLarge(size) => Err(YamlError::TooLarge {
            path: path.to_owned(),
            size,
        }),
    }
}

/// Reads YAML from `bytes`, naming `path` in errors.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, YamlError> {
    if bytes.len() as u64 > LIMIT {
        return Err(YamlError::TooLarge {
            path: path.to_owned(),
            size: bytes.len() as u64,
        });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_not_utf8| YamlError::Encoding {
        path: path.to_owned(),
    })?;
    let options = serde_yaml::options! { with_snippet: false };
    serde_yaml::from_str_with_options(text, options).map_err(|error| YamlError::Content {
        path: path.to_owned(),
        line: error.location().map_or(1, |location| location.line()),
        reason: in_words(error.without_snippet()),
    })
}

/// Writes a value as YAML text; `path` is what it is meant for.
pub fn to_text<T: Serialize>(value: &T, path: &Path) -> Result<String, YamlError> {
    serde_yaml::to_string(value).map_err(|error| YamlError::Write {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Reads a text that has more than spaces; for `#[serde(deserialize_with)]`.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("the text is empty"));
    }
    Ok(text)
}

/// Reads a list of texts that have more than spaces; for `#[serde(deserialize_with)]`.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "text")] String);
    let texts = Vec::<Text>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|Text(text)| text).collect())
}

/// Says what is wrong to a person who writes YAML and no program.
fn in_words(error: &serde_yaml::Error) -> String {
    use serde_yaml::Error;
    match error {
        Error::MultipleDocuments { .. } => {
            "a second document begins here; one is expected".to_owned()
        }
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => format!("the key `{key}` is there twice"),
            None => "a key is there twice".to_owned(),
        },
        Error::NullIntoString { .. } => "there is no value; a text is expected".to_owned(),
        Error::InvalidBooleanStrict { .. } => "`true` or `false` is expected".to_owned(),
        Error::Eof { .. } => "it is empty, or ends too early".to_owned(),
        Error::Unexpected { expected, .. } => format!("{} expected", kind_of_value(expected)),
        Error::SerdeInvalidType { expected, .. } => {
            format!("{} expected", kind_of_value(expected))
        }
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown_key(field, expected),
        other => {
            let text = other.to_string();
            text.lines().next().unwrap_or("not valid").to_owned()
        }
    }
}

/// Translates what the library calls a kind of value.
fn kind_of_value(expected: &str) -> String {
    let words = if expected.contains("map") || expected.starts_with("struct ") {
        "keys and values are"
    } else if expected.contains("seq") {
        "a list is"
    } else if expected.contains("string") {
        "a text is"
    } else if expected.contains("bool") {
        "`true` or `false` is"
    } else {
        return format!("{expected} is");
    };
    words.to_owned()
}

/// Names the key that was probably meant, else all.
fn unknown_key(field: &str, expected: &[&'static str]) -> String {
    let near = expected
        .iter()
        .map(|known| (strsim::jaro_winkler(field, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    if let Some((_, near)) = near {
        return format!("unknown key `{field}`; did you mean `{near}`?");
    }
    let known: Vec<String> = expected.iter().map(|known| format!("`{known}`")).collect();
    format!("unknown key `{field}`; known are {}", known.join(", "))
}
