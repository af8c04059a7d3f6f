//! What a session printed, as its engine kept it: bounded, and gone with the session.

use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use tokio_util::io::StreamReader;

use super::{
    super::{
        Docker,
        error::EngineError,
        streams::{Drained, forward_bytes, forward_frames},
    },
    found::SessionDetails,
    modes::TerminalModes,
};

/// What of a log is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogsWanted {
    /// Go on with what is printed from now on, until the session ends.
    pub follow: bool,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
    /// The time before each line.
    pub timestamps: bool,
}

/// Prints a session's log.
pub async fn session_logs(
    docker: &Docker,
    session: &SessionDetails,
    wanted: LogsWanted,
) -> Result<(), EngineError> {
    let tail = wanted
        .tail
        .map_or("all".to_owned(), |lines| lines.to_string());
    let path = docker.path(&format!(
        "/containers/{}/logs?stdout=1&stderr=1&follow={}&tail={tail}&timestamps={}",
        session.id,
        u8::from(wanted.follow),
        u8::from(wanted.timestamps),
    ));
    let answer = docker.endpoint().open(&path).await;
    let answer = answer.map_err(|error| docker.failed("give the log of the container", error))?;
    let body = answer.into_body().into_data_stream();
    let body = StreamReader::new(body.map_err(std::io::Error::other));
    let drained = if session.terminal {
        forward_bytes(body, Arc::<Mutex<TerminalModes>>::default()).await
    } else {
        forward_frames(body).await
    };
    match drained {
        // A session that ends while it is followed takes its log along.
        Drained::Whole | Drained::Unread => Ok(()),
        Drained::Broken if wanted.follow => Ok(()),
        Drained::Broken => Err(EngineError::Refused {
            what: "give the log of the container".to_owned(),
            message: "it broke off".to_owned(),
        }),
    }
}

/// Reads out of a log what the agent switched on in its terminal; nothing where there is no log.
pub(super) async fn modes(docker: &Docker, id: &str) -> TerminalModes {
    let mut modes = TerminalModes::default();
    let path = docker.path(&format!("/containers/{id}/logs?stdout=1&stderr=1&follow=0"));
    if let Ok(answer) = docker.endpoint().open(&path).await {
        let mut body = answer.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(printed) = frame.data_ref() {
                modes.see(printed);
            }
        }
    }
    modes
}
