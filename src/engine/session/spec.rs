//! What is to be run in a container, as data.

use std::{collections::BTreeMap, path::PathBuf};

use super::name::SessionName;
use crate::container_options::Resolved;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// The image, by name or id.
    pub image: String,
    /// Instead of the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments.
    pub command: Vec<String>,
    /// Environment, on top of the image's.
    pub env: BTreeMap<String, String>,
    /// What of this machine is seen inside.
    pub mounts: Vec<SessionMount>,
    /// Where it starts; the image's own if `None`.
    pub working_dir: Option<String>,
    /// As whom it starts; the image's own if `None`.
    pub user: Option<String>,
    /// How its users relate to the machine's, in the engine's words; as the engine has it if `None`.
    pub userns: Option<String>,
    /// Options for what confines it, such as `label=disable`.
    pub security: Vec<String>,
    /// The container's name.
    pub name: SessionName,
    /// The container's labels.
    pub labels: BTreeMap<String, String>,
    /// How our stdin and terminal are connected.
    pub input: SessionInput,
    /// What becomes of the container when it has ended.
    pub ended: WhenEnded,
    /// What the engine keeps of what it prints.
    pub log: SessionLog,
    /// Its network.
    pub network: Network,
    /// `name:address` for its hosts file.
    pub extra_hosts: Vec<String>,
    /// What else was asked for, and what it is kept from.
    pub options: Resolved,
}

impl SessionSpec {
    /// What is instead of the image's entrypoint, if anything is; what was asked for counts before all else.
    pub(crate) fn entrypoint(&self) -> Option<Vec<String>> {
        let asked = self.options.flags.entrypoint.clone();
        asked
            .map(|program| vec![program])
            .or_else(|| self.entrypoint.clone())
    }

    /// Where it starts, if the image does not say that.
    pub(crate) fn directory(&self) -> Option<String> {
        let asked = self.options.flags.workdir.clone();
        asked.or_else(|| self.working_dir.clone())
    }

    /// `name:address` for its hosts file, those that were asked for last.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let asked = self.options.flags.add_host.iter().map(ToString::to_string);
        self.extra_hosts.iter().cloned().chain(asked).collect()
    }
}

/// A file or directory of this machine, inside the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionMount {
    /// What, on the engine's machine; any characters but NUL.
    pub source: PathBuf,
    /// Where in the container.
    pub target: PathBuf,
    /// Whether it can be changed from inside.
    pub access: Access,
}

/// Whether a mount can be changed from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    ReadWrite,
    /// It cannot.
    ReadOnly,
}

/// What becomes of a container that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEnded {
    /// The engine removes it.
    Removed,
    /// It stays with its log and exit status, for whoever was not there.
    Kept,
}

/// What an engine keeps of what a container prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionLog {
    /// Its end, some megabytes.
    Bounded,
    /// Nothing.
    None,
}

/// How our stdin and terminal are connected to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionInput {
    /// The container gets a terminal, connected to ours.
    Terminal,
    /// Our stdin is its stdin; stdout and stderr stay apart.
    Pipe,
    /// Its stdin is empty; stdout and stderr stay apart.
    Empty,
}

/// A container's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// What the engine does by default.
    #[default]
    Bridge,
    /// None.
    None,
    /// That of the engine's machine.
    Host,
    /// A network of the engine.
    Named(String),
}

impl Network {
    /// Spells it as the interface does; `None` for the default.
    pub(crate) fn mode(&self) -> Option<String> {
        match self {
            Self::Bridge => None,
            Self::None => Some("none".to_owned()),
            Self::Host => Some("host".to_owned()),
            Self::Named(name) => Some(name.clone()),
        }
    }
}
