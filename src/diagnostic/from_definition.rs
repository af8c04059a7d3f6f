//! Words for what users wrote: settings, definitions and their YAML.

use super::verdict::{Explain, Verdict};
use crate::{
    definition::DefinitionError, extended_image::ExtendedImageError, project::ProjectError,
    settings::SettingsError, trust::TeamError, whole_file::WholeFileError, yaml::YamlError,
};

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
            Self::Files(error) => error.verdict(),
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
            Self::Project(error) => error.verdict(),
            Self::Variable { .. } => Verdict::usage("settings-variable")
                .hint("correct or unset it; `doc/configuration.md` lists the variables"),
            Self::Flag { .. } => {
                Verdict::usage("settings-flag").hint("`aicage config show` shows all settings")
            }
        }
    }
}

impl Explain for ProjectError {
    fn verdict(&self) -> Verdict {
        let aside = |path: &std::path::Path| {
            let path = path.display();
            format!("correct it, or move it away to choose anew: mv {path} {path}.damaged")
        };
        match self {
            Self::Damaged { path, source } => match source {
                YamlError::Read { .. } | YamlError::Write { .. } => source.verdict(),
                YamlError::TooLarge { .. }
                | YamlError::Encoding { .. }
                | YamlError::Content { .. } => Verdict::usage("project-damaged").hint(aside(path)),
            },
            Self::Shape { path, .. } => Verdict::usage("project-shape").hint(aside(path)),
            Self::Newer { .. } => Verdict::usage("project-newer")
                .hint("use the newer aicage; this one neither reads nor changes the file"),
            Self::Write(error) => error.verdict(),
        }
    }
}

impl Explain for TeamError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Yaml(error) => error.verdict().hint(
                "whoever keeps the repository corrects it; `doc/configuration.md` lists the keys",
            ),
            Self::Kind { .. } => {
                Verdict::usage("team-file-kind").hint("put the file itself there, or remove it")
            }
            Self::Read { source, .. } => Verdict::system("team-file-read", source),
        }
    }
}

impl Explain for WholeFileError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Write { source, .. } => Verdict::system("file-write", source),
            Self::Busy { .. } => {
                Verdict::failed("file-busy").hint("end the other aicage, then try again")
            }
        }
    }
}

impl Explain for ExtendedImageError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Yaml(error) => error.verdict(),
            Self::Value { .. } => Verdict::usage("image-extended-value")
                .hint("correct the file, or remove its directory"),
            Self::Write { source, .. } => Verdict::system("image-extended-write", source),
        }
    }
}
