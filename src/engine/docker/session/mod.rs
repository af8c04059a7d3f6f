//! Runs a container with the user at its terminal, or in a pipe, and returns its exit status.
//!
//! Invariants: the container is gone at the end, whatever happened (the engine removes it when it exits, we when it
//! never started); all it printed is printed before; the terminal is as it was.

mod create;
mod signals;
mod spec;

use std::{pin::Pin, time::Duration};

use bollard::query_parameters::{KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use hyper::{Response, body::Incoming};
use serde::Deserialize;
use tokio::task::JoinHandle;

use self::{
    create::create,
    signals::{Received, Signals},
};
use super::{
    Docker,
    attach::Attach,
    error::EngineError,
    streams::{Drained, Input, forward_bytes, forward_frames},
    terminal::{self, RawTerminal},
    throwaway::sweep,
    wire,
};

pub(crate) use self::create::{assignments, no_log};
pub use self::spec::{Access, Network, SessionInput, SessionMount, SessionSpec};

/// After so many interrupts a container that does not end is killed, as Docker's client has it.
const INSISTENT: u32 = 3;

/// How long a container may take to end when nobody reads what it prints.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a container until it exits and returns its exit status.
pub async fn run_session(docker: &Docker, spec: &SessionSpec) -> Result<i32, EngineError> {
    let mut signals = Signals::new().map_err(EngineError::host("watch for signals"))?;
    let id = create(docker, spec).await?;
    let outcome = converse(docker, spec, &id, &mut signals).await;
    if outcome.is_err() {
        // The engine removes what has run; what never started, or lost its connection, is ours to remove.
        let removed = docker.remove_container(&id).await;
        return EngineError::and_removed(&id, outcome, removed);
    }
    outcome
}

async fn converse(
    docker: &Docker,
    spec: &SessionSpec,
    id: &str,
    signals: &mut Signals,
) -> Result<i32, EngineError> {
    let wait = docker.path(&format!("/containers/{id}/wait?condition=removed"));
    let attached = async {
        tokio::try_join!(
            docker.attach(
                id,
                match spec.input {
                    SessionInput::Empty => Attach::Output,
                    SessionInput::Terminal | SessionInput::Pipe => Attach::Both,
                }
            ),
            async {
                let answer = docker.endpoint().post(&wait).await;
                answer.map_err(|error| docker.failed("wait for the container", error))
            },
        )
    };
    let (stream, exit) = tokio::select! {
        attached = attached => attached?,
        () = signals.ending() => return Err(EngineError::Interrupted),
    };
    // Raw before the start, so that nothing typed meanwhile is echoed or lost.
    let raw = match spec.input {
        SessionInput::Terminal => {
            RawTerminal::enter().map_err(EngineError::host("make the terminal raw"))?
        }
        SessionInput::Pipe | SessionInput::Empty => None,
    };
    tokio::select! {
        started = docker.start_container(id) => started?,
        () = signals.ending() => return Err(EngineError::Interrupted),
    }
    // While the agent works there is time for what killed runs left; that it fails is no reason to tell anybody.
    let sweeper = docker.clone();
    tokio::spawn(async move { sweep(&sweeper).await.unwrap_or_default() });
    let (from, to) = tokio::io::split(stream);
    let output = match spec.input {
        SessionInput::Terminal => tokio::spawn(forward_bytes(from)),
        SessionInput::Pipe | SessionInput::Empty => tokio::spawn(forward_frames(from)),
    };
    let input = match spec.input {
        SessionInput::Empty => {
            drop(to);
            None
        }
        SessionInput::Terminal | SessionInput::Pipe => {
            let input = Input::start().map_err(EngineError::host("read stdin"))?;
            Some(tokio::spawn(input.forward(to)))
        }
    };
    let attached = Attached {
        docker,
        id,
        output,
        terminal: spec.input == SessionInput::Terminal,
    };
    let status = attached.until_exit(exit, signals).await;
    if let Some(input) = input {
        input.abort();
    }
    drop(raw);
    status
}

struct Attached<'a> {
    docker: &'a Docker,
    id: &'a str,
    output: JoinHandle<Drained>,
    terminal: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exit {
    status_code: i32,
}

impl Attached<'_> {
    /// Passes signals and sizes on until the container has exited and all it printed is printed.
    async fn until_exit(
        mut self,
        exit: Response<Incoming>,
        signals: &mut Signals,
    ) -> Result<i32, EngineError> {
        let exit = wire::collect(exit.into_body(), 64 << 10);
        let mut exit = std::pin::pin!(exit);
        let mut status = None;
        let mut drained = None;
        let mut interrupts = 0;
        let mut overdue = std::pin::pin!(None::<tokio::time::Sleep>);
        self.resize().await;
        while status.is_none() || drained.is_none() {
            tokio::select! {
                answer = &mut exit, if status.is_none() => {
                    let bytes = answer.map_err(|error| self.docker.failed("wait for the container", error))?;
                    let exit: Exit = serde_json::from_slice(&bytes).map_err(|error| {
                        self.docker.failed("wait for the container", super::WireError::Json(error))
                    })?;
                    status = Some(exit.status_code);
                }
                end = &mut self.output, if drained.is_none() => {
                    let end = end.unwrap_or(Drained::Broken);
                    if end == Drained::Unread && status.is_none() {
                        self.signal("SIGTERM").await;
                        overdue.set(Some(tokio::time::sleep(GRACE)));
                    }
                    drained = Some(end);
                }
                Some(()) = ended(overdue.as_mut()) => {
                    overdue.set(None);
                    self.signal("SIGKILL").await;
                }
                received = signals.next() => match received {
                    Received::Resized => self.resize().await,
                    Received::Ending(_) if status.is_some() => break,
                    Received::Ending(name) => {
                        interrupts += 1;
                        self.signal(if interrupts < INSISTENT { name } else { "SIGKILL" }).await;
                    }
                }
            }
        }
        Ok(status.unwrap_or(125))
    }

    async fn resize(&self) {
        if let (true, Some((height, width))) = (self.terminal, terminal::size()) {
            let options = ResizeContainerTTYOptionsBuilder::new()
                .h(height.into())
                .w(width.into())
                .build();
            // A container that has just exited cannot be resized.
            let resized = self.docker.client.resize_container_tty(self.id, options);
            resized.await.unwrap_or_default();
        }
    }

    async fn signal(&self, name: &str) {
        let options = KillContainerOptionsBuilder::new().signal(name).build();
        // A container that has just exited takes no signal.
        let killed = self.docker.client.kill_container(self.id, Some(options));
        killed.await.unwrap_or_default();
    }
}

/// Waits for a timer, if there is one.
async fn ended(timer: Pin<&mut Option<tokio::time::Sleep>>) -> Option<()> {
    timer.as_pin_mut()?.await;
    Some(())
}
