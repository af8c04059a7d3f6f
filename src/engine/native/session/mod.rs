//! Sessions that this machine keeps by itself: each has a [`keeper`], a process of its own that outlives aicage where the
//! user left, and a [`directory`], which is all that anybody else knows of it.
//!
//! Invariant: a session has a keeper or has ended; what a killed one leaves is removed by the next run.

mod compose;
mod directory;
pub(super) mod keeper;
mod log;
mod program;
mod record;
mod refused;
mod wire;

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use assembler::{image::Image, reference::ImageReference, store::BlobStore};
use rustix::process::Signal;
use tokio::{io::AsyncRead, net::UnixStream};

use self::{
    directory::Found,
    keeper::Errand,
    record::Record,
    wire::{Answer, News, Order, Request},
};
use super::{
    Native,
    error::NativeError,
    rootfs::lowers,
    stage::{KEEP, NATIVE},
};
use crate::{
    clock,
    engine::{Engine, step::files::Nonce},
    engine::{
        docker::EngineError,
        session::{
            AGENT, EngineSession, ExecSpec, Link, LogsWanted, PROJECT, SessionDetails,
            SessionInput, SessionLog, SessionSpec, SessionState, Stopped, UID, VERSION, WhenEnded,
            terminal_size,
        },
    },
};

pub(crate) use program::NativeProgram;
pub(super) use record::Process;

/// The directory of sessions, in the store.
const SESSIONS: &str = "sessions";
/// How long a session's number is; it is its machine's name, too.
const ID: usize = 12;
/// How long the keeper of a session that is removed may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connections to keepers of sessions that we created and have not left: they end the sessions when they end.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours(Arc<Mutex<BTreeMap<String, UnixStream>>>);

impl Ours {
    fn put(&self, id: &str, keeper: UnixStream) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.to_owned(), keeper);
    }

    fn take(&self, id: &str) -> Option<UnixStream> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id)
    }

    fn has(&self, id: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(id)
    }
}

impl Native {
    fn sessions_directory(&self) -> PathBuf {
        self.store.join(SESSIONS)
    }

    fn found(&self, id: &str) -> Result<Option<Found>, EngineError> {
        directory::find(&self.sessions_directory(), id)
            .map_err(EngineError::host("look for the session"))
    }

    /// Lists the sessions of a user, the oldest first.
    pub(crate) fn sessions(&self, uid: u32) -> Result<Vec<EngineSession>, EngineError> {
        let all = directory::all(&self.sessions_directory());
        let all = all.map_err(EngineError::host("look for sessions"))?;
        let uid = uid.to_string();
        let mut sessions: Vec<EngineSession> = all
            .into_iter()
            .filter(|found| found.record.labels.get(UID) == Some(&uid))
            .filter_map(|found| self.listed(&found))
            .collect();
        sessions.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Ok(sessions)
    }

    fn listed(&self, found: &Found) -> Option<EngineSession> {
        let record = &found.record;
        let state = state(found);
        if state == SessionState::Ended && !record.kept {
            // Its keeper was killed; the next run removes it.
            return None;
        }
        let label = |name: &str| record.labels.get(name).cloned();
        Some(EngineSession {
            engine: Engine::Native(self.clone()),
            id: record.id.clone(),
            name: found.name(),
            agent: label(AGENT)?,
            project: label(PROJECT).unwrap_or_default(),
            version: label(VERSION),
            image: record.image.clone(),
            state,
            exit: found.ended().and_then(|ended| ended.status),
            created: record.created,
        })
    }

    /// Tells what is to be known of a session; `None` if it is gone.
    pub(crate) fn session_details(&self, id: &str) -> Result<Option<SessionDetails>, EngineError> {
        let Some(found) = self.found(id)? else {
            return Ok(None);
        };
        let (uid, gid) = found.record.user;
        Ok(Some(SessionDetails {
            state: state(&found),
            finished: found.ended().map(|ended| ended.at).unwrap_or_default(),
            program: found.record.command.first().cloned().unwrap_or_default(),
            user: if (uid, gid) == (0, 0) {
                String::new()
            } else {
                format!("{uid}:{gid}")
            },
            terminal: found.record.terminal,
            log: if found.record.log {
                SessionLog::Bounded
            } else {
                SessionLog::None
            },
            ended: if found.record.kept {
                WhenEnded::Kept
            } else {
                WhenEnded::Removed
            },
            id: found.record.id,
            env: found.record.env,
        }))
    }

