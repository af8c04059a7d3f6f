//! Sessions that there are, by the labels that we gave them.
//!
//! Invariant: only what a session of ours made is a session; whatever else runs on an engine is not seen.

use std::collections::BTreeMap;

use super::spec::{SessionLog, WhenEnded};
use crate::engine::Engine;

/// The label that holds a session's name, and makes a container a session.
pub(crate) const SESSION: &str = "io.github.aicage.session";
/// The label that holds the agent's id.
pub(crate) const AGENT: &str = "io.github.aicage.agent";
/// The label that holds the project's directory.
pub(crate) const PROJECT: &str = "io.github.aicage.project";
/// The label that holds the caller's user id.
pub(crate) const UID: &str = "io.github.aicage.uid";
/// The label that holds the version of this program.
pub(crate) const VERSION: &str = "io.github.aicage.version";

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// It is created and not yet started.
    Starting,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended and was kept.
    Ended,
}

/// A session, as it is listed.
#[derive(Clone, Debug)]
pub struct EngineSession {
    /// What keeps it.
    pub engine: Engine,
    /// The container's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The agent.
    pub agent: String,
    /// The project's directory.
    pub project: String,
    /// The version of the program that started it.
    pub version: Option<String>,
    /// The image's name.
    pub image: String,
    /// What it does.
    pub state: SessionState,
    /// Its exit status, if it has ended.
    pub exit: Option<i32>,
    /// When it was created, in seconds since 1970.
    pub created: i64,
}

/// What a session's labels say.
#[derive(Clone, Debug)]
pub(crate) struct Labelled {
    /// The agent.
    pub(crate) agent: String,
    /// The project's directory.
    pub(crate) project: String,
    /// The version of the program that started it.
    pub(crate) version: Option<String>,
}

impl Labelled {
    /// Reads them; what has no agent is no session of ours.
    pub(crate) fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        let label = |name: &str| labels.get(name).cloned();
        Some(Self {
            agent: label(AGENT)?,
            project: label(PROJECT).unwrap_or_default(),
            version: label(VERSION),
        })
    }
}

/// What is to be known of a session to talk with it.
#[derive(Clone, Debug)]
pub struct SessionDetails {
    /// The container's id.
    pub id: String,
    /// What it does.
    pub state: SessionState,
    /// Its variables, the image's included.
    pub env: BTreeMap<String, String>,
    /// Its first process' program.
    pub program: String,
    /// As whom its first process runs.
    pub user: String,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// What is kept of what it prints.
    pub log: SessionLog,
    /// When it ended, RFC 3339; a time long ago if it has not.
    pub finished: String,
    /// What becomes of it when it ends.
    pub ended: WhenEnded,
}
