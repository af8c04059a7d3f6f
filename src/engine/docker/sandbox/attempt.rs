//! One way to run a step: its container from the beginning to the verdict.
//!
//! Invariant: every container is got to its end or handed to those that are being removed.

use std::{sync::PoisonError, time::Duration};

use assembler::sandbox::SandboxError;
use tokio::sync::mpsc;

use super::{DockerSandbox, life::Life};
use crate::engine::{
    docker::{error::EngineError, throwaway::live},
    step::{
        Sinks,
        files::{Nonce, StepFiles, StepJob, Transport},
        heard::{Heard, joined, unfinished},
        log,
        timer::Timer,
    },
};

/// Exit statuses by which our program says that the mount is not ours, or that its FIFO does not reach us.
const NOT_CONNECTED: [i32; 2] = [97, 98];

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
        let hold = connected.hold();
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
        let (heard, logged, ended) = std::thread::scope(|scope| {
            let log = &mut *sinks.log;
            let logged = scope.spawn(move || log::write(printed, log));
            let heard = Heard::listen(connected.answer, hold.as_ref(), sinks.take);
            heard.stop_if_useless(&self.runtime, &life.stop);
            let ended = if let Some(task) = life.task.take_if(|_| heard.is_whole()) {
                // Nobody needs to wait for the container to be removed.
                self.ending
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(task);
                Ok(0)
            } else {
                life.end()
            };
            (heard, joined(logged), ended)
        });
        drop(connected.directory);
        timer.judge()?;
        let is_done = heard.judge(logged, &self.settings.interrupt)?;
        match (is_done, ended) {
            (true, Ok(0)) => Ok(Tried::Ran),
            (false, Ok(status)) if NOT_CONNECTED.contains(&status) => Ok(Tried::NotConnected),
            (false, Err(EngineError::Start { .. })) if transport == Transport::Bind => {
                Ok(Tried::NotConnected)
            }
            (_, Err(error)) => Err(self.failed(error)),
            (_, Ok(status)) => Err(unfinished("the container", status)),
        }
    }
}
