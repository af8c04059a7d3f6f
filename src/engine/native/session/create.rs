//! Creating sessions, and what whoever created one says to its keeper: that it begins, and that it goes on alone.

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
};

use assembler::{image::Image, reference::ImageReference, store::BlobStore};
use tokio::net::UnixStream;

use super::{
    compose, directory, failure,
    keeper::Errand,
    record::Record,
    refused,
    wire::{self, News, Order},
};
use crate::{
    clock,
    engine::{
        docker::EngineError,
        native::{
            IdMaps, Native,
            error::NativeError,
            rootfs::lowers,
            stage::{KEEP, NATIVE},
        },
        session::{SessionInput, SessionLog, SessionSpec, SessionState, WhenEnded, terminal_size},
        step::files::Nonce,
    },
};

/// How long a session's number is; it is its machine's name, too.
const ID: usize = 12;

impl Native {
    /// Makes a session, which does not run yet, and its keeper; returns its id.
    pub(crate) async fn create_session(
        &self,
        spec: &SessionSpec,
        name: Option<String>,
    ) -> Result<String, EngineError> {
        let maps = self.maps()?;
        refused::refuse(&spec.options, &maps)?;
        let id = new_id().map_err(EngineError::host("make up a number"))?;
        let (errand, record, held) = {
            let (native, spec, id) = (self.clone(), spec.clone(), id.clone());
            // Layers may have to be unpacked first.
            let prepared =
                tokio::task::spawn_blocking(move || native.prepare(&spec, (&id, &maps))).await;
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
        (id, maps): (&str, &IdMaps),
    ) -> Result<(Errand, Record, OwnedFd), EngineError> {
        let store = BlobStore::open(&self.store).map_err(NativeError::from)?;
        let lock = store.share().map_err(NativeError::from)?;
        let image = image(&store, &spec.image)?;
        let lowers = lowers(self, (&store, &lock), &image)?;
        let cage = compose::cage(spec, (&image, &lowers, maps), id)?;
        refused::refuse_init(&spec.options, &cage.program)?;
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
            groups: cage.program.groups.clone(),
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
}

/// Finds an image by its name in the store, or by its manifest's digest.
pub(super) fn image(store: &BlobStore, name: &str) -> Result<Image, EngineError> {
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
