//! Sessions that an engine has, by the labels that we gave them.
//!
//! Invariant: only containers that a session of ours made are sessions; whatever else runs on the engine is not seen.

use std::collections::BTreeMap;

use bollard::query_parameters::ListContainersOptionsBuilder;
use serde::Deserialize;

use super::super::{Docker, WireError, error::EngineError};

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

/// A session, as the engine lists it.
#[derive(Clone, Debug)]
pub struct EngineSession {
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
    /// The engine's driver for its log.
    pub log_driver: String,
    /// When it ended, RFC 3339; a time long ago if it has not.
    pub finished: String,
    /// Whether the engine removes it when it ends.
    removed_at_end: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    path: String,
    state: InspectedState,
    config: InspectedConfig,
    host_config: InspectedHost,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    status: String,
    #[serde(default)]
    finished_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedConfig {
    #[serde(default)]
    tty: bool,
    #[serde(default)]
    user: String,
    env: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHost {
    #[serde(default)]
    auto_remove: bool,
    log_config: Option<InspectedLog>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedLog {
    #[serde(default, rename = "Type")]
    driver: String,
}

impl SessionDetails {
    /// What the engine calls this session's end.
    pub(super) fn until(&self) -> &'static str {
        if self.removed_at_end {
            "removed"
        } else {
            "not-running"
        }
    }

    /// Whether its log can be read.
    pub fn has_log(&self) -> bool {
        self.log_driver != "none"
    }

    /// Asks for a container.
    pub(super) async fn read(docker: &Docker, id: &str) -> Result<Self, WireError> {
        let path = docker.path(&format!("/containers/{id}/json"));
        let (_headers, inspected): (_, Inspected) = docker.endpoint().get(&path).await?;
        let env = inspected.config.env.unwrap_or_default();
        let log = inspected.host_config.log_config;
        Ok(Self {
            id: inspected.id,
            program: inspected.path,
            state: state(&inspected.state.status),
            env: env
                .iter()
                .filter_map(|variable| variable.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            user: inspected.config.user,
            terminal: inspected.config.tty,
            log_driver: log.map(|log| log.driver).unwrap_or_default(),
            finished: inspected.state.finished_at,
            removed_at_end: inspected.host_config.auto_remove,
        })
    }
}

impl Docker {
    /// Lists the sessions of a user, the oldest first.
    pub async fn sessions(&self, uid: u32) -> Result<Vec<EngineSession>, EngineError> {
        let labels = vec![SESSION.to_owned(), format!("{UID}={uid}")];
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&[("label".to_owned(), labels)].into())
            .build();
        let listed = self.containers(options).await?;
        let mut sessions: Vec<EngineSession> = listed.into_iter().filter_map(session).collect();
        sessions.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Ok(sessions)
    }

    /// Tells what is to be known of a session; `None` if it is gone.
    pub async fn session_details(&self, id: &str) -> Result<Option<SessionDetails>, EngineError> {
        match SessionDetails::read(self, id).await {
            Ok(details) => Ok(Some(details)),
            Err(WireError::Answer { status: 404, .. }) => Ok(None),
            Err(error) => Err(self.failed("look at the container", error)),
        }
    }
}

fn session(container: bollard::models::ContainerSummary) -> Option<EngineSession> {
    let mut labels: BTreeMap<String, String> = container.labels?.into_iter().collect();
    let names = container.names.unwrap_or_default();
    let name = names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        // Links of other containers are names as well.
        .find(|name| !name.contains('/'))?;
    let status = container.status.unwrap_or_default();
    let state = container.state.map(|state| state.to_string());
    Some(EngineSession {
        id: container.id?,
        name: name.to_owned(),
        agent: labels.remove(AGENT)?,
        project: labels.remove(PROJECT).unwrap_or_default(),
        version: labels.remove(VERSION),
        image: container.image.unwrap_or_default(),
        state: self::state(&state.unwrap_or_default()),
        exit: exit(&status),
        created: container.created.unwrap_or_default(),
    })
}

fn state(word: &str) -> SessionState {
    match word {
        "created" | "initialized" | "configured" => SessionState::Starting,
        "paused" => SessionState::Paused,
        "exited" | "dead" | "removing" | "stopped" | "stopping" => SessionState::Ended,
        _ => SessionState::Running,
    }
}

/// Reads the number in `Exited (137) 5 minutes ago`.
fn exit(status: &str) -> Option<i32> {
    let (_, rest) = status.split_once("Exited (")?;
    rest.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_read_where_there_is_one() {
        assert_eq!(exit("Exited (137) 5 minutes ago"), Some(137));
        assert_eq!(exit("Up 3 hours (Paused)"), None);
        assert_eq!(exit(""), None);
    }
}
