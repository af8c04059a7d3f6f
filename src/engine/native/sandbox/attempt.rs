//! A step in a cage, from the beginning to the verdict.
//!
//! Invariant: whoever stops reading keeps no cage waiting, and every cage is got to its end or handed to those that are being
//! taken away.

use std::{
    ffi::OsString,
    io::{self, BufReader, Read as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::{
        Arc, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use assembler::sandbox::{SandboxError, StepNetwork};
use rustix::process::{Resource, Signal, getrlimit};

use super::{NativeSandbox, mounts::Mounts};
use crate::engine::{
    native::{
        cage::{
            Cage, CageMount, CageMountKind, CageNetwork, Confinement, Limit, Program, RootAccess,
            UPPER,
        },
        channel::Message,
        environment,
        error::NativeError,
        job::Job,
        launch::Helper,
        network_files::{self, Names},
        rootfs::{Lowers, in_memory, lowers},
        scratch::Scratch,
    },
    session::Network,
    step::{
        Hold, Sinks,
        answer::Answer,
        broke_off,
        files::{Connected, Mode, Nonce, StepFiles, StepJob, Transport, Way},
        log::{Log, Logged},
    },
};

/// How a step's machine is called.
const HOSTNAME: &str = "aicage-step";
/// Docker's size of `/dev/shm`.
const SHARED_MEMORY: u64 = 64 << 20;
/// Most processes of a step: a bomb is to end before the machine does.
const PROCESSES: u64 = 16_384;
/// How long a cage may take to say why its layer broke off.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A cage that runs, as the thread sees it that waits for its answer.
struct Running {
    helper: Arc<Helper>,
    hold: Hold,
    /// It was ended because it took too long.
    rang: Arc<AtomicBool>,
}

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
        let cage = self.cage((job, &nonce), (&lowers, &scratch), (&connected, shown));
        let (printed, output) = io::pipe().map_err(host)?;
        let input = in_memory(&inside.sealed.0).map_err(host)?;
        let streams = [
            input.as_fd(),
            output.as_fd(),
            output.as_fd(),
            lowers.held.as_fd(),
        ];
        let running = self.begin(cage, &streams, &connected);
        drop(output);
        let running = running.map_err(|error| self.failed(error))?;
        let printed = OwnedFd::from(printed);
        let printed = fs_err::File::from_parts(printed.into(), "what the step prints");
        let outcome = self.listen(&running, (connected, printed), (limit, sinks));
        // The last one who has it waits until it is gone.
        self.leave(running.helper, scratch);
        outcome
    }

    fn begin(
        &self,
        cage: Cage,
        streams: &[BorrowedFd<'_>],
        connected: &Connected,
    ) -> Result<Running, NativeError> {
        let helper = Helper::start(&self.native)?;
        helper.give(&Job::Cage(Box::new(cage)), streams)?;
        let hold = match &connected.way {
            Way::Bind { hold, .. } => hold.clone(),
            Way::Upload { .. } => return Err(NativeError::Vanished),
        };
        Ok(Running {
            helper: Arc::new(helper),
            hold,
            rang: Arc::default(),
        })
    }

    /// Hears what it prints and answers, until its end.
    fn listen(
        &self,
        running: &Running,
        (connected, mut printed): (Connected, fs_err::File),
        (limit, sinks): (Option<Duration>, &mut Sinks<'_>),
    ) -> Result<(), SandboxError> {
        let stop = self.settings.interrupt.child_token();
        let killer = self.runtime.spawn({
            let (helper, rang, stop) = (
                Arc::downgrade(&running.helper),
                Arc::clone(&running.rang),
                stop.clone(),
            );
            async move {
                let late = async {
                    match limit {
                        Some(limit) => tokio::time::sleep(limit).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = late => rang.store(true, Ordering::Relaxed),
                }
                kill(&helper);
            }
        });
        let outcome = std::thread::scope(|scope| {
            let log = &mut *sinks.log;
            let logged = scope.spawn(move || {
                let mut log = Log::new(log);
                let mut piece = vec![0; 64 << 10];
                loop {
                    match printed.read(&mut piece) {
                        Ok(0) => return log.finish(),
                        Ok(length) => log.take(piece.get(..length).unwrap_or_default()),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => return log.finish(),
                    }
                }
            });
            let ended = scope.spawn({
                let (helper, hold) = (Arc::clone(&running.helper), running.hold.clone());
                move || {
                    let status = helper.ended();
                    // Nobody will answer any more.
                    hold.let_go();
                    status
                }
            });
            let mut reader = BufReader::with_capacity(256 << 10, connected.answer);
            let answer = Answer::read(&mut reader);
            // From here on the program itself holds the FIFO open, and its end is the answer's.
            running.hold.let_go();
            let malformed = answer.is_err();
            let answered = judged(answer, |reader| (sinks.take)(reader), &mut reader);
            drop(reader);
            if broke_off(&answered) {
                // It is about to say why.
                let helper = Arc::downgrade(&running.helper);
                self.runtime.spawn(async move {
                    tokio::time::sleep(LAST_WORDS).await;
                    kill(&helper);
                });
            } else if matches!(answered, Err(SandboxError::Capture(_))) || malformed {
                kill(&Arc::downgrade(&running.helper));
            }
            let logged = logged
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let ended = ended
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (answered, ended, logged)
        });
        killer.abort();
        drop(connected.directory);
        if let Some(limit) = limit.filter(|_| running.rang.load(Ordering::Relaxed)) {
            return Err(SandboxError::TimeLimit { limit });
        }
        self.judge(outcome)
    }

    /// Has a cage taken away while others work.
    fn leave(&self, helper: Arc<Helper>, scratch: Scratch) {
        let ending = std::thread::spawn(move || {
            drop(helper);
            drop(scratch);
        });
        self.ending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ending);
    }

    /// Makes one verdict of what was answered, how the cage ended and whether its output was kept.
    fn judge(
        &self,
        (answered, ended, logged): (Result<bool, SandboxError>, Result<i32, NativeError>, Logged),
    ) -> Result<(), SandboxError> {
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
            (true, Ok(0)) => Ok(()),
            (_, Err(error)) => Err(self.failed(error)),
            (_, Ok(137)) => Err(SandboxError::Step {
                reason: "the step was killed; it may have run out of memory".to_owned(),
            }),
            (_, Ok(status)) => Err(SandboxError::Step {
                reason: format!("the step ended with status {status} before its work was done"),
            }),
        }
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
            network,
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
            limits: vec![processes()],
            shared_memory: SHARED_MEMORY,
            program: Program {
                command: nonce.command().into_iter().map(OsString::from).collect(),
                environment: environment::of_image(request.image, HOSTNAME, added),
                directory: "/".into(),
                user: (0, 0),
                groups: Vec::new(),
                terminal: false,
                sees_changes: job.mode == Mode::Capture,
            },
        }
    }
}

/// Limits a step's processes, to no more than is allowed here: raising the limit takes another right.
fn processes() -> Limit {
    let allowed = getrlimit(Resource::Nproc).maximum;
    let most = Some(allowed.map_or(PROCESSES, |allowed| allowed.min(PROCESSES)));
    Limit {
        name: "nproc".to_owned(),
        soft: most,
        hard: most,
    }
}

/// Says what an answer means; a good one's rest is taken.
fn judged<R: io::BufRead>(
    answer: Result<Option<Answer>, String>,
    mut take: impl FnMut(&mut dyn io::Read) -> Result<(), SandboxError>,
    rest: &mut R,
) -> Result<bool, SandboxError> {
    match answer {
        Ok(Some(Answer::Ok)) => take(rest).map(|()| true),
        Ok(Some(Answer::Failed { script, exit })) => Err(SandboxError::Script {
            script,
            status: exit,
        }),
        Ok(Some(Answer::Refused { message })) => Err(SandboxError::Instruction { reason: message }),
        Ok(Some(Answer::Error { message })) => Err(SandboxError::Step { reason: message }),
        Ok(None) => Ok(false),
        Err(reason) => Err(SandboxError::Step { reason }),
    }
}

fn kill(helper: &Weak<Helper>) {
    let kill = Message::Signal {
        number: Signal::KILL.as_raw(),
    };
    // It may have ended by itself.
    if let Some(helper) = helper.upgrade() {
        helper.say(&kill, &[]).unwrap_or_default();
    }
}
