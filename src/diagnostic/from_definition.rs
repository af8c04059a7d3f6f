//! Words for what users wrote: settings, definitions and their YAML.

use super::verdict::{Explain, Verdict};
use crate::{definition::DefinitionError, settings::SettingsError, yaml::YamlError};

impl Explain for YamlError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Read { source, .. } => Verdict::system("yaml-read", source),
            Self::TooLarge { .. } => Verdict::usage("yaml-size"),
            Self::Encoding { .. } => Verdict::usage("yaml-encoding").hint("save it as UTF-8"),
            Self::Content { .. } => Verdict::usage("yaml-content")
                .hint("correct that line; `doc/formats.md` lists the keys"),
            Self::Write { .. } => Verdict::failed("yaml-write"),
        }
    }
}

impl Explain for DefinitionError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Yaml(error) => error.verdict(),
            Self::Missing { .. } => Verdict::usage("definition-missing-file")
                .hint("add the file; `doc/adding-agents.md` shows what a definition has"),
            Self::Value { .. } => Verdict::usage("definition-value"),
            Self::Read { source, .. } => Verdict::system("definition-read", source),
        }
    }
}

impl Explain for SettingsError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::NoHome => Verdict::usage("no-home")
                .hint("set `HOME`, or `AICAGE_HOME` to a directory of yours"),
            Self::Directory(_) => {
                Verdict::usage("no-directory").hint("change to a directory that exists")
            }
            Self::Config(error) => error.verdict(),
        }
    }
}
