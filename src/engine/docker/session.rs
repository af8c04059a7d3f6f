//! Runs a container with the user at its terminal, or in a pipe, and returns its exit status.
//!
//! Invariants: the container is gone at the end, whatever happened (the engine removes it when it exits, we when it
//! never started); all it printed is printed before; the terminal is as it was.

use std::{collections::BTreeMap, path::PathBuf, pin::Pin, time::Duration};

use bollard::{
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType},
    query_parameters::{
        CreateContainerOptions, CreateContainerOptionsBuilder, KillContainerOptionsBuilder,
        ResizeContainerTTYOptionsBuilder,
    },
};
use hyper::{Response, body::Incoming};
use serde::Deserialize;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use super::{
    Docker,
    attach::Attach,
    error::{EngineError, is_missing},
    owner::Owner,
    streams::{Drained, Input, forward_bytes, forward_frames},
    terminal::{self, RawTerminal},
    throwaway::{OWNER, sweep},
    wire,
};

/// After so many interrupts a container that does not end is killed, as Docker's client has it.
const INSISTENT: u32 = 3;

/// How long a container may take to end when nobody reads what it prints.
const GRACE: Duration = Duration::from_secs(10);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// The image, by name or id.
    pub image: String,
    /// Instead of the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments.
    pub command: Vec<String>,
    /// Environment, on top of the image's.
    pub env: BTreeMap<String, String>,
    /// What of this machine is seen inside.
    pub mounts: Vec<SessionMount>,
    /// Where it starts; the image's own if `None`.
    pub working_dir: Option<String>,
    /// As whom it starts; the image's own if `None`.
    pub user: Option<String>,
    /// The container's name; the engine makes one up if `None`.
    pub name: Option<String>,
    /// The container's labels.
    pub labels: BTreeMap<String, String>,
    /// How our stdin and terminal are connected.
    pub input: SessionInput,
    /// Its network.
    pub network: Network,
    /// `name:address` for its hosts file.
    pub extra_hosts: Vec<String>,
}

/// A file or directory of this machine, inside the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionMount {
    /// What, on the engine's machine; any characters but NUL.
    pub source: PathBuf,
    /// Where in the container.
    pub target: PathBuf,
    /// Whether it can be changed from inside.
    pub access: Access,
}

/// Whether a mount can be changed from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    ReadWrite,
    /// It cannot.
    ReadOnly,
}

/// How our stdin and terminal are connected to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionInput {
    /// The container gets a terminal, connected to ours.
    Terminal,
    /// Our stdin is its stdin; stdout and stderr stay apart.
    Pipe,
    /// Its stdin is empty; stdout and stderr stay apart.
    Empty,
}

/// A container's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// What the engine does by default.
    #[default]
    Bridge,
    /// None.
    None,
    /// That of the engine's machine.
    Host,
    /// A network of the engine.
    Named(String),
}

impl Network {
    /// Spells it as the interface does; `None` for the default.
    pub(crate) fn mode(&self) -> Option<String> {
        match self {
            Self::Bridge => None,
            Self::None => Some("none".to_owned()),
            Self::Host => Some("host".to_owned()),
            Self::Named(name) => Some(name.clone()),
        }
    }
}

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

async fn create(docker: &Docker, spec: &SessionSpec) -> Result<String, EngineError> {
    let stdin = spec.input != SessionInput::Empty;
    // By this a later run knows what we created and, being killed, did not start.
    let mut labels = spec.labels.clone();
    labels.insert(OWNER.to_owned(), Owner::this_process().to_string());
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mounts = spec.mounts.iter().map(|mount| Mount {
        typ: Some(MountType::BIND),
        source: Some(text(&mount.source)),
        target: Some(text(&mount.target)),
        read_only: Some(mount.access == Access::ReadOnly),
        ..Mount::default()
    });
    let body = ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: Some(spec.command.clone()),
        env: Some(assignments(&spec.env)),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        labels: Some(labels.into_iter().collect()),
        tty: Some(spec.input == SessionInput::Terminal),
        open_stdin: Some(stdin),
        stdin_once: Some(stdin),
        attach_stdin: Some(stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            auto_remove: Some(true),
            mounts: Some(mounts.collect()),
            network_mode: spec.network.mode(),
            extra_hosts: (!spec.extra_hosts.is_empty()).then(|| spec.extra_hosts.clone()),
            log_config: Some(no_log()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = spec
        .name
        .as_ref()
        .map(|name| CreateContainerOptionsBuilder::new().name(name).build());
    docker.create_container(options, body).await
}

/// Keeps the engine from writing all that is printed to its own disk a second time.
pub(crate) fn no_log() -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some("none".to_owned()),
        config: None,
    }
}

/// Spells variables as the interface does.
pub(crate) fn assignments(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

impl Docker {
    pub(crate) async fn create_container(
        &self,
        options: Option<CreateContainerOptions>,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        match self.client.create_container(options, body).await {
            Ok(created) => Ok(created.id),
            Err(error) => Err(not_started(error)),
        }
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let started = self.client.start_container(id, None).await;
        started.map_err(not_started)
    }

    /// Kills and removes a container with its anonymous volumes; one that is not there, or is being removed, is no
    /// error.
    pub(crate) async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        match self.remove(id, Removal::Whatever).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) || is_being_removed(&error) => Ok(()),
            Err(error) => Err(EngineError::call("remove the container", error)),
        }
    }

    /// Removes a container unless it runs, which it may do by now.
    pub(crate) async fn remove_unless_running(&self, id: &str) -> Result<(), EngineError> {
        match self.remove(id, Removal::UnlessRunning).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(EngineError::call("remove the container", error)),
        }
    }

    async fn remove(&self, id: &str, removal: Removal) -> Result<(), bollard::errors::Error> {
        let options = bollard::query_parameters::RemoveContainerOptionsBuilder::new()
            .force(removal == Removal::Whatever)
            .v(true)
            .build();
        self.client.remove_container(id, Some(options)).await
    }
}

/// Which containers may be removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    Whatever,
    UnlessRunning,
}

fn is_conflict(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 409,
            ..
        }
    )
}

fn is_being_removed(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError { status_code: 409, message }
            if message.contains("already in progress")
    )
}

/// Tells by the engine's words which exit status a shell would have given.
fn not_started(error: bollard::errors::Error) -> EngineError {
    let bollard::errors::Error::DockerResponseServerError { message, .. } = error else {
        return EngineError::call("start the container", error);
    };
    let says = |words: &str| message.contains(words);
    // Only the program counts: a mount's source that is not there is no missing program.
    let program = says("exec:") || says("executable file") || says("exec user process");
    let status =
        if program && (says("executable file not found") || says("no such file or directory")) {
            127
        } else if program
            && (says("permission denied") || says("is a directory") || says("exec format error"))
        {
            126
        } else {
            125
        };
    EngineError::Start {
        message: message.trim().to_owned(),
        status,
    }
}

enum Received {
    Resized,
    Ending(&'static str),
}

/// The signals that a session passes on.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
    window: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            window: signal(SignalKind::window_change())?,
        })
    }

    async fn ending(&mut self) {
        while let Received::Resized = self.next().await {}
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.interrupt.recv() => Received::Ending("SIGINT"),
            _ = self.terminate.recv() => Received::Ending("SIGTERM"),
            _ = self.hangup.recv() => Received::Ending("SIGHUP"),
            _ = self.quit.recv() => Received::Ending("SIGQUIT"),
            _ = self.window.recv() => Received::Resized,
        }
    }
}
