//! What `aicage agent`, `aicage base` and `aicage extension` have in common: making and checking definitions.

pub mod check;
mod measure;
pub mod new;
mod program;
mod syntax;

use crate::context::Context;
use crate::definition::{Source, catalogue::Catalogue};
use std::path::PathBuf;

/// What is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A coding agent.
    Agent,
    /// What agents run on.
    Base,
    /// What users add on top.
    Extension,
}

impl Noun {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Base => "base",
            Self::Extension => "extension",
        }
    }

    /// Returns the directory below `~/.aicage/custom` where its definitions are.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Agent => "agents",
            Self::Base => "image-base",
            Self::Extension => "extension",
        }
    }

    /// Returns where the user's definition of `id` is, if it is in use.
    fn custom(self, catalogue: &Catalogue, id: &str) -> Option<PathBuf> {
        let source = match self {
            Self::Agent => &catalogue.agents.get(id)?.source,
            Self::Base => &catalogue.bases.get(id)?.source,
            Self::Extension => &catalogue.extensions.get(id)?.source,
        };
        match source {
            Source::BuiltIn => None,
            Source::Custom(path) => Some(path.clone()),
        }
    }

    /// Returns where a new definition of `id` goes.
    fn directory(self, context: &Context, id: &str) -> PathBuf {
        let roots = context.settings.custom_roots();
        roots.custom.join(self.folder()).join(id)
    }
}
