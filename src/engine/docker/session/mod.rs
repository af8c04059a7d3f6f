//! Containers that agents live in: started with the user at their terminal, in a pipe or in the background; found,
//! joined, looked at and ended later.
//!
//! Invariants: a container that we talk with from its start is gone at the end, whatever happened (the engine removes it
//! when it exits, we when it never started), unless the user left it running; all it printed is printed before; the
//! terminal is as it was.

mod conversation;
mod create;
mod detach;
mod exec;
mod found;
mod link;
mod logs;
mod modes;
mod name;
mod options;
mod out_of_memory;
mod signals;
mod spec;
mod stop;

use std::{pin::pin, time::Duration};

use self::{
    conversation::{Conversation, Part},
    create::create,
    link::Link,
    signals::Signals,
};
use super::{Docker, error::EngineError, terminal::RawTerminal, throwaway::sweep};

pub(crate) use self::{
    create::{assignments, no_log, session_log},
    found::{AGENT, PROJECT, UID, VERSION},
    modes::TerminalModes,
};
pub use self::{
    detach::{DetachKeys, USUAL_KEYS, UnknownKey},
    exec::{ExecSpec, exec_session},
    found::{EngineSession, SessionDetails, SessionState},
    logs::{LogsWanted, session_logs},
    name::SessionName,
    spec::{Access, Network, SessionInput, SessionLog, SessionMount, SessionSpec, WhenEnded},
    stop::{Stopped, stop_session},
};

/// How we talk with a container.
#[derive(Clone, Copy)]
pub struct Talk<'a> {
    /// How our stdin and terminal are connected to it.
    pub input: SessionInput,
    /// What leaves it running; only a terminal has keys.
    pub keys: &'a DetachKeys,
    /// Says what the user should know meanwhile.
    pub tell: &'a (dyn Fn(&str) + Send + Sync),
}

impl std::fmt::Debug for Talk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Talk")
            .field("input", &self.input)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// How talking with a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The container has exited.
    Exited {
        /// Its exit status.
        status: i32,
        /// Whether the kernel killed any of it for want of memory.
        memory: Memory,
    },
    /// The user left, and it runs on.
    Left,
    /// The engine went away for a while, and the container is not there any more.
    Lost,
    /// The engine went away and did not come back while we waited. The container may run on.
    Unknown,
}

/// Whether there was memory enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// As far as we know.
    Enough,
    /// The kernel killed a process of it.
    Exhausted,
}

/// A container that was created and not started; what is not started is removed by the next run.
#[derive(Debug)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It is we who remove it at its end.
    ours: bool,
    /// What came since before it was created.
    signals: Signals,
}

/// What most engines create a container in.
const BRIEF: Duration = Duration::from_secs(2);

/// Creates a container under a name that no other has. It may take minutes: rootless Podman makes a copy of each new image
/// with the caller's ids.
pub async fn create_session(docker: &Docker, spec: &SessionSpec) -> Result<Created, EngineError> {
    let mut signals = Signals::new().map_err(EngineError::host("watch for signals"))?;
    let mut creating = pin!(name::create_named(docker, spec, create));
    let (id, name) = tokio::select! {
        created = &mut creating => created?,
        () = signals.ending() => {
            // Where it takes longer, what comes of it is removed by the next run.
            if let Ok(Ok((id, _))) = tokio::time::timeout(BRIEF, creating).await {
                docker.remove_container(&id).await?;
            }
            return Err(EngineError::Interrupted);
        }
    };
    let ours = !docker.info().removes_ended() && spec.ended == WhenEnded::Removed;
    Ok(Created {
        id,
        name,
        ours,
        signals,
    })
}

/// Runs a container until it exits or the user leaves it.
pub async fn run_session(
    docker: &Docker,
    spec: &SessionSpec,
    talk: &Talk<'_>,
) -> Result<Ending, EngineError> {
    create_session(docker, spec).await?.run(docker, talk).await
}

impl Created {
    /// Starts it and leaves it alone.
    pub async fn start(mut self, docker: &Docker) -> Result<(), EngineError> {
        let started = tokio::select! {
            started = docker.start_container(&self.id) => started,
            () = self.signals.ending() => Err(EngineError::Interrupted),
        };
        match started {
            Ok(()) => Ok(()),
            Err(error) => {
                let removed = docker.remove_container(&self.id).await;
                EngineError::and_removed(&self.id, Err(error), removed)
            }
        }
    }

    /// Starts it and talks with it.
    pub async fn run(mut self, docker: &Docker, talk: &Talk<'_>) -> Result<Ending, EngineError> {
        let outcome = converse(docker, &self.id, talk, &mut self.signals).await;
        if outcome.is_err() {
            // The engine removes what has run; what did not get that far is ours to remove.
            let removed = docker.remove_container(&self.id).await;
            return EngineError::and_removed(&self.id, outcome, removed);
        }
        if self.ours && matches!(outcome, Ok(Ending::Exited { .. })) {
            docker.remove_container(&self.id).await?;
        }
        outcome
    }
}

async fn converse(
    docker: &Docker,
    id: &str,
    talk: &Talk<'_>,
    signals: &mut Signals,
) -> Result<Ending, EngineError> {
    let link = tokio::select! {
        link = Link::open(docker, id, (talk.input, "removed")) => link?,
        () = signals.ending() => return Err(EngineError::Interrupted),
    };
    // Raw before the start, so that nothing typed meanwhile is echoed or lost.
    let raw = raw(talk.input)?;
    tokio::select! {
        started = docker.start_container(id) => started?,
        () = signals.ending() => return Err(EngineError::Interrupted),
    }
    // While the agent works there is time for what killed runs left; that it fails is no reason to tell anybody.
    let sweeper = docker.clone();
    tokio::spawn(async move { sweep(&sweeper).await.unwrap_or_default() });
    let conversation = Conversation::new((docker, id), (*talk, Part::Starter), raw)?;
    Ok(conversation.hold(link, signals).await)
}

/// Joins a container that runs already.
pub async fn attach_session(
    docker: &Docker,
    session: &SessionDetails,
    talk: &Talk<'_>,
) -> Result<Ending, EngineError> {
    let mut signals = Signals::new().map_err(EngineError::host("watch for signals"))?;
    let id = &session.id;
    let link = Link::open(docker, id, (talk.input, session.until())).await?;
    let mut modes = TerminalModes::default();
    if talk.input == SessionInput::Terminal {
        // What the agent switched on when it began, it will not switch on again for us.
        modes = logs::modes(docker, id).await;
    }
    let raw = raw(talk.input)?;
    let conversation = Conversation::new((docker, id), (*talk, Part::Visitor), raw)?;
    conversation.redraw(modes).await;
    Ok(conversation.hold(link, &mut signals).await)
}

fn raw(input: SessionInput) -> Result<Option<RawTerminal>, EngineError> {
    match input {
        SessionInput::Terminal => {
            RawTerminal::enter().map_err(EngineError::host("make the terminal raw"))
        }
        SessionInput::Pipe | SessionInput::Empty => Ok(None),
    }
}
