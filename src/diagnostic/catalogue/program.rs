//! Failures of the program: its files, definitions and projects.

use std::path::PathBuf;

use assembler::definition_files::FilesError;

use super::{denied, full, json};
use crate::{
    definition::DefinitionError, diagnostic::Diagnostic, extended_image::ExtendedImageError,
    init_program::InitProgramError, printer::PrintError, project::ProjectError,
    settings::SettingsError, trust::TeamError, whole_file::WholeFileError, yaml::YamlError,
};

pub(super) fn program() -> Vec<Diagnostic> {
    let file = || PathBuf::from("/home/me/.aicage/config.yml");
    vec![
        PrintError::Stdout(full()).into(),
        PrintError::Json(json()).into(),
        InitProgramError::Unsupported {
            architecture: "riscv64".to_owned(),
        }
        .into(),
        InitProgramError::NotEmbedded {
            architecture: "arm64".to_owned(),
        }
        .into(),
        YamlError::Read {
            path: file(),
            source: denied(),
        }
        .into(),
        YamlError::TooLarge {
            path: file(),
            size: 100_000_000,
        }
        .into(),
        YamlError::Encoding { path: file() }.into(),
        YamlError::Content {
            path: file(),
            line: 3,
            reason: "unknown field `mirors`".to_owned(),
        }
        .into(),
        YamlError::Write {
            path: file(),
            reason: "a key is no text".to_owned(),
        }
        .into(),
        DefinitionError::Missing {
            directory: "custom/agents/x".into(),
            missing: "agent.yml".to_owned(),
        }
        .into(),
        DefinitionError::Value {
            path: "custom/agents/x/agent.yml".into(),
            reason: "`agent_path` is empty".to_owned(),
        }
        .into(),
        DefinitionError::Files(FilesError::Read {
            path: "custom/agents/x/install.sh".into(),
            source: denied(),
        })
        .into(),
        FilesError::Refused {
            path: "custom/agents/x/data".into(),
            reason: "a link that leads in a circle".to_owned(),
        }
        .into(),
        FilesError::Changed {
            path: "custom/agents/x/install.sh".into(),
        }
        .into(),
        SettingsError::NoHome.into(),
        SettingsError::Directory(denied()).into(),
        SettingsError::Variable {
            name: "AICAGE_UPDATE_POLICY".to_owned(),
            reason:
                "`update.policy`: unknown variant `nevr`, expected one of `ask`, `auto`, `never`"
                    .to_owned(),
        }
        .into(),
        SettingsError::Flag {
            key: "update.polcy".to_owned(),
            reason: "there is no setting `update.polcy`; did you mean `update.policy`?".to_owned(),
        }
        .into(),
    ]
}

pub(super) fn projects() -> Vec<Diagnostic> {
    let file = || PathBuf::from("/home/me/.aicage/projects/4f1a.yml");
    vec![
        ProjectError::Damaged {
            path: file(),
            source: YamlError::Content {
                path: file(),
                line: 3,
                reason: "the key `base` is there twice".to_owned(),
            },
        }
        .into(),
        ProjectError::Shape {
            path: file(),
            line: 2,
            key: "agents".to_owned(),
            expected: "keys and values",
        }
        .into(),
        ProjectError::Newer {
            path: file(),
            version: "2".to_owned(),
        }
        .into(),
        WholeFileError::Write {
            path: file(),
            source: full(),
        }
        .into(),
        ExtendedImageError::Value {
            path: "/home/me/.aicage/custom/image-extended/mine/image-extended.yml".into(),
            reason: "`extensions` is empty".to_owned(),
        }
        .into(),
        ExtendedImageError::Write {
            path: "/home/me/.aicage/custom/image-extended/mine/image-extended.yml".into(),
            source: full(),
        }
        .into(),
        TeamError::Kind {
            path: "/home/me/project/aicage.yml".into(),
            what: "a symbolic link",
        }
        .into(),
        TeamError::Read {
            path: "/home/me/project/aicage.yml".into(),
            source: denied(),
        }
        .into(),
        WholeFileError::Busy {
            path: "/home/me/.aicage/projects/.lock".into(),
            seconds: 10,
        }
        .into(),
    ]
}
