//! Runs another program in a session's container, with us at its streams.
//!
//! Invariant: the terminal is as it was. Engines cannot signal such a program, so each has a variable that no other has
//! ([`MARK`]), by which it is found inside and sent what we got; what its user leaves does not run on unseen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{
    super::{
        Docker,
        error::EngineError,
        owner::Owner,
        streams::{Drained, Input, forward_bytes, forward_frames},
        terminal::{self, RawTerminal},
        wire,
    },
    assignments,
    modes::TerminalModes,
    signals::{EndingSignal, GRACE, INSISTENT, Received, Signals, stop_ourselves},
    spec::SessionInput,
};

/// The variable by which a program of ours is known inside.
const MARK: &str = "AICAGE_EXEC";
/// How long is waited between two questions whether a program that closed its streams has ended: first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How long is waited for the end of a program that was killed; without a shell inside nothing can kill it.
const DYING: Duration = Duration::from_secs(2);
/// What a process gets that is killed.
const KILLED: i32 = 128 + 9;
/// Longest answer to a call.
const ANSWER_LIMIT: usize = 1 << 20;

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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatedExec {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedExec {
    exit_code: Option<i32>,
    #[serde(default)]
    running: bool,
}

/// Runs a program in a container and returns its exit status.
pub async fn exec_session(
    docker: &Docker,
    container: &str,
    spec: &ExecSpec,
) -> Result<i32, EngineError> {
    let mut signals = Signals::new().map_err(EngineError::host("watch for signals"))?;
    let mark = Owner::this_process().to_string();
    let mut env = spec.env.clone();
    env.insert(MARK.to_owned(), mark.clone());
    let marked = ExecSpec {
        env,
        ..spec.clone()
    };
    let exec = Exec {
        docker,
        container,
        id: create(docker, container, &marked).await?,
        spec: &marked,
        mark,
    };
    exec.run(&mut signals).await
}

async fn create(docker: &Docker, container: &str, spec: &ExecSpec) -> Result<String, EngineError> {
    let reads = spec.input != SessionInput::Empty;
    let command = [spec.launcher.as_slice(), spec.command.as_slice()].concat();
    let mut body = json!({
        "AttachStdin": reads,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": spec.input == SessionInput::Terminal,
        "DetachKeys": super::super::attach::UNLIKELY_KEYS,
        "Env": assignments(&spec.env),
        "Cmd": command,
        "User": spec.user,
    });
    if let (Some(directory), Some(object)) = (&spec.working_dir, body.as_object_mut()) {
        object.insert("WorkingDir".to_owned(), json!(directory));
    }
    let path = docker.path(&format!("/containers/{container}/exec"));
    let answer = docker.endpoint().post_json(&path, &body).await;
    let created = async {
        let bytes = wire::collect(answer?.into_body(), ANSWER_LIMIT).await?;
        serde_json::from_slice::<CreatedExec>(&bytes).map_err(super::super::WireError::Json)
    };
    let created = created.await;
    Ok(created
        .map_err(|error| docker.failed("prepare a program in the container", error))?
        .id)
}

/// How the program was asked to end so far.
#[derive(Default)]
struct Asked {
    times: u32,
    /// When it is killed.
    deadline: Option<Instant>,
}

struct Exec<'a> {
    docker: &'a Docker,
    container: &'a str,
    id: String,
    spec: &'a ExecSpec,
    mark: String,
}

impl Exec<'_> {
    async fn run(&self, signals: &mut Signals) -> Result<i32, EngineError> {
        let is_terminal = self.spec.input == SessionInput::Terminal;
        let raw = if is_terminal {
            RawTerminal::enter().map_err(EngineError::host("make the terminal raw"))?
        } else {
            None
        };
        let path = self.docker.path(&format!("/exec/{}/start", self.id));
        let body = json!({"Detach": false, "Tty": is_terminal});
        let stream = self.docker.endpoint().hijack_with(&path, &body).await;
        let stream =
            stream.map_err(|error| self.docker.failed("run a program in the container", error))?;
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
        let input = match self.spec.input {
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
            super::conversation::print(&modes.leave());
        }
        drop(raw);
        match drained {
            Drained::Whole | Drained::Unread => self.until_ended(signals, asked).await,
            Drained::Broken => Ok(self.inspect().await?.unwrap_or(1)),
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
                    self.signal("KILL").await;
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
        self.signal(if insists { "KILL" } else { word(signal) })
            .await;
        if insists {
            asked.deadline = Some(Instant::now());
        } else if signal.is_final() && asked.deadline.is_none() {
            asked.deadline = Some(Instant::now() + GRACE);
        }
    }

    async fn ended(&self) -> Result<i32, EngineError> {
        let (mut pause, longest) = LOOK;
        loop {
            if let Some(status) = self.inspect().await? {
                return Ok(status);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Asks for the program's exit status; there is none while it runs.
    async fn inspect(&self) -> Result<Option<i32>, EngineError> {
        let path = self.docker.path(&format!("/exec/{}/json", self.id));
        match self.docker.endpoint().get::<InspectedExec>(&path).await {
            Ok((_, exec)) if exec.running => Ok(None),
            Ok((_, exec)) => Ok(Some(exec.exit_code.unwrap_or(1))),
            // The container ended, and all in it was killed.
            Err(super::super::WireError::Answer { status: 404, .. }) => Ok(Some(KILLED)),
            Err(error) => Err(self.docker.failed("run a program in the container", error)),
        }
    }

    async fn resize(&self) {
        if let (SessionInput::Terminal, Some((height, width))) = (self.spec.input, terminal::size())
        {
            let path = format!("/exec/{}/resize?h={height}&w={width}", self.id);
            // A program that has just ended has no size.
            drop(self.docker.endpoint().post(&self.docker.path(&path)).await);
        }
    }

    /// Sends a signal to the program and all that it started, from inside, with what every image with a shell has.
    async fn signal(&self, name: &str) {
        let script = format!(
            "for p in /proc/[0-9]*; do case \"$(tr '\\0' '\\n' <$p/environ 2>/dev/null)\" in \
             *{MARK}={}*) kill -{name} \"${{p#/proc/}}\" 2>/dev/null;; esac; done",
            self.mark
        );
        let killer = ExecSpec {
            command: vec!["sh".to_owned(), "-c".to_owned(), script],
            // As the program's user: even root must not look at the processes of others here.
            launcher: self.spec.launcher.clone(),
            env: BTreeMap::new(),
            user: self.spec.user.clone(),
            working_dir: None,
            input: SessionInput::Empty,
        };
        if let Ok(id) = create(self.docker, self.container, &killer).await {
            let path = self.docker.path(&format!("/exec/{id}/start"));
            let body = json!({"Detach": true, "Tty": false});
            drop(self.docker.endpoint().post_json(&path, &body).await);
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
