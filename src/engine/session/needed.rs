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
        let mut sessions = match self {
            Self::Docker(docker) => docker.sessions(uid).await,
            Self::Native(native) => native.sessions(uid),
        }?;
        sessions.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Ok(sessions)
    }

    /// Tells what is to be known of a session; `None` if it is gone.
    pub async fn session_details(&self, id: &str) -> Result<Option<SessionDetails>, EngineError> {
        match self {
            Self::Docker(docker) => docker.session_details(id).await,
            Self::Native(native) => native.session_details(id),
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
            Self::Native(native) => native.create_session(spec, name).await,
        }
    }

    /// Starts what was created.
    pub(super) async fn start_session(&self, id: &str) -> Result<(), EngineError> {
        match self {
            Self::Docker(docker) => docker.start_container(id).await,
            Self::Native(native) => native.start_session(id).await,
        }
    }

    /// Lets it run without us from now on.
    pub(super) async fn leave_session(&self, id: &str) -> Result<(), EngineError> {
        match self {
            Self::Docker(_) => Ok(()),
            Self::Native(native) => native.leave_session(id).await,
        }
    }

    /// Kills and removes it; one that is not there is no error.
    pub(super) async fn remove_session(&self, id: &str) -> Result<(), EngineError> {
        match self {
            Self::Docker(docker) => docker.remove_container(id).await,
            Self::Native(native) => native.remove_session(id).await,
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
            Self::Native(native) => native.sweep_sessions().await,
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
            Self::Native(native) => native.open_link(id, how).await,
        }
    }

    /// Tells its terminal another size: height and width. One that has just exited has none.
    pub(super) async fn resize_session(&self, id: &str, size: (u16, u16)) {
        match self {
            Self::Docker(docker) => docker.resize_session(id, size).await,
            Self::Native(native) => native.resize_session(id, size).await,
        }
    }

    /// Sends a signal, by its name; one that has just exited takes none.
    pub(super) async fn signal_session(&self, id: &str, name: &str) {
        match self {
            Self::Docker(docker) => docker.signal_session(id, name).await,
            Self::Native(native) => native.signal_session(id, name).await,
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
            Self::Native(native) => native.open_log(id, wanted),
        }
    }

    /// Prepares another program in it.
    pub(super) async fn prepare_program(
        &self,
        id: &str,
        spec: &ExecSpec,
    ) -> Result<Program, EngineError> {
        match self {
            Self::Docker(docker) => {
                let program = docker.prepare_program(id, spec).await?;
                Ok(Program::Docker(Box::new(program)))
            }
            Self::Native(native) => {
                let program = native.prepare_program(id, spec)?;
                Ok(Program::Native(Box::new(program)))
            }
        }
    }
}
