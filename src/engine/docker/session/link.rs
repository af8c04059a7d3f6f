//! The two connections that we hold to a container that we talk with: its streams, and its exit.

use hyper::{Response, body::Incoming};
use serde::Deserialize;

use crate::engine::{
    docker::{Docker, WireError, attach::Attach, error::EngineError, wire},
    session::{Exit, Link, SessionInput, WhenEnded},
};

/// Longest answer that tells of an exit.
const EXIT_LIMIT: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    status_code: i32,
}

impl Docker {
    /// Connects; the container need not run yet.
    pub(crate) async fn open_link(
        &self,
        id: &str,
        (input, ended): (SessionInput, WhenEnded),
    ) -> Result<Link, EngineError> {
        let what = match input {
            SessionInput::Empty => Attach::Output,
            SessionInput::Terminal | SessionInput::Pipe => Attach::Both,
        };
        // What is not removed by the engine has a status as long as we leave it there. Podman tells none of a container that
        // is removed, and may miss the end of one that did not run yet.
        let later = !self.info().removes_ended();
        let until = match ended {
            WhenEnded::Removed if !later => "removed",
            WhenEnded::Removed | WhenEnded::Kept => "not-running",
        };
        let wait = self.path(&format!("/containers/{id}/wait?condition={until}"));
        let begun = async {
            if later {
                return Ok(None);
            }
            let answer = self.endpoint().post(&wait).await;
            answer
                .map(Some)
                .map_err(|error| self.failed("wait for the container", error))
        };
        let (stream, begun) = tokio::try_join!(self.attach(id, what), begun)?;
        Ok(Link {
            stream: Box::new(stream),
            exit: Box::pin(exit(self.clone(), begun, wait)),
        })
    }
}

/// Waits for the exit status; it is asked for only now where that could not be asked before the start.
async fn exit(
    docker: Docker,
    begun: Option<Response<Incoming>>,
    wait: String,
) -> Result<Exit, EngineError> {
    let failed = |error| docker.failed("wait for the container", error);
    let answer = match begun {
        Some(answer) => answer,
        None => docker.endpoint().post(&wait).await.map_err(failed)?,
    };
    let body = answer.into_body();
    let bytes = wire::collect(body, EXIT_LIMIT).await.map_err(failed)?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|error| failed(WireError::Json(error)))?;
    Ok(Exit::Ended(answer.status_code))
}