    /// Makes a session, which does not run yet, and its keeper; returns its id.
    pub(crate) async fn create_session(
        &self,
        spec: &SessionSpec,
        name: Option<String>,
    ) -> Result<String, EngineError> {
        refused::refuse(&spec.options)?;
        let id = new_id().map_err(EngineError::host("make up a number"))?;
        let (errand, record, held) = {
            let (native, spec, id) = (self.clone(), spec.clone(), id.clone());
            // Layers may have to be unpacked first.
            let prepared = tokio::task::spawn_blocking(move || native.prepare(&spec, &id)).await;
            prepared.map_err(|error| {
                EngineError::host("prepare the session")(io::Error::other(error))
            })??
        };
        let name = name.unwrap_or_else(|| id.clone());
        let sessions = self.sessions_directory();
        let made = directory::make(&sessions, (&name, &record));
        let made = made.map_err(EngineError::host("make the session's directory"))?;
        let Some(lock) = made else {
            return Err(EngineError::NameTaken { name });
        };
        let at = sessions.join(&name);
        let errand = Errand {
            directory: at.clone(),
            ..errand
        };
        match self.begin(errand, lock, held).await {
            Ok(keeper) => {
                self.ours.put(&id, keeper);
                Ok(id)
            }
            Err(error) => {
                // The keeper removes it as well, if it came that far.
                directory::remove(&at, &id).unwrap_or_default();
                Err(error)
            }
        }
    }

    /// Finds out all that a session takes.
    fn prepare(
        &self,
        spec: &SessionSpec,
        id: &str,
    ) -> Result<(Errand, Record, OwnedFd), EngineError> {
        let store = BlobStore::open(&self.store).map_err(NativeError::from)?;
        let lock = store.share().map_err(NativeError::from)?;
        let image = image(&store, &spec.image)?;
        let lowers = lowers(self, (&store, &lock), &image)?;
        let cage = compose::cage(spec, (&image, &lowers), id)?;
        let text = |text: &std::ffi::OsString| text.to_string_lossy().into_owned();
        let record = Record {
            id: id.to_owned(),
            image: spec.image.clone(),
            created: clock::microseconds() / 1_000_000,
            labels: spec.labels.clone(),
            command: cage.program.command.iter().map(text).collect(),
            env: cage
                .program
                .environment
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            user: cage.program.user,
            terminal: cage.program.terminal,
            log: spec.log == SessionLog::Bounded,
            kept: spec.ended == WhenEnded::Kept,
            confinement: cage.confinement.clone(),
            limits: cage.limits.clone(),
            process: None,
            ended: None,
        };
        let errand = Errand {
            directory: PathBuf::new(),
            store: self.store.clone(),
            name: self.name.clone(),
            cage,
            reads: spec.input != SessionInput::Empty,
            size: terminal_size().filter(|_| spec.input == SessionInput::Terminal),
        };
        Ok((errand, record, lowers.held))
    }

