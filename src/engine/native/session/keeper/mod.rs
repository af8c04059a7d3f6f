//! The keeper of a session: a process of its own that has the cage, what it prints and its socket.
//!
//! Its standard input is a connection to whoever created the session, its standard output the session's lock, and its
//! standard error the list of layers that are in use, so that both are held as long as it lives.
//!
//! **Invariant.** The session ends with its keeper, and with whoever created it unless that one has left it; what it
//! printed reaches everybody who looks on before they hear of the end, and its directory is gone before that, unless it is
//! to stay.

mod hub;
mod inside;
mod serve;
mod viewer;

use std::{
    iter::{once, successors},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{setsid, umask},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc::UnboundedReceiver, watch},
};

use self::{
    hub::Hub,
    inside::{Heard, Inside},
};
pub(super) use self::{
    hub::{piece, sink, source},
    inside::resize,
};
use super::{
    directory,
    log::Writer,
    record::{Ended, Process, Record},
    wire::{self, News, Order},
};
use crate::{
    clock,
    engine::{
        native::{
            Native,
            cage::Cage,
            error::NativeError,
            scratch::{self, Scratch},
        },
        session::KILLED,
    },
};

/// How long what a session printed last waits for a reader that may be stuck.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

/// What a keeper is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Errand {
    /// The session's directory.
    pub(super) directory: PathBuf,
    /// The store.
    pub(super) store: PathBuf,
    /// The caller's name.
    pub(super) name: String,
    /// The cage; its place for changes is the keeper's to make.
    pub(super) cage: Cage,
    /// Whether there is anything to read for the agent.
    pub(super) reads: bool,
    /// Its terminal's size at first: height and width.
    pub(super) size: Option<(u16, u16)>,
}

/// How a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// By itself.
    None,
    /// Now, and nothing of it stays: somebody stopped it, or whoever created it is gone.
    Over,
}

/// What all connections share.
#[derive(Debug)]
struct Keeper {
    hub: Hub,
    inside: Inside,
    wish: watch::Sender<Wish>,
    /// The exit status, once its directory is as it is to be.
    over: watch::Sender<Option<i32>>,
}

/// Runs a keeper.
pub(in crate::engine::native) fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::from(125);
    };
    // What fails was told to whoever created the session, as long as that one is there.
    match runtime.block_on(keep()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(125),
    }
}

async fn keep() -> std::io::Result<()> {
    setsid()?;
    umask(Mode::from_raw_mode(0o077));
    let creator = creator()?;
    let mut creator = BufReader::new(creator);
    let Some(errand) = wire::hear::<Errand>(&mut creator).await? else {
        return Ok(());
    };
    let kept = prepared(errand, &mut creator).await;
    if let Err((directory, error)) = kept {
        let id = Record::read(&directory).map(|record| record.id);
        // What cannot be removed is left to the next run; whoever waits is told why nothing runs.
        directory::remove(&directory, &id.unwrap_or_default()).unwrap_or_default();
        wire::say(&mut creator, &failed(&error)).await?;
    }
    Ok(())
}

/// Does what a session takes from its beginning to its end; until it runs, a failure is told.
async fn prepared(
    errand: Errand,
    creator: &mut BufReader<UnixStream>,
) -> Result<(), (PathBuf, NativeError)> {
    let at = errand.directory.clone();
    let failed = |error: NativeError| (at.clone(), error);
    let host = |what: &'static str| {
        let at = at.clone();
        move |error: std::io::Error| (at, NativeError::host(what)(error))
    };
    let listener = listen(&at).map_err(host("listen for whoever attaches"))?;
    let mut record = Record::read(&at).map_err(host("read the session's record"))?;
    let log = record.log.then(|| Writer::new(&at)).transpose();
    let log = log.map_err(host("begin the session's log"))?;
    let ids = (rustix::process::geteuid(), rustix::process::getegid());
    let native = Native::new(errand.store, (&errand.name, ids.0.as_raw(), ids.1.as_raw()));
    let scratch = Scratch::new(&native, &record.id).map_err(failed)?;
    let mut cage = errand.cage;
    cage.scratch = scratch.path.clone().into_os_string();
    let (inside, mut heard) = Inside::begin(&native).map_err(failed)?;
    let keeper = Arc::new(Keeper {
        hub: Hub::new(log),
        inside,
        wish: watch::Sender::new(Wish::None),
        over: watch::Sender::new(None),
    });
    let serving = tokio::spawn(serve::all(listener, Arc::clone(&keeper)));
    wire::say(creator, &News::Done)
        .await
        .map_err(host("talk to whoever created the session"))?;
    let mut wish = keeper.wish.subscribe();
    let wanted = tokio::select! {
        order = wire::hear::<Order>(creator) => matches!(order, Ok(Some(Order::Start))),
        _ = wish.wait_for(|wish| *wish == Wish::Over) => false,
    };
    if !wanted {
        directory::remove(&at, &record.id).map_err(host("remove the session's directory"))?;
        end(&keeper, (KILLED, serving)).await;
        drop(keeper);
        drop(scratch);
        return Ok(());
    }
    let how = (errand.reads, errand.size);
    match run(
        &keeper,
        (cage, how),
        (&mut record, &at),
        (creator, &mut heard),
    )
    .await
    {
        Ok(status) => end(&keeper, (status, serving)).await,
        Err(error) => {
            serving.abort();
            drop(serving.await);
            keeper.inside.give_up();
            drop(keeper);
            drop(scratch);
            return Err(failed(error));
        }
    }
    keeper.inside.let_go();
    drop(keeper);
    drop(scratch);
    // What others left is taken away while nobody waits.
    scratch::sweep(&native).unwrap_or_default();
    Ok(())
}

