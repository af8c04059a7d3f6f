//! Where the value of a setting comes from.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// A place for settings, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All users of this machine.
    System,
    /// One user.
    User,
    /// All projects below a directory.
    Tree(PathBuf),
    /// What the project's repository says, for all who work on it.
    Team,
    /// One user in one project.
    Project,
}

/// What set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: it is what the program has.
    Default,
    /// A file.
    File {
        /// What it is for.
        scope: Scope,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// An environment variable.
    Variable(String),
    /// An option of the command line.
    Flag,
}

impl Scope {
    /// Returns the word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Tree(_) => "tree",
            Self::Team => "team",
            Self::Project => "project",
        }
    }
}

impl Origin {
    /// Returns it as data.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Default => json!({"from": "default"}),
            Self::File { scope, path, line } => {
                let mut value =
                    json!({"from": scope.word(), "file": path.to_string_lossy(), "line": line});
                if let (Scope::Tree(tree), Some(value)) = (scope, value.as_object_mut()) {
                    value.insert("tree".to_owned(), json!(tree.to_string_lossy()));
                }
                value
            }
            Self::Variable(name) => json!({"from": "environment", "variable": name}),
            Self::Flag => json!({"from": "flag"}),
        }
    }

    /// Returns the file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Default | Self::Variable(_) | Self::Flag => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { scope, path, line } => {
                f.write_str(scope.word())?;
                if let Scope::Tree(tree) = scope {
                    write!(f, " {}", tree.display())?;
                }
                write!(f, ", {}:{line}", path.display())
            }
            Self::Variable(name) => write!(f, "environment, {name}"),
            Self::Flag => f.write_str("flag, --set"),
        }
    }
}
