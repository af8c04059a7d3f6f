//! Ends a container.

use std::time::Duration;

use crate::engine::{
    docker::{
        Docker,
        error::{EngineError, is_missing},
        wire,
    },
    session::Stopped,
};

impl Docker {
    /// Asks a container to end, kills it when it still runs after so many seconds, and removes what is left of it.
    pub(crate) async fn stop_session(
        &self,
        id: &str,
        (seconds, theirs): (u32, Duration),
    ) -> Result<Stopped, EngineError> {
        let options = bollard::query_parameters::StopContainerOptionsBuilder::new()
            .t(i32::try_from(seconds).unwrap_or(i32::MAX))
            .build();
        // The answer comes when it has ended, which may take as long as was asked for.
        let stopped = match self.patient.stop_container(id, Some(options)).await {
            Ok(()) => Stopped::Ended,
            Err(error) if is_missing(&error) => return Ok(Stopped::Gone),
            Err(error) => return Err(EngineError::call("stop the container", error)),
        };
        if !self.info().removes_ended() && !theirs.is_zero() {
            tokio::time::timeout(theirs, gone(self, id))
                .await
                .unwrap_or_default();
        }
        self.remove_container(id).await?;
        // Another may be removing it; its name is free when it is gone.
        gone(self, id).await;
        Ok(stopped)
    }
}

/// Waits until the container is not there any more.
async fn gone(docker: &Docker, id: &str) {
    let gone = docker.path(&format!("/containers/{id}/wait?condition=removed"));
    if let Ok(answer) = docker.endpoint().post(&gone).await {
        drop(wire::collect(answer.into_body(), 64 << 10).await);
    }
}
