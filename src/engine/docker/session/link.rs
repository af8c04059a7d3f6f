//! The two connections that we hold to a container that we talk with: its streams, and its exit.

use hyper::{Response, body::Incoming};
use serde::Deserialize;

use super::{
    super::{Docker, WireError, attach::Attach, error::EngineError, wire, wire::Hijacked},
    spec::SessionInput,
};

/// Longest answer that tells of an exit.
const EXIT_LIMIT: usize = 64 << 10;

/// The connections.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Hijacked,
    /// What is going to tell of the exit; asked for later where that cannot be asked before the start.
    exit: Option<Response<Incoming>>,
    wait: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exit {
    status_code: i32,
}

impl Link {
    /// Connects; the container need not run yet. `until` is what the engine calls the end: `removed` or `not-running`.
    pub(super) async fn open(
        docker: &Docker,
        id: &str,
        (input, until): (SessionInput, &str),
    ) -> Result<Self, EngineError> {
        let what = match input {
            SessionInput::Empty => Attach::Output,
            SessionInput::Terminal | SessionInput::Pipe => Attach::Both,
        };
        // What is not removed by the engine has a status as long as we leave it there. Podman tells none of a container that
        // is removed, and may miss the end of one that did not run yet.
        let later = !docker.info().removes_ended();
        let until = if later { "not-running" } else { until };
        let wait = docker.path(&format!("/containers/{id}/wait?condition={until}"));
        let exit = async {
            if later {
                return Ok(None);
            }
            let answer = docker.endpoint().post(&wait).await;
            answer
                .map(Some)
                .map_err(|error| docker.failed("wait for the container", error))
        };
        let (stream, exit) = tokio::try_join!(docker.attach(id, what), exit)?;
        Ok(Self { stream, exit, wait })
    }

    /// Takes the connections apart: the streams, and what will tell the exit status.
    pub(super) fn split(
        self,
        docker: &Docker,
    ) -> (Hijacked, impl Future<Output = Result<i32, EngineError>>) {
        let failed = |error| docker.failed("wait for the container", error);
        let (begun, wait) = (self.exit, self.wait);
        let exit = async move {
            let answer = match begun {
                Some(answer) => answer,
                None => docker.endpoint().post(&wait).await.map_err(failed)?,
            };
            let body = answer.into_body();
            let bytes = wire::collect(body, EXIT_LIMIT).await.map_err(failed)?;
            let exit: Exit =
                serde_json::from_slice(&bytes).map_err(|error| failed(WireError::Json(error)))?;
            Ok(exit.status_code)
        };
        (self.stream, exit)
    }
}