    /// Starts a session's keeper, and waits until it can start the session.
    async fn begin(
        &self,
        errand: Errand,
        lock: fs_err::File,
        held: OwnedFd,
    ) -> Result<UnixStream, EngineError> {
        let what = "start the session's keeper";
        let (ours, theirs) =
            std::os::unix::net::UnixStream::pair().map_err(EngineError::host(what))?;
        let mut child = Command::new(&self.program)
            .args([NATIVE, KEEP])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(lock.into_parts().0)))
            .stderr(Stdio::from(held))
            .spawn()
            .map_err(EngineError::host(what))?;
        // Whoever stays to the end takes note of its end, so that nothing is left of it.
        std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || drop(child.wait()))
            .map_err(EngineError::host(what))?;
        let talk = async {
            ours.set_nonblocking(true)?;
            let mut keeper = UnixStream::from_std(ours)?;
            wire::say(&mut keeper, &errand).await?;
            let news = wire::hear::<News>(&mut keeper).await?;
            Ok((keeper, news))
        };
        let (keeper, news) = talk.await.map_err(EngineError::host(what))?;
        told(news)?;
        Ok(keeper)
    }

    /// Starts what was created.
    pub(crate) async fn start_session(&self, id: &str) -> Result<(), EngineError> {
        let outcome = self.order(id, &Order::Start).await;
        if outcome.is_err() {
            drop(self.ours.take(id));
        }
        outcome
    }

    /// Lets a session of ours run without us.
    pub(crate) async fn leave_session(&self, id: &str) -> Result<(), EngineError> {
        let left = self.order(id, &Order::Leave).await;
        drop(self.ours.take(id));
        // One that ended just then hears no more orders, and there is nothing to leave.
        let details = self.session_details(id);
        let has_ended = details.is_ok_and(|details| {
            details.is_none_or(|details| details.state == SessionState::Ended)
        });
        if has_ended { Ok(()) } else { left }
    }

    async fn order(&self, id: &str, order: &Order) -> Result<(), EngineError> {
        let Some(mut keeper) = self.ours.take(id) else {
            return Err(NativeError::Vanished.into());
        };
        let said = async {
            wire::say(&mut keeper, order).await?;
            wire::hear::<News>(&mut keeper).await
        };
        let said = said.await;
        self.ours.put(id, keeper);
        told(said.map_err(EngineError::host("talk to the session's keeper"))?)
    }

    /// Kills a session and removes what is left of it; one that is not there is no error.
    pub(crate) async fn remove_session(&self, id: &str) -> Result<(), EngineError> {
        let removed = self.stop_session(id, (0, Duration::ZERO)).await;
        drop(self.ours.take(id));
        removed.map(|_| ())
    }

    /// Asks a session to end, kills it when it still runs after so many seconds, and removes what is left of it.
    pub(crate) async fn stop_session(
        &self,
        id: &str,
        (seconds, _): (u32, Duration),
    ) -> Result<Stopped, EngineError> {
        let Some(found) = self.found(id)? else {
            return Ok(Stopped::Gone);
        };
        if found.alive {
            let ask = async {
                let mut keeper = wire::ask(&found.path, &Request::Stop { seconds }).await?;
                wire::hear::<Answer>(&mut keeper).await
            };
            let patience = PATIENCE + Duration::from_secs(seconds.into());
            // One that ended meanwhile does not answer any more.
            drop(tokio::time::timeout(patience, ask).await);
        }
        match self.found(id)? {
            Some(left) if left.alive && left.record.ended.is_none() => Err(EngineError::Refused {
                what: "stop the session".to_owned(),
                message: "its keeper does not answer".to_owned(),
            }),
            Some(left) => {
                directory::remove(&left.path, id)
                    .map_err(EngineError::host("remove the session's directory"))?;
                Ok(Stopped::Ended)
            }
            None => Ok(Stopped::Ended),
        }
    }

    /// Removes what killed runs left.
    pub(crate) async fn sweep_sessions(&self) -> Result<(), EngineError> {
        let native = self.clone();
        let swept = tokio::task::spawn_blocking(move || {
            directory::sweep(&native.sessions_directory())
                .map_err(EngineError::host("remove what killed sessions left"))?;
            super::scratch::sweep(&native).map_err(EngineError::from)
        });
        swept
            .await
            .unwrap_or_else(|error| Err(EngineError::host("tidy up")(io::Error::other(error))))
    }

    /// Connects to a session that need not run yet.
    pub(crate) async fn open_link(
        &self,
        id: &str,
        (input, _): (SessionInput, WhenEnded),
    ) -> Result<Link, EngineError> {
        let what = "attach to the session";
        let found = self.found(id)?.ok_or(NativeError::Vanished)?;
        let request = Request::Attach {
            starter: self.ours.has(id),
            input: input != SessionInput::Empty,
        };
        let attach = async {
            let mut stream = wire::ask(&found.path, &request).await?;
            let attached = wire::hear::<Answer>(&mut stream).await?;
            attached.ok_or(io::ErrorKind::UnexpectedEof)?;
            let wait = wire::ask(&found.path, &Request::Wait).await?;
            Ok((stream, wait))
        };
        let (stream, mut wait) = attach.await.map_err(EngineError::host(what))?;
        let exit = async move {
            match wire::hear::<Answer>(&mut wait).await {
                Ok(Some(Answer::Ended { status })) => Ok(status),
                // Whoever ends a session's keeper ends the session.
                _ => Ok(128 + Signal::KILL.as_raw()),
            }
        };
        Ok(Link {
            stream: Box::new(stream),
            exit: Box::pin(exit),
        })
    }

    /// Tells a session's terminal another size.
    pub(crate) async fn resize_session(&self, id: &str, size: (u16, u16)) {
        self.request(id, &Request::Resize { size }).await;
    }

    /// Sends a session a signal, by its name.
    pub(crate) async fn signal_session(&self, id: &str, name: &str) {
        if let Some(signal) = signal(name) {
            let number = signal.as_raw();
            self.request(id, &Request::Signal { number }).await;
        }
    }

    /// Asks for something that a session that has just ended does not do.
    async fn request(&self, id: &str, request: &Request) {
        if let Ok(Some(found)) = self.found(id)
            && let Ok(mut keeper) = wire::ask(&found.path, request).await
        {
            drop(wire::hear::<Answer>(&mut keeper).await);
        }
    }

    /// Opens what a session printed.
    pub(crate) fn open_log(
        &self,
        id: &str,
        wanted: LogsWanted,
    ) -> Result<Box<dyn AsyncRead + Unpin + Send>, EngineError> {
        let found = self.found(id)?.ok_or(NativeError::Vanished)?;
        log::open(&found.path, (found.record.terminal, wanted))
            .map_err(EngineError::host("read the session's log"))
    }

    /// Prepares another program in a session.
    pub(crate) fn prepare_program(
        &self,
        id: &str,
        spec: &ExecSpec,
    ) -> Result<NativeProgram, EngineError> {
        let found = self.found(id)?.ok_or(NativeError::Vanished)?;
        NativeProgram::new(self, &found.record, spec)
    }
}

