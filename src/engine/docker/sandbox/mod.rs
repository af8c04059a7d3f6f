//! Runs the scripts of a step in a throwaway container: `assembler`'s contract, kept by an engine.
//!
//! The container's first process is our own program (`init step`), which runs the scripts and answers with what they
//! changed. On an engine that sees our files it is mounted with all it needs, and answers through a FIFO; where that
//! does not work (a remote engine, a virtual machine, `SELinux`, a moved user range) the files are uploaded, and the
//! answer comes as the container's stdout.

mod attempt;
mod life;
mod mounts;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use assembler::{
    reference::ImageReference,
    reporter::{Event, Reporter},
    sandbox::{SandboxError, StepNetwork, StepRequest},
};
use tokio::{runtime::Handle, task::JoinHandle};

use self::{
    attempt::{Job, Tried},
    life::ended,
    mounts::{Maker, Mounts},
};
use super::{
    Docker,
    error::EngineError,
    info::{EngineFiles, EngineUsers},
    load::LoadRequest,
    owner::Owner,
    throwaway::{LABEL, REPOSITORY, Throwaway, sweep},
};
use crate::engine::{
    session::Network,
    step::{
        SandboxSettings, Sinks,
        caches::{Caches, Shelf},
        files::{Mode, Nonce, StepJob, Transport, Way},
        heard::joined,
        mounts::StepMounts,
    },
};

/// A sandbox that a container engine keeps.
pub(crate) struct DockerSandbox<'a> {
    docker: Docker,
    runtime: Handle,
    settings: SandboxSettings,
    reporter: Box<dyn Reporter + 'a>,
    owner: Owner,
    /// Names of images that were loaded for steps only.
    names: Mutex<BTreeSet<String>>,
    swept: AtomicBool,
    /// Mounting did not work once; it is not tried again.
    uploads: AtomicBool,
    /// Containers that have answered and are being removed.
    ending: Mutex<Vec<JoinHandle<Result<i32, EngineError>>>>,
}

