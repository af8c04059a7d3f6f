//! What a session needs of whatever keeps it, one function for each.
//!
//! Invariant: whoever talks with a session does not know what keeps it.

use tokio::io::AsyncRead;

use super::{
    EngineSession, ExecSpec, Link, LogsWanted, Memory, Program, SessionDetails, SessionInput,
    SessionSpec, WhenEnded,
};
use crate::engine::{Engine, docker::EngineError};

impl Engine {
    /// Lists the sessions of a user, the oldest first.
    pub async fn sessions(&self, uid: u32) -> Result<Vec<EngineSession>, EngineError> {
        match self {
            Self::Docker(docker) => docker.sessions(uid).await,
            Self::Native(_) => Ok(Vec::new()),
        }
    }

    /// Tells what is to be known of a session; `None` if it is gone.
    pub async fn session_details(&self, id: &str) -> Result<Option<SessionDetails>, EngineError> {
        match self {
            Self::Docker(docker) => docker.session_details(id).await,
            Self::Native(_) => Ok(None),
        }
    }

    /// Creates a container; returns its id.
    pub(super) async fn create_one(
        &self,
        spec: &SessionSpec,
        name: Option<String>,
    ) -> Result<String, EngineError> {
        match self {
            Self::Docker(docker) => docker.create_session(spec, name).await,
            Self::Native(_) => Err(no_sessions()),
        }
    }

    /// Starts what was created.
    pub(super) async fn start_session(&self, id: &str) -> Result<(), EngineError> {
        match self {
            Self::Docker(docker) => docker.start_container(id).await,
            Self::Native(_) => Err(no_sessions()),
        }
    }

    /// Lets it run without us from now on.
    #[expect(clippy::unused_async, reason = "not every engine runs on by itself")]
    pub(super) async fn leave_session(&self, _id: &str) -> Result<(), EngineError> {
        match self {
            Self::Docker(_) | Self::Native(_) => Ok(()),
        }
    }

    /// Kills and removes it; one that is not there is no error.
    pub(super) async fn remove_session(&self, id: &str) -> Result<(), EngineError> {
        match self {
            Self::Docker(docker) => docker.remove_container(id).await,
            Self::Native(_) => Ok(()),
        }
    }

    /// Whether what has ended is removed without us.
    pub(super) fn removes_ended(&self) -> bool {
        match self {
            Self::Docker(docker) => docker.info().removes_ended(),
            Self::Native(_) => true,
        }
    }

    /// Removes what killed runs left.
    pub(super) async fn sweep_sessions(&self) -> Result<(), EngineError> {
        match self {
            Self::Docker(docker) => docker.sweep().await,
            Self::Native(_) => Ok(()),
        }
    }

    /// Connects to a container that need not run yet.
    pub(super) async fn open_link(
        &self,
        id: &str,
        how: (SessionInput, WhenEnded),
    ) -> Result<Link, EngineError> {
        match self {
            Self::Docker(docker) => docker.open_link(id, how).await,
            Self::Native(_) => Err(no_sessions()),
        }
    }

    /// Tells its terminal another size: height and width. One that has just exited has none.
    pub(super) async fn resize_session(&self, id: &str, size: (u16, u16)) {
        match self {
            Self::Docker(docker) => docker.resize_session(id, size).await,
            Self::Native(_) => {}
        }
    }

    /// Sends a signal, by its name; one that has just exited takes none.
    pub(super) async fn signal_session(&self, id: &str, name: &str) {
        match self {
            Self::Docker(docker) => docker.signal_session(id, name).await,
            Self::Native(_) => {}
        }
    }

    /// Tells whether one that was killed was short of memory.
    pub(super) async fn memory_of(&self, id: &str) -> Memory {
        match self {
            Self::Docker(docker) => docker.memory_of(id).await,
            Self::Native(_) => Memory::Enough,
        }
    }

    /// Opens what was kept of what it printed: bare bytes of a terminal, or frames.
    pub(super) async fn open_log(
        &self,
        id: &str,
        wanted: LogsWanted,
    ) -> Result<Box<dyn AsyncRead + Unpin + Send>, EngineError> {
        match self {
            Self::Docker(docker) => docker.open_log(id, wanted).await,
            Self::Native(_) => Err(no_sessions()),
        }
    }

    /// Prepares another program in it.
    pub(super) async fn prepare_program(
        &self,
        id: &str,
        spec: &ExecSpec,
    ) -> Result<Program, EngineError> {
        match self {
            Self::Docker(docker) => docker.prepare_program(id, spec).await.map(Program::Docker),
            Self::Native(_) => Err(no_sessions()),
        }
    }
}

/// The machine itself keeps no sessions yet.
fn no_sessions() -> EngineError {
    EngineError::NativeChosen {
        why: "it keeps no sessions yet".to_owned(),
    }
}