fn state(found: &Found) -> SessionState {
    match (found.ended(), found.record.process) {
        (Some(_), _) => SessionState::Ended,
        (None, Some(_)) => SessionState::Running,
        (None, None) => SessionState::Starting,
    }
}

/// Finds an image by its name in the store, or by its manifest's digest.
fn image(store: &BlobStore, name: &str) -> Result<Image, EngineError> {
    let missing = || EngineError::Start {
        message: format!("there is no image {name} in the store"),
        status: 125,
    };
    let manifest = if let Ok(digest) = name.parse() {
        digest
    } else {
        let reference = name.parse::<ImageReference>().ok();
        let reference = reference.ok_or_else(missing)?;
        let tagged = store.tagged(&reference).map_err(NativeError::from)?;
        tagged.ok_or_else(missing)?.manifest.digest
    };
    Ok(store.image(&manifest).map_err(NativeError::from)?)
}

fn new_id() -> io::Result<String> {
    let nonce = Nonce::new()?;
    Ok(nonce.text().chars().take(ID).collect())
}

/// Makes of a keeper's answer what the engine's callers know.
fn told(news: Option<News>) -> Result<(), EngineError> {
    match news {
        Some(News::Done) => Ok(()),
        None => Err(NativeError::Vanished.into()),
        Some(News::Failed { what, errno }) => Err(failure(&what, errno)),
    }
}

/// A shell tells a program that is missing from one that is none by its exit status, and so do we.
fn failure(what: &str, errno: i32) -> EngineError {
    let source = io::Error::from_raw_os_error(errno);
    let is_program = what.starts_with("run ");
    let status = match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if is_program => 127,
        _ if is_program => 126,
        _ => 125,
    };
    let message = if errno == 0 {
        what.to_owned()
    } else {
        format!("cannot {what}: {source}")
    };
    EngineError::Start { message, status }
}

/// Finds a signal by its name, with or without `SIG`.
fn signal(name: &str) -> Option<Signal> {
    Some(match name.trim_start_matches("SIG") {
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "TERM" => Signal::TERM,
        "HUP" => Signal::HUP,
        "KILL" => Signal::KILL,
        _ => return None,
    })
}
