//! Which file `--scope` means.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    context::Context,
    settings::{Scope, config},
};

/// What `--scope` was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeOption {
    /// This user in this project.
    Project,
    /// All projects below a directory; the current one if none is named.
    Tree(Option<PathBuf>),
    /// This user.
    User,
    /// All users of this machine.
    System,
}

/// A file for settings.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What it is for.
    pub scope: Scope,
    /// The file.
    pub path: PathBuf,
    /// Whether the settings stand below `settings:`, beside what is stored for agents.
    pub kind: PlaceKind,
}

/// What a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// Settings only, written by a person.
    Settings,
    /// What is stored for agents, and settings below `settings:`.
    Stored,
}

impl FromStr for ScopeOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "project" => Ok(Self::Project),
            "tree" => Ok(Self::Tree(None)),
            "user" | "global" => Ok(Self::User),
            "system" => Ok(Self::System),
            _ => match text.strip_prefix("tree=") {
                Some(directory) if !directory.is_empty() => {
                    Ok(Self::Tree(Some(PathBuf::from(directory))))
                }
                Some(_) | None => {
                    Err("it is one of project, tree, tree=DIR, user, system".to_owned())
                }
            },
        }
    }
}

/// Returns the file for settings of `scope`.
pub(super) fn place(context: &Context, scope: &ScopeOption) -> Place {
    let settings = &context.settings;
    match scope {
        ScopeOption::System => Place {
            scope: Scope::System,
            path: settings.system_file(),
            kind: PlaceKind::Settings,
        },
        ScopeOption::User => Place {
            scope: Scope::User,
            path: settings.home.join(config::FILE),
            kind: PlaceKind::Settings,
        },
        ScopeOption::Project | ScopeOption::Tree(_) => stored(context, scope),
    }
}

/// Returns the file of `scope` with what is stored for agents.
pub(super) fn stored(context: &Context, scope: &ScopeOption) -> Place {
    let settings = &context.settings;
    let here = settings.directory.as_path();
    let (scope, path) = match scope {
        ScopeOption::Project => (Scope::Project, settings.projects.file(here)),
        ScopeOption::Tree(directory) => {
            let directory = settings.user_path(directory.as_deref().unwrap_or(Path::new("")));
            let (directory, path) = settings.projects.tree(&directory);
            (Scope::Tree(directory), path)
        }
        ScopeOption::User | ScopeOption::System => (Scope::User, settings.projects.everywhere()),
    };
    Place {
        scope,
        path,
        kind: PlaceKind::Stored,
    }
}
