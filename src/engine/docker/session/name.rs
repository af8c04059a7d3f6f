//! The names of sessions, which are the names of their containers: the engine gives each only once.

use super::{
    super::{Docker, error::EngineError, throwaway::sweep},
    spec::SessionSpec,
};

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
pub(super) async fn create_named<'a, F>(
    docker: &'a Docker,
    spec: &'a SessionSpec,
    create: impl Fn(&'a Docker, &'a SessionSpec, Option<String>) -> F,
) -> Result<(String, String), EngineError>
where
    F: Future<Output = Result<String, EngineError>>,
{
    match &spec.name {
        SessionName::Any => {
            let id = create(docker, spec, None).await?;
            let short = id.chars().take(12).collect();
            Ok((id, short))
        }
        SessionName::Exactly(name) => {
            let mut created = create(docker, spec, Some(name.clone())).await;
            if matches!(created, Err(EngineError::NameTaken { .. })) {
                // It may be that of a start that was given up before its container was there.
                sweep(docker).await.unwrap_or_default();
                created = create(docker, spec, Some(name.clone())).await;
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
                match create(docker, spec, Some(name.clone())).await {
                    Ok(id) => return Ok((id, name)),
                    Err(error @ EngineError::NameTaken { .. }) => outcome = Some(error),
                    Err(error) => return Err(error),
                }
            }
            Err(outcome.unwrap_or(EngineError::NameTaken { name: name.clone() }))
        }
    }
}