impl std::fmt::Debug for DockerSandbox<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerSandbox")
            .field("docker", &self.docker)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl<'a> DockerSandbox<'a> {
    /// Makes a sandbox; nothing is done until a step runs.
    pub(crate) fn new(
        docker: Docker,
        runtime: Handle,
        settings: SandboxSettings,
        reporter: impl Reporter + 'a,
    ) -> Self {
        let info = docker.info();
        let uploads = info.files == EngineFiles::Elsewhere
            || info.users == EngineUsers::Remapped
            // It sees of our files what its own user may see.
            || (info.is_rootless() && !docker.endpoint().is_callers())
            // A labelled container may not run a program of ours where it lies; a script is better confined than fast.
            || info.labels;
        Self {
            docker,
            runtime,
            settings,
            reporter: Box::new(reporter),
            owner: Owner::this_process(),
            names: Mutex::default(),
            swept: AtomicBool::new(false),
            uploads: AtomicBool::new(uploads),
            ending: Mutex::default(),
        }
    }

    /// Has all files uploaded, as for an engine on another machine.
    pub(crate) fn uploading(self) -> Self {
        self.uploads.store(true, Ordering::Relaxed);
        self
    }

    /// Waits until the containers of all steps are gone, and takes the names away under which images were loaded for
    /// steps only.
    ///
    /// To be called when the finished image is in the engine: until then its layers are held by those names.
    pub(crate) async fn clean(&self) -> Result<(), EngineError> {
        let ending = {
            let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *ending)
        };
        let mut outcome = Ok(());
        for life in ending {
            outcome = outcome.and(ended(life.await).map(drop));
        }
        let names = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *names)
        };
        for name in names {
            // What another step uses is swept by a later run.
            outcome = outcome.and(self.docker.remove_name(&name).await);
        }
        outcome
    }

    /// Runs a step in one way or the other.
    pub(crate) fn execute(
        &self,
        request: &StepRequest<'_>,
        (mode, limit): (Mode, Option<Duration>),
        sinks: &mut Sinks<'_>,
    ) -> Result<(), SandboxError> {
        let job = Job {
            limit,
            ..self.prepare(request, mode)?
        };
        if !self.uploads.load(Ordering::Relaxed) {
            match self.attempt(&job, Transport::Bind, sinks)? {
                Tried::Ran => return Ok(()),
                Tried::NotConnected => self.uploads.store(true, Ordering::Relaxed),
            }
        }
        match self.attempt(&job, Transport::Upload, sinks)? {
            Tried::Ran => Ok(()),
            Tried::NotConnected => Err(SandboxError::Step {
                reason: "the container did not get the files of the step".to_owned(),
            }),
        }
    }

    /// Has the image in the engine and its index at hand; both take time, so both at once.
    fn prepare<'r>(
        &self,
        request: &'r StepRequest<'r>,
        mode: Mode,
    ) -> Result<Job<'r>, SandboxError> {
        std::thread::scope(|scope| {
            let step = scope.spawn(|| StepJob::new(request, mode));
            let image = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = self.settings.interrupt.cancelled() => Err(EngineError::Interrupted),
                    image = self.image(request) => image,
                }
            });
            Ok(Job {
                step: joined(step)?,
                image: image.map_err(|error| self.failed(error))?,
                limit: None,
            })
        })
    }

    /// Returns the id of the request's image in the engine, after loading it if need be.
    async fn image(&self, request: &StepRequest<'_>) -> Result<String, EngineError> {
        if !self.swept.swap(true, Ordering::Relaxed) {
            // What others left behind is no reason for a step to fail.
            if let Err(error) = sweep(&self.docker).await {
                let message = format!("the engine keeps what killed runs left: {error}");
                self.reporter.event(Event::Warning { message: &message });
            }
        }
        // Also where it is there already, under a name of another run that may end before this step does.
        let name = format!(
            "{REPOSITORY}:{}-{}",
            self.owner,
            request.image.digest().short()
        );
        let reference: ImageReference = name.parse().expect("an owner and a digest make a tag");
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name);
        let load = LoadRequest {
            store: request.store,
            lock: request.lock,
            image: request.image,
            reference: &reference,
            reporter: &*self.reporter,
        };
        Ok(self.docker.load(&load).await?.id)
    }

    /// Describes the container.
    fn throwaway(&self, job: &Job<'_>, nonce: &Nonce, (way, mounts): (Way, Mounts)) -> Throwaway {
        let mut env = self.settings.env.clone();
        env.extend(job.step.request.env.clone());
        Throwaway {
            image: job.image.clone(),
            command: nonce.command(),
            env,
            labels: BTreeMap::from([
                (LABEL.to_owned(), self.owner.to_string()),
                (
                    "io.github.aicage.title".to_owned(),
                    job.step.request.title.to_owned(),
                ),
            ]),
            network: match job.step.request.network {
                StepNetwork::Configured => self.settings.network.clone(),
                StepNetwork::None => Network::None,
            },
            hosts: self.settings.hosts.clone(),
            way,
            volumes: mounts.volumes,
            mounted: mounts.mounted,
            memory: mounts.memory,
            input: mounts.inside.sealed,
            locks: mounts.locks,
        }
    }

    /// Decides what becomes of the step's mounts.
    fn mounts(&self, job: &Job<'_>, nonce: &Nonce) -> Result<Mounts, SandboxError> {
        let shelf = Volumes {
            docker: &self.docker,
            runtime: &self.runtime,
        };
        let caches = Caches {
            shelf: &shelf,
            runtime: &self.runtime,
            settings: &self.settings,
            say: &|message| self.reporter.event(Event::Warning { message }),
        };
        let maker = Maker {
            docker: &self.docker,
            scratch: &self.settings.scratch,
            nonce,
        };
        maker.make(StepMounts::of(&job.step, nonce, &caches)?)
    }

    /// Names the engine, for records.
    pub(crate) fn runner(&self) -> String {
        runner(&self.docker)
    }

    fn failed(&self, error: EngineError) -> SandboxError {
        engine_failed(&self.docker, error)
    }

    fn host(&self, source: std::io::Error) -> SandboxError {
        self.failed(EngineError::Host {
            what: "prepare the files of the step",
            source,
        })
    }
}

/// Caches are volumes.
struct Volumes<'a> {
    docker: &'a Docker,
    runtime: &'a Handle,
}

impl Shelf for Volumes<'_> {
    fn id(&self) -> &str {
        &self.docker.info().id
    }

    fn has(&self, name: &str) -> Result<bool, SandboxError> {
        let there = self.runtime.block_on(self.docker.has_volume(name));
        there.map_err(|error| engine_failed(self.docker, error))
    }

    fn remove(&self, name: &str) -> Result<(), SandboxError> {
        let removed = self.runtime.block_on(self.docker.remove_volume(name));
        removed
            .map(drop)
            .map_err(|error| engine_failed(self.docker, error))
    }

    fn host(&self, source: std::io::Error) -> SandboxError {
        let failed = EngineError::host("prepare the caches of the step");
        engine_failed(self.docker, failed(source))
    }
}

fn runner(docker: &Docker) -> String {
    let info = docker.info();
    format!("{} {}", info.name, info.version)
}

fn engine_failed(docker: &Docker, error: EngineError) -> SandboxError {
    match error {
        EngineError::Interrupted => SandboxError::Interrupted,
        error => SandboxError::Engine {
            engine: runner(docker),
            source: Box::new(error),
        },
    }
}
