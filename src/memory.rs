//! Small records under `~/.aicage/state`: answers that cost time to get, with the time they were given.
//!
//! Format: `state/<kind>/<name>.json`, `{"value":…,"checked_at":"<RFC 3339>","how":…,"base":…,"definition":…}`. Written whole (a temporary file, then a
//! rename); a damaged record counts as none.

use std::path::{Path, PathBuf};

use assembler::digest::Digest;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// An answer and when it was given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Remembered {
    /// The answer; nothing for "there is none".
    pub value: Option<String>,
    /// When it was given, RFC 3339.
    pub checked_at: String,
    /// How it was got, where there is more than one way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// The base image that it was asked in, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Digest>,
    /// The digest of the definition whose script gave it, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Digest>,
}

impl Remembered {
    /// Makes an answer that there is only one way to get.
    pub fn new(value: Option<String>, checked_at: &str) -> Self {
        Self {
            value,
            checked_at: checked_at.to_owned(),
            how: None,
            base: None,
            definition: None,
        }
    }
}

/// Returns what is remembered.
pub fn recall(state: &Path, kind: &str, name: &str) -> Option<Remembered> {
    read(&path(state, kind, name))
}

/// Returns all answers of a kind.
pub fn recall_all(state: &Path, kind: &str) -> Vec<Remembered> {
    let Ok(entries) = fs_err::read_dir(state.join(kind)) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| read(&entry.path()))
        .collect()
}

/// Remembers an answer.
pub fn remember(state: &Path, kind: &str, name: &str, answer: &Remembered) -> std::io::Result<()> {
    write(&path(state, kind, name), answer)
}

/// Reads a small record; a damaged one counts as none.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs_err::read(path).ok()?).ok()
}

/// Writes a small record whole, and the directory it is in.
pub fn write<T: Serialize>(path: &Path, record: &T) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&mut file, record)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Forgets an answer, if there is one.
pub fn forget(state: &Path, kind: &str, name: &str) {
    drop(fs_err::remove_file(path(state, kind, name)));
}

/// A name may be a reference with slashes, so that what cannot be a file name is replaced and its digest added.
fn path(state: &Path, kind: &str, name: &str) -> PathBuf {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
    let file = if name.len() <= 100 && !name.starts_with('.') && name.chars().all(plain) {
        format!("{name}.json")
    } else {
        let safe: String = name
            .chars()
            .map(|c| if plain(c) { c } else { '_' })
            .take(80)
            .collect();
        format!("_{safe}-{}.json", Digest::of(name.as_bytes()).short())
    };
    state.join(kind).join(file)
}
