//! Runs another program in a session's container, with us at its streams.
//!
//! Invariant: the terminal is as it was; what its user leaves does not run on unseen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    KILLED, conversation,
    link::Bytes,
    modes::TerminalModes,
    signals::{EndingSignal, GRACE, INSISTENT, Received, Signals, stop_ourselves},
    spec::SessionInput,
    streams::{Drained, Input, forward_bytes, forward_frames},
    terminal::{self, RawTerminal},
};
use crate::engine::{
    Engine,
    docker::{DockerProgram, EngineError},
    native::NativeProgram,
};

/// How long is waited between two questions whether a program that closed its streams has ended: first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How long is waited for the end of a program that was killed; without a shell inside nothing can kill it.
const DYING: Duration = Duration::from_secs(2);

/// What is to be run in a session.
#[derive(Clone, Debug)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Environment, on top of the container's.
    pub env: BTreeMap<String, String>,
    /// What becomes the program, where that is not the engine: it and its arguments stand before the program.
    pub launcher: Vec<String>,
    /// As whom the engine starts it.
    pub user: String,
    /// Where it starts.
    pub working_dir: Option<String>,
    /// How our stdin and terminal are connected.
    pub input: SessionInput,
}

impl ExecSpec {
    /// What is started, with its arguments.
    pub(crate) fn words(&self) -> Vec<String> {
        [self.launcher.as_slice(), self.command.as_slice()].concat()
    }
}

/// A program that was prepared in a container.
#[derive(Debug)]
pub(crate) enum Program {
    /// In one of an engine.
    Docker(Box<DockerProgram>),
    /// In one of this machine's.
    Native(Box<NativeProgram>),
}

impl Program {
    /// Starts it and connects to it.
    async fn start(&self) -> Result<Box<dyn Bytes>, EngineError> {
        match self {
            Self::Docker(program) => program.start().await,
            Self::Native(program) => program.start().await,
        }
    }

    /// Tells its terminal another size: height and width.
    async fn resize(&self, size: (u16, u16)) {
        match self {
            Self::Docker(program) => program.resize(size).await,
            Self::Native(program) => program.resize(size),
        }
    }

    /// Sends a signal to it and all that it started, by the name that `kill` knows.
    async fn signal(&self, name: &str) {
        match self {
            Self::Docker(program) => program.signal(name).await,
            Self::Native(program) => program.signal(name),
        }
    }

    /// Asks for its exit status; there is none while it runs.
    async fn status(&self) -> Result<Option<i32>, EngineError> {
        match self {
            Self::Docker(program) => program.status().await,
            Self::Native(program) => Ok(program.status()),
        }
    }
}

/// Runs a program in a container and returns its exit status.
pub async fn exec_session(
    engine: &Engine,
    container: &str,
    spec: &ExecSpec,
) -> Result<i32, EngineError> {
    let mut signals = Signals::new().map_err(EngineError::host("watch for signals"))?;
    let exec = Exec {
        program: engine.prepare_program(container, spec).await?,
        input: spec.input,
    };
    exec.run(&mut signals).await
}

/// How the program was asked to end so far.
#[derive(Default)]
struct Asked {
    times: u32,
    /// When it is killed.
    deadline: Option<Instant>,
}

struct Exec {
    program: Program,
    input: SessionInput,
}

