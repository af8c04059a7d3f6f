//! One way to run a step: its container from the beginning to the verdict.
//!
//! Invariant: whoever stops reading keeps no container waiting, and every container is got to its end or handed to
//! those that are being removed.

use std::{io::BufReader, path::PathBuf, sync::PoisonError, time::Duration};

use assembler::sandbox::SandboxError;
use tokio::sync::mpsc;

use super::{
    DockerSandbox,
    life::{Life, Timer},
};
use crate::engine::{
    docker::{error::EngineError, throwaway::live},
    step::{
        Sinks,
        answer::Answer,
        broke_off,
        files::{Nonce, StepFiles, StepJob, Transport, Way},
        log,
    },
};

/// Exit statuses by which our program says that the mount is not ours, or that its FIFO does not reach us.
const NOT_CONNECTED: [i32; 2] = [97, 98];

/// How long a container may take to say why its layer broke off.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a step is run with, made once for all ways to run it.
pub(super) struct Job<'a> {
    pub(super) step: StepJob<'a>,
    pub(super) image: String,
    pub(super) limit: Option<Duration>,
}

/// What came of one way to run a step.
pub(super) enum Tried {
    /// It ran.
    Ran,
    /// The container did not get at our files, or we not at its answer; nothing was run.
    NotConnected,
}

impl DockerSandbox<'_> {
    /// Runs a step in one way.
    pub(super) fn attempt(
        &self,
        job: &Job<'_>,
        transport: Transport,
        sinks: &mut Sinks<'_>,
    ) -> Result<Tried, SandboxError> {
        let nonce = Nonce::new().map_err(|error| self.host(error))?;
        let mounts = self.mounts(job, &nonce)?;
        let files = StepFiles::new(
            &job.step,
            &nonce,
            &self.settings,
            (transport, &mounts.inside, None),
        )?;
        let connected = {
            // A tokio pipe registers with its runtime.
            let _context = self.runtime.enter();
            files
                .connect(&self.settings, &nonce, transport)
                .map_err(|error| self.host(error))?
        };
        let hold = match &connected.way {
            Way::Bind { hold, .. } => Some(hold.clone()),
            Way::Upload { .. } => None,
        };
        let throwaway = self.throwaway(job, &nonce, (connected.way, mounts));
        let (lines, printed) = mpsc::channel(64);
        let stop = self.settings.interrupt.child_token();
        let timer = Timer::start(&self.runtime, job.limit, &stop);
        let life = live(self.docker.clone(), throwaway, lines, stop.clone());
        let mut life = Life {
            task: Some(self.runtime.spawn(life)),
            runtime: &self.runtime,
            stop,
        };
        let (answered, logged) = std::thread::scope(|scope| {
            let log = &mut *sinks.log;
            let logged = scope.spawn(move || log::write(printed, log));
            let mut reader = BufReader::with_capacity(256 << 10, connected.answer);
            let answer = Answer::read(&mut reader);
            if let Some(hold) = &hold {
                // From here on the program itself holds the FIFO open, and its end is the answer's.
                hold.let_go();
            }
            let malformed = answer.is_err();
            let answered = match answer {
                Ok(Some(Answer::Ok)) => (sinks.take)(&mut reader).map(|()| true),
                Ok(Some(Answer::Failed { script, exit })) => Err(SandboxError::Script {
                    script,
                    status: exit,
                }),
                Ok(Some(Answer::Refused { message })) => {
                    Err(SandboxError::Instruction { reason: message })
                }
                Ok(Some(Answer::Error { message })) => Err(SandboxError::Step { reason: message }),
                Ok(None) => Ok(false),
                Err(reason) => Err(SandboxError::Step { reason }),
            };
            // Whoever stopped reading in the middle must not keep the container waiting. After an answer that tells of
            // a failure it ends by itself, and what it has printed is still on the way.
            drop(reader);
            if broke_off(&answered) {
                // It is about to say why.
                let stop = life.stop.clone();
                self.runtime.spawn(async move {
                    tokio::time::sleep(LAST_WORDS).await;
                    stop.cancel();
                });
            } else if matches!(answered, Err(SandboxError::Capture(_))) || malformed {
                life.stop.cancel();
            }
            // The answer is whole; nobody needs to wait for the container to be removed.
            let whole = matches!(answered, Ok(true));
            let ended = if let Some(task) = life.task.take_if(|_| whole) {
                self.ending
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(task);
                Ok(0)
            } else {
                life.end()
            };
            let logged = logged
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            ((answered, ended), logged)
        });
        drop(connected.directory);
        timer.judge()?;
        self.judge(answered, logged, transport)
    }

    /// Makes one verdict of what was answered, how the container ended and whether its output was kept.
    fn judge(
        &self,
        (answered, ended): (Result<bool, SandboxError>, Result<i32, EngineError>),
        logged: log::Logged,
        transport: Transport,
    ) -> Result<Tried, SandboxError> {
        if self.settings.interrupt.is_cancelled() {
            return Err(SandboxError::Interrupted);
        }
        if broke_off(&answered)
            && let Some(reason) = logged.last_words
        {
            return Err(SandboxError::Step { reason });
        }
        let answered = answered?;
        logged.outcome.map_err(|source| SandboxError::Log {
            path: PathBuf::from("of the step"),
            source,
        })?;
        match (answered, ended) {
            (true, Ok(0)) => Ok(Tried::Ran),
            (false, Ok(status)) if NOT_CONNECTED.contains(&status) => Ok(Tried::NotConnected),
            (false, Err(EngineError::Start { .. })) if transport == Transport::Bind => {
                Ok(Tried::NotConnected)
            }
            (_, Err(error)) => Err(self.failed(error)),
            (_, Ok(137)) => Err(SandboxError::Step {
                reason: "the container was killed; it may have run out of memory".to_owned(),
            }),
            (_, Ok(status)) => Err(SandboxError::Step {
                reason: format!(
                    "the container ended with status {status} before its work was done"
                ),
            }),
        }
    }
}
