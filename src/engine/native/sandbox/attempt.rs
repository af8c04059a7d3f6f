//! A step in a cage, from the beginning to the verdict.
//!
//! Invariant: every cage is got to its end or handed to those that are being taken away.

use std::{
    ffi::OsString,
    io::{self, BufReader},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use assembler::sandbox::{SandboxError, StepNetwork};
use rustix::process::Signal;

use super::{NativeSandbox, mounts::Mounts};
use crate::engine::{
    native::{
        cage::{
            Cage, CageFile, CageMount, CageMountKind, CageNetwork, Confinement, Limit, Program,
            RootAccess, SHARED_MEMORY, UPPER, Whose,
        },
        channel::{Message, in_memory},
        environment,
        error::NativeError,
        ground,
        job::Job,
        launch::FirstStage,
        network_files::{self, Names},
        rootfs::{Lowers, lowers},
        scratch::Scratch,
    },
    session::Network,
    step::{
        Sinks,
        files::{Connected, Mode, Nonce, StepFiles, StepJob, Transport, Way},
        heard::{Heard, joined, unfinished},
        log::Log,
        timer::Timer,
    },
};

/// How a step's machine is called.
const HOSTNAME: &str = "aicage-step";
/// Most processes of a step: a bomb is to end before the machine does.
const PROCESSES: u64 = 16_384;
impl NativeSandbox<'_> {
    /// Runs a step.
    pub(super) fn attempt(
        &self,
        job: &StepJob<'_>,
        limit: Option<Duration>,
        sinks: &mut Sinks<'_>,
    ) -> Result<(), SandboxError> {
        let host = |error| self.failed(NativeError::host("prepare the files of the step")(error));
        let nonce = Nonce::new().map_err(host)?;
        let request = job.request;
        let lowers = lowers(&self.native, (request.store, request.lock), request.image);
        let lowers = lowers.map_err(|error| self.failed(error))?;
        let scratch =
            Scratch::new(&self.native, nonce.text()).map_err(|error| self.failed(error))?;
        let Mounts {
            shown,
            inside,
            locks: _locks,
        } = self.mounts(job, &nonce, &scratch.path)?;
        let changes = (job.mode == Mode::Capture).then_some(UPPER);
        let files = StepFiles::new(
            job,
            &nonce,
            &self.settings,
            (Transport::Bind, &inside, changes),
        )?;
        let connected = files
            .connect(&self.settings, &nonce, Transport::Bind)
            .map_err(host)?;
        let mut cage = self.cage((job, &nonce), (&lowers, &scratch), (&connected, shown));
        if ground::runs_nothing(&self.native.store) {
            // The step's files are there, too: its program alone is to run, from memory.
            cage.files.push(CageFile {
                target: nonce.command().swap_remove(0).into(),
                content: self.settings.init.to_vec(),
                mode: 0o755,
            });
        }
        let (printed, output) = io::pipe().map_err(host)?;
        let input = in_memory(&inside.sealed.0).map_err(host)?;
        let streams = [
            input.as_fd(),
            output.as_fd(),
            output.as_fd(),
            lowers.held.as_fd(),
        ];
        let stage = self.begin(cage, &streams);
        drop(output);
        let stage = stage.map_err(|error| self.failed(error))?;
        let printed = OwnedFd::from(printed);
        let printed = fs_err::File::from_parts(printed.into(), "what the step prints");
        let printed = BufReader::with_capacity(64 << 10, printed);
        let outcome = self.listen(&stage, (connected, printed), (limit, sinks));
        // The last one who has it waits until it is gone.
        self.leave(stage, scratch);
        outcome
    }

    fn begin(
        &self,
        cage: Cage,
        streams: &[BorrowedFd<'_>],
    ) -> Result<Arc<FirstStage>, NativeError> {
        let stage = FirstStage::start(&self.native)?;
        stage.give(&Job::Cage(Box::new(cage)), streams)?;
        Ok(Arc::new(stage))
    }

    /// Hears what it prints and answers, until its end.
    fn listen(
        &self,
        stage: &Arc<FirstStage>,
        (connected, mut printed): (Connected, BufReader<fs_err::File>),
        (limit, sinks): (Option<Duration>, &mut Sinks<'_>),
    ) -> Result<(), SandboxError> {
        let hold = connected.hold();
        let stop = self.settings.interrupt.child_token();
        let timer = Timer::start(&self.runtime, limit, &stop);
        let killer = self.runtime.spawn({
            let (stage, stop) = (Arc::downgrade(stage), stop.clone());
            async move {
                stop.cancelled().await;
                kill(&stage);
            }
        });
        let (heard, logged, ended) = std::thread::scope(|scope| {
            let log = &mut *sinks.log;
            let logged = scope.spawn(move || {
                let mut log = Log::new(log);
                // What cannot be read any more is its end.
                io::copy(&mut printed, &mut log).unwrap_or_default();
                log.finish()
            });
            let ended = scope.spawn(|| {
                let status = stage.ended();
                if let Some(hold) = &hold {
                    // Nobody will answer any more.
                    hold.let_go();
                }
                status
            });
            let heard = Heard::listen(connected.answer, hold.as_ref(), sinks.take);
            heard.stop_if_useless(&self.runtime, &stop);
            (heard, joined(logged), joined(ended))
        });
        killer.abort();
        drop(connected.directory);
        timer.judge()?;
        let is_done = heard.judge(logged, &self.settings.interrupt)?;
        match (is_done, ended) {
            (true, Ok(0)) => Ok(()),
            (_, Err(error)) => Err(self.failed(error)),
            (_, Ok(status)) => Err(unfinished("the step", status)),
        }
    }

    /// Has a cage taken away while others work.
    fn leave(&self, stage: Arc<FirstStage>, scratch: Scratch) {
        let ending = std::thread::spawn(move || {
            drop(stage);
            drop(scratch);
        });
        self.ending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ending);
    }

    fn cage(
        &self,
        (job, nonce): (&StepJob<'_>, &Nonce),
        (lowers, scratch): (&Lowers, &Scratch),
        (connected, shown): (&Connected, Vec<CageMount>),
    ) -> Cage {
        let request = job.request;
        let network = match (request.network, &self.settings.network) {
            (StepNetwork::None, _) | (_, Network::None) => CageNetwork::None,
            _ => CageNetwork::Host,
        };
        let names = Names {
            hostname: HOSTNAME,
            hosts: &self.settings.hosts,
            servers: Vec::new(),
            search: Vec::new(),
            network: &network,
        };
        let mut mounts = Vec::new();
        if let Way::Bind { source, target, .. } = &connected.way {
            mounts.push(CageMount {
                target: target.into(),
                kind: CageMountKind::Bind {
                    source: source.into(),
                    read_only: true,
                },
            });
        }
        mounts.extend(shown);
        let added = self.settings.env.iter().chain(request.env);
        Cage {
            lowers: lowers.directories.clone(),
            like: lowers.root.clone(),
            scratch: scratch.path.clone().into_os_string(),
            hostname: HOSTNAME.to_owned(),
            mounts,
            files: network_files::compose(&names),
            network,
            root: RootAccess::ReadWrite,
            confinement: Confinement::default(),
            limits: vec![Limit::processes(PROCESSES)],
            shared_memory: SHARED_MEMORY,
            program: Program {
                command: nonce.command().into_iter().map(OsString::from).collect(),
                environment: environment::of_image(request.image, HOSTNAME, added),
                directory: "/".into(),
                user: (0, 0),
                groups: Vec::new(),
                terminal: false,
                sees_changes: job.mode == Mode::Capture,
                whose: Whose::Aicage,
            },
        }
    }
}

fn kill(stage: &Weak<FirstStage>) {
    let kill = Message::Signal {
        number: Signal::KILL.as_raw(),
    };
    // It may have ended by itself.
    if let Some(stage) = stage.upgrade() {
        stage.say(&kill, &[]).unwrap_or_default();
    }
}