impl Exec {
    async fn run(&self, signals: &mut Signals) -> Result<i32, EngineError> {
        let is_terminal = self.input == SessionInput::Terminal;
        let raw = if is_terminal {
            RawTerminal::enter().map_err(EngineError::host("make the terminal raw"))?
        } else {
            None
        };
        let stream = self.program.start().await?;
        let (mut from, to) = tokio::io::split(stream);
        let modes = Arc::<Mutex<TerminalModes>>::default();
        let drawn = Arc::clone(&modes);
        let output = tokio::spawn(async move {
            let end = if is_terminal {
                forward_bytes(&mut from, drawn).await
            } else {
                forward_frames(&mut from).await
            };
            (end, from)
        });
        let input = match self.input {
            SessionInput::Empty => None,
            SessionInput::Terminal | SessionInput::Pipe => {
                let mut input = Input::start().map_err(EngineError::host("read stdin"))?;
                Some(tokio::spawn(async move { input.forward(to, None).await }))
            }
        };
        let mut asked = Asked::default();
        let (drained, rest) = self
            .until_drained(output, raw.as_ref(), (signals, &mut asked))
            .await;
        if let Some(input) = input {
            input.abort();
        }
        // An engine that sees us hang up calls the program ended, whether it is or not.
        if let Some(mut rest) = rest {
            tokio::spawn(async move { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await });
        }
        if raw.is_some() {
            let modes = modes.lock().unwrap_or_else(PoisonError::into_inner);
            conversation::print(&modes.leave());
        }
        drop(raw);
        match drained {
            Drained::Whole | Drained::Unread => self.until_ended(signals, asked).await,
            Drained::Broken => Ok(self.program.status().await?.unwrap_or(1)),
        }
    }

    /// Passes signals and sizes on until all is printed, or nobody reads it; what is left to read then is returned.
    async fn until_drained<R>(
        &self,
        mut output: tokio::task::JoinHandle<(Drained, R)>,
        raw: Option<&RawTerminal>,
        (signals, asked): (&mut Signals, &mut Asked),
    ) -> (Drained, Option<R>) {
        self.resize().await;
        loop {
            tokio::select! {
                end = &mut output => {
                    let Ok((end, rest)) = end else {
                        return (Drained::Broken, None);
                    };
                    if end == Drained::Unread {
                        self.ask(EndingSignal::Terminate, asked).await;
                        return (end, Some(rest));
                    }
                    return (end, None);
                }
                () = at(asked.deadline) => {
                    output.abort();
                    return (Drained::Unread, None);
                }
                received = signals.next() => match received {
                    Received::Resized => self.resize().await,
                    Received::Suspended => {
                        raw.inspect(|raw| raw.pause());
                        stop_ourselves();
                    }
                    Received::Continued => {
                        raw.inspect(|raw| raw.resume());
                        self.resize().await;
                    }
                    Received::Ending(signal) => self.ask(signal, asked).await,
                }
            }
        }
    }

    /// Passes signals on until the program has ended, which may be long after it closed its streams.
    async fn until_ended(
        &self,
        signals: &mut Signals,
        mut asked: Asked,
    ) -> Result<i32, EngineError> {
        loop {
            tokio::select! {
                status = self.ended() => return status,
                () = at(asked.deadline) => {
                    self.program.signal("KILL").await;
                    let ended = tokio::time::timeout(DYING, self.ended());
                    return ended.await.unwrap_or(Ok(KILLED));
                }
                received = signals.next() => match received {
                    Received::Ending(signal) => self.ask(signal, &mut asked).await,
                    Received::Suspended => stop_ourselves(),
                    Received::Continued | Received::Resized => {}
                }
            }
        }
    }

    async fn ask(&self, signal: EndingSignal, asked: &mut Asked) {
        asked.times += 1;
        let insists = asked.times >= INSISTENT;
        let name = if insists { "KILL" } else { word(signal) };
        self.program.signal(name).await;
        if insists {
            asked.deadline = Some(Instant::now());
        } else if signal.is_final() && asked.deadline.is_none() {
            asked.deadline = Some(Instant::now() + GRACE);
        }
    }

    async fn ended(&self) -> Result<i32, EngineError> {
        let (mut pause, longest) = LOOK;
        loop {
            if let Some(status) = self.program.status().await? {
                return Ok(status);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn resize(&self) {
        if let (SessionInput::Terminal, Some(size)) = (self.input, terminal::size()) {
            self.program.resize(size).await;
        }
    }
}

fn word(signal: EndingSignal) -> &'static str {
    signal.name().trim_start_matches("SIG")
}

/// Waits for a time, if there is one.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
