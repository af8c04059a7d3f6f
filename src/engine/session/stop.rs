//! Ends a session: asked first, killed where it does not listen.

use std::time::Duration;

use crate::engine::{Engine, docker::EngineError};

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
    engine: &Engine,
    id: &str,
    how: (u32, Duration),
) -> Result<Stopped, EngineError> {
    match engine {
        Engine::Docker(docker) => docker.stop_session(id, how).await,
        Engine::Native(native) => native.stop_session(id, how).await,
    }
}
