//! What a session printed, as it was kept: bounded, and gone with the session.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt as _;

use super::{
    found::SessionDetails,
    modes::TerminalModes,
    streams::{Drained, forward_bytes, forward_frames},
};
use crate::engine::{Engine, docker::EngineError};

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
    engine: &Engine,
    session: &SessionDetails,
    wanted: LogsWanted,
) -> Result<(), EngineError> {
    let body = engine.open_log(&session.id, wanted).await?;
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
pub(super) async fn modes(engine: &Engine, id: &str) -> TerminalModes {
    let mut modes = TerminalModes::default();
    if let Ok(mut log) = engine.open_log(id, LogsWanted::default()).await {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = log.read(&mut buffer).await {
            modes.see(buffer.get(..read).unwrap_or_default());
        }
    }
    modes
}
