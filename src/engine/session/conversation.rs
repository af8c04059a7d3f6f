//! Talking with a container that runs: bytes both ways, sizes and signals, until it exits or the user leaves.
//!
//! Invariant: whoever talks from a terminal finds it as it was, also when the agent did not tidy up because it was left,
//! killed or lost. An engine that goes away and comes back is waited for; what was typed meanwhile is not lost.

use std::{
    io::Write as _,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{
    Ending, KILLED, Memory, Talk,
    found::SessionState,
    link::{Exit, Link},
    modes::TerminalModes,
    signals::{EndingSignal, GRACE, INSISTENT, Received, Signals, stop_ourselves},
    spec::SessionInput,
    streams::{Drained, Input, Typed, forward_bytes, forward_frames},
    terminal::{self, RawTerminal},
};
use crate::engine::{Engine, docker::EngineError};

/// How long an engine may be away; a restart takes some seconds.
const AWAY: Duration = Duration::from_mins(1);
/// How often an engine that is away is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Whose container it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Ours: signals are its, and it ends with us.
    Starter,
    /// We only look in: it runs on without us.
    Visitor,
}

/// What we talk about, and with what.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    engine: &'a Engine,
    id: &'a str,
    talk: Talk<'a>,
    part: Part,
    input: Option<Arc<tokio::sync::Mutex<Input>>>,
    raw: Option<RawTerminal>,
    modes: Arc<Mutex<TerminalModes>>,
    interrupts: u32,
}

/// Why a connection is not used any more.
enum Talked {
    Ended(Ending),
    Broken,
}

/// What is left behind when a terminal is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// An agent that said its last words.
    Ended,
    /// One that was in the middle of something.
    Alive,
}

