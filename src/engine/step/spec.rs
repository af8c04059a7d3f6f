//! What is to be done, as the program inside reads it: `step.json`.

use std::collections::BTreeMap;

use assembler::instruction::{Action, Conflict, Destination, Instruction, TarSource};
use serde::Serialize;

use super::{
    files::{Content, Mode},
    inside::{Placed, SecretFile, SecretVariable},
};

/// The file.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    pub(super) nonce: &'a str,
    pub(super) scripts: &'a [String],
    pub(super) instructions: Vec<StepInstruction<'a>>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) placed: &'a [Placed],
    pub(super) secrets: &'a [SecretFile],
    pub(super) variables: &'a [SecretVariable],
    pub(super) mode: Mode,
    pub(super) output: &'a str,
    pub(super) ca: bool,
    pub(super) source_date_epoch: Option<i64>,
    pub(super) exclude: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upper: Option<i32>,
}

/// An instruction in it.
#[derive(Serialize)]
pub(super) struct StepInstruction<'a> {
    label: &'a str,
    action: StepAction<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum StepAction<'a> {
    Run {
        argv: &'a [String],
        env: &'a BTreeMap<String, String>,
        user: Option<&'a str>,
        directory: &'a str,
    },
    Unpack {
        tar: String,
        to: &'a str,
        destination: &'a str,
        conflict: &'a str,
        owner: Option<&'a str>,
        mode: Option<u32>,
    },
    Directory {
        path: &'a str,
        owner: Option<&'a str>,
    },
}

/// Spells the instructions for the program in the container; their tars become files.
pub(super) fn spelled<'a>(
    instructions: &'a [Instruction],
    files: &mut Vec<(String, u32, Content<'a>)>,
) -> Vec<StepInstruction<'a>> {
    let spell = |(number, instruction): (usize, &'a Instruction)| StepInstruction {
        label: &instruction.label,
        action: match &instruction.action {
            Action::Run {
                argv,
                env,
                user,
                directory,
            } => StepAction::Run {
                argv,
                env,
                user: user.as_deref(),
                directory,
            },
            Action::Unpack {
                tar,
                to,
                destination,
                conflict,
                owner,
                mode,
            } => {
                let name = format!("tars/{number}");
                let content = match tar {
                    TarSource::Bytes(bytes) => Content::Bytes(bytes),
                    TarSource::File(path) => Content::File(path),
                };
                files.push((name.clone(), 0o644, content));
                StepAction::Unpack {
                    tar: name,
                    to,
                    destination: match destination {
                        Destination::Auto => "auto",
                        Destination::Directory => "directory",
                    },
                    conflict: match conflict {
                        Conflict::Refuse => "refuse",
                        Conflict::Replace => "replace",
                    },
                    owner: owner.as_deref(),
                    mode: *mode,
                }
            }
            Action::Directory { path, owner } => StepAction::Directory {
                path,
                owner: owner.as_deref(),
            },
        },
    };
    instructions.iter().enumerate().map(spell).collect()
}
