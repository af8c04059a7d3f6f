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
    let error = |source| YamlError::Read {
        path: path.to_owned(),
        source,
    };
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(error(source)),
    };
    if metadata.len() > LIMIT {
        return Err(YamlError::TooLarge {
            path: path.to_owned(),
            size: metadata.len(),
        });
    }
    fs_err::read(path).map(Some).map_err(error)
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

/// Says a mistake in a key's name as a person would, with the key that was probably meant.
fn in_words(error: &serde_yaml::Error) -> String {
    if matches!(error, serde_yaml::Error::MultipleDocuments { .. }) {
        return "a second document begins here; one is expected".to_owned();
    }
    let serde_yaml::Error::SerdeUnknownField {
        field, expected, ..
    } = error
    else {
        let text = error.to_string();
        return text.lines().next().unwrap_or("not valid").to_owned();
    };
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
