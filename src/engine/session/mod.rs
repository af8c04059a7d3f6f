//! Containers that agents live in, whatever keeps them: started with the user at their terminal, in a pipe or in the
//! background; found, joined, looked at and ended later.
//!
//! Invariants: a container that we talk with from its start is gone at the end, whatever happened, unless the user left it
//! running; all it printed is printed before; the terminal is as it was.

mod conversation;
mod detach;
mod exec;
mod found;
mod frames;
mod link;
mod logs;
mod modes;
mod name;
mod needed;
mod signals;
mod spec;
mod stop;
mod streams;
mod terminal;

use std::pin::pin;

use self::{
    conversation::{Conversation, Part},
    signals::Signals,
    terminal::RawTerminal,
};
use super::{Engine, docker::EngineError};

pub use self::{
    detach::{DetachKeys, USUAL_KEYS, UnknownKey},
    exec::{ExecSpec, exec_session},
    found::{EngineSession, SessionDetails, SessionState},
    logs::{LogsWanted, session_logs},
    name::SessionName,
    spec::{Access, Network, SessionInput, SessionLog, SessionMount, SessionSpec, WhenEnded},
    stop::{Stopped, stop_session},
};
pub(crate) use self::{
    exec::Program,
    found::{AGENT, Labelled, PROJECT, SESSION, UID, VERSION},
    frames::{Frames, Stream},
    link::{Bytes, Exit, Link},
    modes::TerminalModes,
    terminal::size as terminal_size,
};

/// The exit status of what was killed, as shells have it.
pub(crate) const KILLED: i32 = 128 + 9;

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
    /// It prints, or printed, faster than what it printed was read here; it may run on.
    LeftBehind,
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
    /// What it is on.
    engine: Engine,
    /// It is we who remove it at its end.
    ours: bool,
    /// What came since before it was created.
    signals: Signals,
}

/// Creates a container under a name that no other has. It may take minutes: rootless Podman makes a copy of each new image
/// with the caller's ids.
pub async fn create_session(engine: &Engine, spec: &SessionSpec) -> Result<Created, EngineError> {
    let mut signals = Signals::new().map_err(EngineError::host("watch for signals"))?;
    let mut creating = pin!(name::create_named(engine, spec));
    let (id, name) = tokio::select! {
        created = &mut creating => created?,
        () = signals.ending() => {
            // Where it takes longer, what comes of it is removed by the next run.
            if let Ok(Ok((id, _))) = tokio::time::timeout(signals::BRIEF, creating).await {
                engine.remove_session(&id).await?;
            }
            return Err(EngineError::Interrupted);
        }
    };
    Ok(Created {
        id,
        name,
        engine: engine.clone(),
        ours: !engine.removes_ended() && spec.ended == WhenEnded::Removed,
        signals,
    })
}

/// Runs a container until it exits or the user leaves it.
pub async fn run_session(
    engine: &Engine,
    spec: &SessionSpec,
    talk: &Talk<'_>,
) -> Result<Ending, EngineError> {
    create_session(engine, spec).await?.run(talk).await
}

impl Created {
    /// Starts it and leaves it alone.
    pub async fn start(mut self) -> Result<(), EngineError> {
        let started = tokio::select! {
            started = self.engine.start_session(&self.id) => started,
            () = self.signals.ending() => Err(EngineError::Interrupted),
        };
        match started {
            Ok(()) => {
                self.engine.leave_session(&self.id).await?;
                // What killed runs left is no reason for anybody to wait long, nor to tell of a failure.
                let swept = tokio::time::timeout(signals::BRIEF, self.engine.sweep_sessions());
                drop(swept.await);
                Ok(())
            }
            Err(error) => {
                let removed = self.engine.remove_session(&self.id).await;
                EngineError::and_removed(&self.id, Err(error), removed)
            }
        }
    }

    /// Starts it and talks with it.
    pub async fn run(mut self, talk: &Talk<'_>) -> Result<Ending, EngineError> {
        let outcome = converse((&self.engine, &self.id), talk, &mut self.signals).await;
        if outcome.is_err() {
            // The engine removes what has run; what did not get that far is ours to remove.
            let removed = self.engine.remove_session(&self.id).await;
            return EngineError::and_removed(&self.id, outcome, removed);
        }
        if self.ours && matches!(outcome, Ok(Ending::Exited { .. })) {
            self.engine.remove_session(&self.id).await?;
        }
        outcome
    }
}

async fn converse(
    (engine, id): (&Engine, &str),
    talk: &Talk<'_>,
    signals: &mut Signals,
) -> Result<Ending, EngineError> {
    let link = tokio::select! {
        link = engine.open_link(id, (talk.input, WhenEnded::Removed)) => link?,
        () = signals.ending() => return Err(EngineError::Interrupted),
    };
    // Raw before the start, so that nothing typed meanwhile is echoed or lost.
    let raw = raw(talk.input)?;
    tokio::select! {
        started = engine.start_session(id) => started?,
        () = signals.ending() => return Err(EngineError::Interrupted),
    }
    // While the agent works there is time for what killed runs left; that it fails is no reason to tell anybody.
    let sweeper = engine.clone();
    tokio::spawn(async move { sweeper.sweep_sessions().await.unwrap_or_default() });
    let conversation = Conversation::new((engine, id), (*talk, Part::Starter), raw)?;
    let ending = conversation.hold(link, signals).await;
    if ending == Ending::Left {
        engine.leave_session(id).await?;
    }
    Ok(ending)
}

/// Joins a container that runs already.
pub async fn attach_session(
    engine: &Engine,
    session: &SessionDetails,
    talk: &Talk<'_>,
) -> Result<Ending, EngineError> {
    let mut signals = Signals::new().map_err(EngineError::host("watch for signals"))?;
    let id = &session.id;
    let link = engine.open_link(id, (talk.input, session.ended)).await?;
    let mut modes = TerminalModes::default();
    if talk.input == SessionInput::Terminal {
        // What the agent switched on when it began, it will not switch on again for us.
        modes = logs::modes(engine, id).await;
    }
    let raw = raw(talk.input)?;
    let conversation = Conversation::new((engine, id), (*talk, Part::Visitor), raw)?;
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