/// A task that ends with whoever started it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        (engine, id): (&'a Engine, &'a str),
        (talk, part): (Talk<'a>, Part),
        raw: Option<RawTerminal>,
    ) -> Result<Self, EngineError> {
        let input = match talk.input {
            SessionInput::Empty => None,
            SessionInput::Terminal | SessionInput::Pipe => {
                let input = Input::start().map_err(EngineError::host("read stdin"))?;
                Some(Arc::new(tokio::sync::Mutex::new(input)))
            }
        };
        Ok(Self {
            engine,
            id,
            talk,
            part,
            input,
            raw,
            modes: Arc::default(),
            interrupts: 0,
        })
    }

    /// Talks until the end.
    pub(super) async fn hold(mut self, mut link: Link, signals: &mut Signals) -> Ending {
        loop {
            match self.over(link, signals).await {
                Talked::Ended(ending) => {
                    self.leave_terminal(match ending {
                        Ending::Exited { .. } => Behind::Ended,
                        Ending::Left | Ending::LeftBehind | Ending::Lost | Ending::Unknown => {
                            Behind::Alive
                        }
                    });
                    return ending;
                }
                Talked::Broken => match self.come_back(signals).await {
                    Ok(again) => link = again,
                    Err(ending) => return ending,
                },
            }
        }
    }

    /// Talks over one connection.
    async fn over(&mut self, link: Link, signals: &mut Signals) -> Talked {
        let Link { stream, mut exit } = link;
        let (from, to) = tokio::io::split(stream);
        let mut output = Task(match self.talk.input {
            SessionInput::Terminal => tokio::spawn(forward_bytes(from, Arc::clone(&self.modes))),
            SessionInput::Pipe | SessionInput::Empty => tokio::spawn(forward_frames(from)),
        });
        let mut input = self.input.clone().map(|input| {
            let keys = self.talk.keys.clone();
            let keys = (self.talk.input == SessionInput::Terminal).then_some(keys);
            Task(tokio::spawn(async move {
                input.lock().await.forward(to, keys.as_ref()).await
            }))
        });
        let (mut status, mut drained) = (None, None);
        let mut overdue = std::pin::pin!(None::<tokio::time::Sleep>);
        self.resize().await;
        while status.is_none() || drained.is_none() {
            tokio::select! {
                answer = &mut exit, if status.is_none() => match answer {
                    Ok(exit) => status = Some(exit),
                    Err(_) => return Talked::Broken,
                },
                end = &mut output.0, if drained.is_none() => {
                    let end = end.unwrap_or(Drained::Broken);
                    if end == Drained::Unread && status.is_none() {
                        if self.part == Part::Visitor {
                            return Talked::Ended(Ending::Left);
                        }
                        // With it, whoever keeps the session sees that nobody is here.
                        input = None;
                        self.signal("SIGTERM").await;
                        overdue.set(Some(tokio::time::sleep(GRACE)));
                    }
                    drained = Some(end);
                }
                Some(end) = typed(&mut input) => {
                    input = None;
                    if end == Typed::Detach {
                        return Talked::Ended(Ending::Left);
                    }
                }
                Some(()) = ended(overdue.as_mut()) => {
                    overdue.set(None);
                    self.signal("SIGKILL").await;
                }
                received = signals.next() => match received {
                    Received::Ending(_) if status.is_some() => break,
                    Received::Ending(signal) => {
                        if self.part == Part::Visitor {
                            return Talked::Ended(Ending::Left);
                        }
                        self.pass_on(signal).await;
                        if signal.is_final() && overdue.is_none() {
                            overdue.set(Some(tokio::time::sleep(GRACE)));
                        }
                    }
                    other => self.adapt(other).await,
                }
            }
        }
        let status = match status {
            Some(Exit::Ended(status)) => status,
            Some(Exit::LeftBehind) => return Talked::Ended(Ending::LeftBehind),
            None => 125,
        };
        let memory = if status == KILLED {
            self.engine.memory_of(self.id).await
        } else {
            Memory::Enough
        };
        Talked::Ended(Ending::Exited { status, memory })
    }

    async fn pass_on(&mut self, signal: EndingSignal) {
        self.interrupts += 1;
        let insists = self.interrupts >= INSISTENT;
        self.signal(if insists { "SIGKILL" } else { signal.name() })
            .await;
    }

    /// Does what a signal asks that is not the container's.
    async fn adapt(&self, received: Received) {
        match received {
            Received::Suspended => {
                if let Some(raw) = &self.raw {
                    raw.pause();
                }
                stop_ourselves();
            }
            Received::Continued => {
                if let Some(raw) = &self.raw {
                    raw.resume();
                }
                self.resize().await;
            }
            Received::Resized => self.resize().await,
            Received::Ending(_) => {}
        }
    }

    /// Waits for an engine that went away, and takes up the conversation where the container still runs.
    ///
    /// An engine that is just back refuses now and then: nothing of that is a reason to end an agent.
    async fn come_back(&mut self, signals: &mut Signals) -> Result<Link, Ending> {
        self.leave_terminal(Behind::Alive);
        (self.talk.tell)(
            "the connection to the container engine broke off; waiting for it to come back (Ctrl-C ends the waiting)",
        );
        let link = tokio::select! {
            found = tokio::time::timeout(AWAY, self.found_again()) => found.unwrap_or(Err(Ending::Unknown)),
            () = signals.ending() => Err(Ending::Unknown),
        }?;
        (self.talk.tell)("the container engine is back");
        if let Some(raw) = &self.raw {
            raw.resume();
        }
        let modes = self.modes();
        self.redraw(modes).await;
        Ok(link)
    }

    /// Asks until the engine answers, and lets us in again where the container still runs.
    async fn found_again(&self) -> Result<Link, Ending> {
        loop {
            match self.engine.session_details(self.id).await {
                Ok(None) => return Err(Ending::Lost),
                Ok(Some(session))
                    if matches!(session.state, SessionState::Starting | SessionState::Ended) =>
                {
                    return Err(Ending::Lost);
                }
                Ok(Some(session)) if self.talk.input == SessionInput::Terminal => {
                    let how = (self.talk.input, session.ended);
                    if let Ok(link) = self.engine.open_link(self.id, how).await {
                        return Ok(link);
                    }
                }
                // Bytes are missing, and no client of a pipe can know which.
                Ok(Some(_)) if self.part == Part::Visitor => return Err(Ending::Unknown),
                Ok(Some(_)) => {
                    if self.engine.remove_session(self.id).await.is_ok() {
                        return Err(Ending::Lost);
                    }
                }
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Has the agent draw its screen anew for a terminal that shows nothing of it yet.
    pub(super) async fn redraw(&self, modes: TerminalModes) {
        if self.talk.input != SessionInput::Terminal {
            return;
        }
        print(&modes.enter());
        *self.modes.lock().unwrap_or_else(PoisonError::into_inner) = modes;
        // An agent draws when its size changes, and only then.
        if let Some((height, width)) = terminal::size() {
            self.resize_to(height, width.saturating_add(1)).await;
            self.resize_to(height, width).await;
        }
    }

    /// Undoes what the agent did to the terminal and has not undone.
    fn leave_terminal(&self, left: Behind) {
        if let Some(raw) = &self.raw {
            print(&self.modes().leave());
            // What is said next begins a line of its own, wherever the agent's cursor is.
            if left == Behind::Alive {
                print("\r\n");
            }
            raw.pause();
        }
    }

    fn modes(&self) -> TerminalModes {
        let modes = self.modes.lock().unwrap_or_else(PoisonError::into_inner);
        modes.clone()
    }

    async fn resize(&self) {
        if let (SessionInput::Terminal, Some((height, width))) = (self.talk.input, terminal::size())
        {
            self.resize_to(height, width).await;
        }
    }

    async fn resize_to(&self, height: u16, width: u16) {
        self.engine.resize_session(self.id, (height, width)).await;
    }

    async fn signal(&self, name: &str) {
        self.engine.signal_session(self.id, name).await;
    }
}

/// Waits for the end of what is typed, if anything is.
async fn typed(input: &mut Option<Task<Typed>>) -> Option<Typed> {
    let task = input.as_mut()?;
    Some((&mut task.0).await.unwrap_or(Typed::Refused))
}

/// Waits for a timer, if there is one.
async fn ended(timer: Pin<&mut Option<tokio::time::Sleep>>) -> Option<()> {
    timer.as_pin_mut()?.await;
    Some(())
}

/// Speaks to the terminal itself.
pub(super) fn print(sequence: &str) {
    if !sequence.is_empty() {
        let mut stdout = std::io::stdout().lock();
        // A terminal that went away needs nothing.
        drop(stdout.write_all(sequence.as_bytes()));
        drop(stdout.flush());
    }
}
