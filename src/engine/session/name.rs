//! The names of sessions, which are the names of their containers: an engine gives each only once.

use super::spec::SessionSpec;
use crate::engine::{Engine, docker::EngineError};

/// How many are tried before the engine may make one up.
const TRIES: u32 = 1000;

/// What a container is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionName {
    /// The engine makes one up.
    Any,
    /// This or none.
    Exactly(String),
    /// This, or with `-2`, `-3`, … where others have it.
    Like(String),
}

/// Creates a container under the first name that is free; returns its id and name.
pub(super) async fn create_named(
    engine: &Engine,
    spec: &SessionSpec,
) -> Result<(String, String), EngineError> {
    let create = |name: Option<String>| engine.create_one(spec, name);
    match &spec.name {
        SessionName::Any => {
            let id = create(None).await?;
            let short = id.chars().take(12).collect();
            Ok((id, short))
        }
        SessionName::Exactly(name) => {
            let mut created = create(Some(name.clone())).await;
            if matches!(created, Err(EngineError::NameTaken { .. })) {
                // It may be that of a start that was given up before its container was there.
                engine.sweep_sessions().await.unwrap_or_default();
                created = create(Some(name.clone())).await;
            }
            Ok((created?, name.clone()))
        }
        SessionName::Like(name) => {
            let mut outcome = None;
            for number in 1..=TRIES {
                let name = match number {
                    1 => name.clone(),
                    number => format!("{name}-{number}"),
                };
                match create(Some(name.clone())).await {
                    Ok(id) => return Ok((id, name)),
                    Err(error @ EngineError::NameTaken { .. }) => outcome = Some(error),
                    Err(error) => return Err(error),
                }
            }
            Err(outcome.unwrap_or(EngineError::NameTaken { name: name.clone() }))
        }
    }
}
