//! Groups: the instructions that run in one container and give one layer.
//!
//! Instructions of a stage that need the same mounts and the same network are one group; copying and making directories
//! needs neither and joins the group before it, unless it would write below a mount.
//!
//! Invariant: what one command writes into a mount that is its own, no other command of the group sees.

use std::collections::BTreeMap;

use super::{copies::PlannedCopy, mount::Mount, plan::Planner, script::Located};
use crate::sandbox::StepNetwork;

/// What runs in one container.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) network: StepNetwork,
    pub(crate) operations: Vec<Operation>,
}

/// One instruction that changes files.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) line: usize,
    pub(crate) summary: String,
    pub(crate) what: Doing,
}

/// What an instruction does to files.
#[derive(Debug)]
pub(crate) enum Doing {
    Run {
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        user: Option<String>,
        directory: String,
    },
    Copy(PlannedCopy),
    Directory {
        path: String,
        owner: Option<String>,
    },
}

impl Planner<'_> {
    /// Adds what needs no mount to the group before it, if no mount is in its way.
    pub(crate) fn join(&mut self, path: &str, instruction: &Located, what: Doing) {
        let operation = Operation {
            line: instruction.line,
            summary: instruction.summary.clone(),
            what,
        };
        match self.groups.last_mut() {
            Some(group) if group.mounts.iter().all(|mount| apart(&mount.target, path)) => {
                group.operations.push(operation);
            }
            _ => self.groups.push(Group {
                mounts: Vec::new(),
                network: StepNetwork::Configured,
                operations: vec![operation],
            }),
        }
    }
}

impl Group {
    /// Says whether a command with these mounts can run in this group.
    pub(crate) fn takes(&self, mounts: &[Mount], network: StepNetwork) -> bool {
        let runs = |operation: &Operation| matches!(operation.what, Doing::Run { .. });
        if self.operations.iter().any(runs) {
            let kept = |mount: &Mount| !mount.kind.is_fresh_each_time();
            let what = |mount: &Mount| (mount.target.clone(), mount.kind.clone());
            return self.mounts.iter().map(what).eq(mounts.iter().map(what))
                && mounts.iter().all(kept)
                && self.network == network;
        }
        self.operations.iter().all(|operation| {
            let path = match &operation.what {
                Doing::Copy(copy) => copy.to.as_str(),
                Doing::Directory { path, .. } => path,
                Doing::Run { .. } => "/",
            };
            mounts.iter().all(|mount| apart(&mount.target, path))
        })
    }

    /// Names the group for people: its first instruction, and how many follow.
    pub(crate) fn title(&self, file: &str) -> String {
        let Some(first) = self.operations.first() else {
            return file.to_owned();
        };
        let more = match self.operations.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more} ({file} line {})", first.summary, first.line)
    }
}

/// Says whether neither of two paths is in the other.
fn apart(one: &str, other: &str) -> bool {
    let one = format!("{}/", one.trim_end_matches('/'));
    let other = format!("{}/", other.trim_end_matches('/'));
    !one.starts_with(&other) && !other.starts_with(&one)
}
