//! Sessions that this machine keeps by itself: each has a [`keeper`], a process of its own that outlives aicage where the
//! user left, and a [`directory`], which is all that anybody else knows of it.
//!
//! Invariant: a session has a keeper or has ended; what a killed one leaves is removed by the next run.

mod compose;
mod create;
mod directory;
mod end;
mod image_file;
mod join;
pub(super) mod keeper;
mod log;
mod program;
mod record;
mod refused;
mod users;
mod wire;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::net::UnixStream;

use self::{directory::Found, join::signal};
use super::{Native, error::NativeError};
use crate::engine::{
    Engine,
    docker::EngineError,
    session::{EngineSession, Labelled, SessionDetails, SessionLog, SessionState, UID, WhenEnded},
};

pub(crate) use program::NativeProgram;
pub(super) use record::Process;

/// The directory of sessions, in the store.
const SESSIONS: &str = "sessions";

/// The connections to keepers of sessions that we created and have not left: they end the sessions when they end.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours(Arc<Mutex<BTreeMap<String, UnixStream>>>);

impl Ours {
    fn put(&self, id: &str, keeper: UnixStream) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.to_owned(), keeper);
    }

    fn take(&self, id: &str) -> Option<UnixStream> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id)
    }

    fn has(&self, id: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(id)
    }
}

impl Native {
    fn sessions_directory(&self) -> PathBuf {
        self.store.join(SESSIONS)
    }

    fn found(&self, id: &str) -> Result<Option<Found>, EngineError> {
        directory::find(&self.sessions_directory(), id)
            .map_err(EngineError::host("look for the session"))
    }

    /// Lists the sessions of a user, in no order.
    pub(crate) fn sessions(&self, uid: u32) -> Result<Vec<EngineSession>, EngineError> {
        let all = directory::all(&self.sessions_directory());
        let all = all.map_err(EngineError::host("look for sessions"))?;
        let uid = uid.to_string();
        Ok(all
            .into_iter()
            .filter(|found| found.record.labels.get(UID) == Some(&uid))
            .filter_map(|found| self.listed(&found))
            .collect())
    }

    fn listed(&self, found: &Found) -> Option<EngineSession> {
        let record = &found.record;
        let state = state(found);
        if state == SessionState::Ended && !record.kept {
            // Its keeper was killed; the next run removes it.
            return None;
        }
        let Labelled {
            agent,
            project,
            version,
        } = Labelled::read(&record.labels)?;
        Some(EngineSession {
            engine: Engine::Native(self.clone()),
            id: record.id.clone(),
            name: found.name(),
            agent,
            project,
            version,
            image: record.image.clone(),
            state,
            exit: found.ended().and_then(|ended| ended.status),
            created: record.created,
        })
    }

    /// Tells what is to be known of a session; `None` if it is gone.
    pub(crate) fn session_details(&self, id: &str) -> Result<Option<SessionDetails>, EngineError> {
        let Some(found) = self.found(id)? else {
            return Ok(None);
        };
        let (uid, gid) = found.record.user;
        Ok(Some(SessionDetails {
            state: state(&found),
            finished: found.ended().map(|ended| ended.at).unwrap_or_default(),
            program: found.record.command.first().cloned().unwrap_or_default(),
            user: if (uid, gid) == (0, 0) {
                String::new()
            } else {
                format!("{uid}:{gid}")
            },
            terminal: found.record.terminal,
            log: if found.record.log {
                SessionLog::Bounded
            } else {
                SessionLog::None
            },
            ended: if found.record.kept {
                WhenEnded::Kept
            } else {
                WhenEnded::Removed
            },
            id: found.record.id,
            env: found.record.env,
        }))
    }
}

fn state(found: &Found) -> SessionState {
    match (found.ended(), found.record.process) {
        (Some(_), _) => SessionState::Ended,
        (None, Some(_)) => SessionState::Running,
        (None, None) => SessionState::Starting,
    }
}

/// A shell tells a program that is missing from one that is none by its exit status, and so do we.
fn failure(what: &str, errno: i32) -> EngineError {
    let source = io::Error::from_raw_os_error(errno);
    let is_program = what.starts_with("run ");
    let status = match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if is_program => 127,
        _ if is_program => 126,
        // No engine has a log of that.
        _ if errno != 0 => {
            let what = what.to_owned();
            return NativeError::Cage { what, source }.into();
        }
        _ => 125,
    };
    if let Some(what) = what.strip_prefix("cannot ") {
        let what = what.to_owned();
        return NativeError::Job { what }.into();
    }
    let message = if errno == 0 {
        what.to_owned()
    } else {
        format!("cannot {what}: {source}")
    };
    EngineError::Start { message, status }
}
