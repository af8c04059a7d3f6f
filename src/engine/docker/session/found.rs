//! Sessions that an engine has.

use std::collections::BTreeMap;

use bollard::query_parameters::ListContainersOptionsBuilder;
use serde::Deserialize;

use crate::engine::{
    docker::{Docker, WireError, error::EngineError},
    session::{
        EngineSession, Labelled, SESSION, SessionDetails, SessionLog, SessionState, UID, WhenEnded,
    },
};

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

/// Asks for a container.
async fn read(docker: &Docker, id: &str) -> Result<SessionDetails, WireError> {
    let path = docker.path(&format!("/containers/{id}/json"));
    let (_headers, inspected): (_, Inspected) = docker.endpoint().get(&path).await?;
    let env = inspected.config.env.unwrap_or_default();
    let log = inspected.host_config.log_config;
    Ok(SessionDetails {
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
        log: match log {
            Some(log) if log.driver == "none" => SessionLog::None,
            Some(_) | None => SessionLog::Bounded,
        },
        finished: inspected.state.finished_at,
        ended: if inspected.host_config.auto_remove {
            WhenEnded::Removed
        } else {
            WhenEnded::Kept
        },
    })
}

impl Docker {
    /// Lists the sessions of a user, in no order.
    pub(crate) async fn sessions(&self, uid: u32) -> Result<Vec<EngineSession>, EngineError> {
        let labels = vec![SESSION.to_owned(), format!("{UID}={uid}")];
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&[("label".to_owned(), labels)].into())
            .build();
        let listed = self.containers(options).await?;
        let sessions = listed.into_iter();
        Ok(sessions
            .filter_map(|container| session(self, container))
            .collect())
    }

    /// Tells what is to be known of a session; `None` if it is gone.
    pub(crate) async fn session_details(
        &self,
        id: &str,
    ) -> Result<Option<SessionDetails>, EngineError> {
        match read(self, id).await {
            Ok(details) => Ok(Some(details)),
            Err(WireError::Answer { status: 404, .. }) => Ok(None),
            Err(error) => Err(self.failed("look at the container", error)),
        }
    }
}

fn session(docker: &Docker, container: bollard::models::ContainerSummary) -> Option<EngineSession> {
    let labels: BTreeMap<String, String> = container.labels?.into_iter().collect();
    let Labelled {
        agent,
        project,
        version,
    } = Labelled::read(&labels)?;
    let names = container.names.unwrap_or_default();
    let name = names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        // Links of other containers are names as well.
        .find(|name| !name.contains('/'))?;
    let status = container.status.unwrap_or_default();
    let state = container.state.map(|state| state.to_string());
    Some(EngineSession {
        engine: docker.into(),
        id: container.id?,
        name: name.to_owned(),
        agent,
        project,
        version,
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
