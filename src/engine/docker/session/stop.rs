//! Ends a session: asked first, killed where it does not listen.

use std::time::Duration;

use super::super::{Docker, error::EngineError, error::is_missing};

/// What became of a session that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ran and was ended.
    Ended,
    /// It was gone already.
    Gone,
}

/// Asks a session to end, kills it when it still runs after so many seconds, and removes what is left of it.
///
/// Where the engine leaves that to us, whoever talks with the session reads its exit status from what is left and removes it:
/// for so long it is theirs.
pub async fn stop_session(
    docker: &Docker,
    id: &str,
    (seconds, theirs): (u32, Duration),
) -> Result<Stopped, EngineError> {
    let options = bollard::query_parameters::StopContainerOptionsBuilder::new()
        .t(i32::try_from(seconds).unwrap_or(i32::MAX))
        .build();
    // The answer comes when it has ended, which may take as long as was asked for.
    let stopped = match docker.patient.stop_container(id, Some(options)).await {
        Ok(()) => Stopped::Ended,
        Err(error) if is_missing(&error) => return Ok(Stopped::Gone),
        Err(error) => return Err(EngineError::call("stop the container", error)),
    };
    if !docker.info().removes_ended() && !theirs.is_zero() {
        tokio::time::timeout(theirs, gone(docker, id))
            .await
            .unwrap_or_default();
    }
    docker.remove_container(id).await?;
    // Another may be removing it; its name is free when it is gone.
    gone(docker, id).await;
    Ok(stopped)
}

/// Waits until the container is not there any more.
async fn gone(docker: &Docker, id: &str) {
    let gone = docker.path(&format!("/containers/{id}/wait?condition=removed"));
    if let Ok(answer) = docker.endpoint().post(&gone).await {
        drop(super::super::wire::collect(answer.into_body(), 64 << 10).await);
    }
}