/// Runs the session, from its beginning to its end; returns the exit status.
async fn run(
    keeper: &Keeper,
    (cage, how): (Cage, (bool, Option<(u16, u16)>)),
    (record, at): (&mut Record, &Path),
    (creator, heard): (&mut BufReader<UnixStream>, &mut UnboundedReceiver<Heard>),
) -> Result<i32, NativeError> {
    let streams = tokio::select! {
        streams = keeper.inside.start(cage, how, heard) => streams?,
        () = given_up(keeper, creator) => return Err(NativeError::Interrupted),
    };
    record.process = streams.pid.and_then(Process::of);
    let written = record.write(at);
    if let Err(error) = written {
        keeper.inside.kill();
        return Err(NativeError::host("write the session's record")(error));
    }
    keeper.hub.connect(streams);
    // Whoever created it may be gone by now, which is noticed at once.
    wire::say(creator, &News::Done).await.unwrap_or_default();
    let status = until_ended(keeper, creator, heard).await;
    tokio::select! {
        () = keeper.hub.drained() => {}
        // Whoever started it may not read any more, and somebody wants it gone.
        () = unwanted(keeper) => {}
    }
    let is_over = *keeper.wish.borrow() == Wish::Over;
    if record.kept && !is_over {
        record.ended = Some(Ended {
            status: Some(status),
            at: clock::now(),
        });
        record.write(at).unwrap_or_default();
    } else {
        directory::remove(at, &record.id).unwrap_or_default();
    }
    Ok(status)
}

/// Waits until nobody wants a session that does not run yet.
async fn given_up(keeper: &Keeper, creator: &mut BufReader<UnixStream>) {
    let mut wish = keeper.wish.subscribe();
    let gone = async {
        // Whoever created it says nothing until it runs.
        if !matches!(creator.fill_buf().await, Ok([]) | Err(_)) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = gone => {}
        _ = wish.wait_for(|wish| *wish == Wish::Over) => {}
    }
}

/// Waits until nobody wants the session any more, and then a moment for those who read.
async fn unwanted(keeper: &Keeper) {
    let mut wish = keeper.wish.subscribe();
    drop(wish.wait_for(|wish| *wish == Wish::Over).await);
    tokio::time::sleep(LINGER).await;
}

/// Waits for the exit status; meanwhile whoever created the session may leave it.
async fn until_ended(
    keeper: &Keeper,
    creator: &mut BufReader<UnixStream>,
    heard: &mut UnboundedReceiver<Heard>,
) -> i32 {
    let mut is_there = true;
    loop {
        tokio::select! {
            next = heard.recv() => match next {
                Some(Heard::Ended(status)) => return status,
                Some(Heard::Failed(_)) | None => return KILLED,
                Some(_) => {}
            },
            order = wire::hear::<Order>(creator), if is_there => match order {
                Ok(Some(Order::Leave)) => {
                    is_there = false;
                    wire::say(creator, &News::Done).await.unwrap_or_default();
                }
                Ok(Some(Order::Start)) => {}
                Ok(None) | Err(_) => {
                    is_there = false;
                    keeper.wish.send_replace(Wish::Over);
                    keeper.inside.kill();
                }
            },
        }
    }
}

/// Tells everybody how it ended, and waits until they have heard it.
async fn end(keeper: &Keeper, (status, serving): (i32, tokio::task::JoinHandle<()>)) {
    keeper.hub.end();
    keeper.over.send_replace(Some(status));
    // It ends when the last connection has.
    serving.await.unwrap_or_default();
}

/// Takes the connection that is our standard input, for this process alone.
fn creator() -> std::io::Result<UnixStream> {
    let own: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    let stream = std::os::unix::net::UnixStream::from(own);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn listen(directory: &Path) -> std::io::Result<UnixListener> {
    let (_opened, place) = wire::place(directory)?;
    UnixListener::bind(place)
}

/// Says what failed, with the system's number if there is one, or with all causes.
fn failed(error: &NativeError) -> News {
    use std::error::Error as _;
    let causes: Vec<_> = successors(error.source(), |&cause| cause.source()).collect();
    let system = causes
        .iter()
        .find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error());
    if let (NativeError::Cage { what, .. } | NativeError::Host { what, .. }, Some(errno)) =
        (error, system)
    {
        let what = what.clone();
        return News::Failed { what, errno };
    }
    let words = causes.iter().map(ToString::to_string);
    let words: Vec<_> = once(error.to_string()).chain(words).collect();
    News::Failed {
        what: words.join(": "),
        errno: 0,
    }
}
