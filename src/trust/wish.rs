//! One thing that a team file asks for and that needs consent, in words.
//!
//! Invariant: the words say all that is asked, so that two wishes with the same words are the same.

use std::{fmt, path::Path};

use serde_json::Value;

use crate::printer::printable;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish(String);

impl Wish {
    pub(super) fn share(text: &str, real: &Path) -> Self {
        let (path, access) = match text.strip_suffix(":ro") {
            Some(path) => (path, "read only"),
            None => (text, "readable and writable"),
        };
        let really = if Path::new(path) == real {
            String::new()
        } else {
            format!(" (which is {})", printable(&real.display().to_string()))
        };
        Self(format!("mount {}{really}, {access}", printable(path)))
    }

    pub(super) fn mount(name: &str) -> Self {
        let what = match name {
            "docker" => {
                "the socket of the container engine: whoever has it is root on this machine"
            }
            "ssh" => "your SSH keys or agent",
            "gnupg" => "your GnuPG keys",
            "gitconfig" => "your git configuration",
            "gitroot" => "the git repository above the project",
            _ => "access of this machine by that name",
        };
        Self(format!("give `{}`: {what}", printable(name)))
    }

    pub(super) fn option(text: &str) -> Self {
        Self(format!("start the container with `{}`", printable(text)))
    }

    /// Returns the wish for a setting, unless it can only tighten.
    pub(super) fn setting(key: &str, value: &Value) -> Option<Self> {
        if tightens(key, value) {
            return None;
        }
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(Self(format!("set `{key}` to {}", printable(&value))))
    }

    /// Returns the words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells whether a setting can only take something away.
pub(super) fn tightens(key: &str, value: &Value) -> bool {
    match key {
        "update.policy" => value == "never",
        "update.version_on_host" => *value == Value::Bool(false),
        "session.drop_capabilities" | "session.no_new_privileges" => *value == Value::Bool(true),
        _ => false,
    }
}
