//! Ending sessions, and removing what ended ones left.

use std::{io, time::Duration};

use super::{
    directory,
    wire::{self, Answer, Request},
};
use crate::engine::{
    docker::EngineError,
    native::{Native, scratch},
    session::Stopped,
};

/// How long the keeper of a session that is removed may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Native {
    /// Kills a session and removes what is left of it; one that is not there is no error.
    pub(crate) async fn remove_session(&self, id: &str) -> Result<(), EngineError> {
        let removed = self.stop_session(id, (0, Duration::ZERO)).await;
        drop(self.ours.take(id));
        removed.map(|_| ())
    }

    /// Asks a session to end, kills it when it still runs after so many seconds, and removes what is left of it.
    pub(crate) async fn stop_session(
        &self,
        id: &str,
        (seconds, _): (u32, Duration),
    ) -> Result<Stopped, EngineError> {
        let Some(found) = self.found(id)? else {
            return Ok(Stopped::Gone);
        };
        if found.alive {
            let ask = async {
                let mut keeper = wire::ask(&found.path, &Request::Stop { seconds }).await?;
                wire::hear::<Answer>(&mut keeper).await
            };
            let patience = PATIENCE + Duration::from_secs(seconds.into());
            // One that ended meanwhile does not answer any more.
            drop(tokio::time::timeout(patience, ask).await);
        }
        match self.found(id)? {
            Some(left) if left.alive && left.record.ended.is_none() => Err(EngineError::Refused {
                what: "stop the session".to_owned(),
                message: "its keeper does not answer".to_owned(),
            }),
            Some(left) => {
                directory::remove(&left.path, id)
                    .map_err(EngineError::host("remove the session's directory"))?;
                Ok(Stopped::Ended)
            }
            None => Ok(Stopped::Ended),
        }
    }

    /// Removes what killed runs left.
    pub(crate) async fn sweep_sessions(&self) -> Result<(), EngineError> {
        let native = self.clone();
        let swept = tokio::task::spawn_blocking(move || {
            directory::sweep(&native.sessions_directory())
                .map_err(EngineError::host("remove what killed sessions left"))?;
            scratch::sweep(&native).map_err(EngineError::from)
        });
        swept
            .await
            .unwrap_or_else(|error| Err(EngineError::host("tidy up")(io::Error::other(error))))
    }
}
