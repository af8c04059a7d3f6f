//! Names of agents, bases and extensions: they become part of image tags and file names.

use super::DefinitionError;
use std::path::Path;

/// The longest name; a tag of 128 characters must hold several.
const LIMIT: usize = 40;

/// Checks that `name` can stand in a tag and in a path: lower-case letters, digits, `.`, `_` and `-`.
pub fn check(name: &str, path: &Path) -> Result<(), DefinitionError> {
    let reason = if name.is_empty() || name.len() > LIMIT {
        format!("a name has 1 to {LIMIT} characters")
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        format!("`{name}` does not start with a lower-case letter or a digit")
    } else if let Some(bad) = name
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(*c)))
    {
        format!("`{name}` has a {bad:?}; allowed are lower-case letters, digits, `.`, `_` and `-`")
    } else if name.ends_with(['.', '-', '_']) {
        format!("`{name}` ends with a separator")
    } else {
        return Ok(());
    };
    Err(DefinitionError::Value {
        path: path.to_owned(),
        reason,
    })
}
