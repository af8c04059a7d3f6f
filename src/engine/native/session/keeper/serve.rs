//! The connections to a keeper.
//!
//! Invariant: the session's end is the end of all of them, a moment later; only whoever started the session, and has not
//! been told to go, is waited for.

use std::{sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use super::{Keeper, Wish, unwanted, viewer::Part};
use crate::engine::native::session::wire::{self, Answer, Request};

/// How long somebody who looks on may read nothing once the session is over: a stopped process holds nothing up for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of what somebody types is read at once.
const PIECE: usize = 64 << 10;

/// Serves everybody until the session is over and all have heard it.
pub(super) async fn all(listener: UnixListener, keeper: Arc<Keeper>) {
    let mut connections = JoinSet::new();
    let mut over = keeper.over.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted
                    && is_callers(&stream)
                {
                    let keeper = Arc::clone(&keeper);
                    // Whoever goes away is no reason to stop.
                    connections.spawn(async move { one(stream, &keeper).await.unwrap_or_default() });
                }
            }
            Some(_) = connections.join_next() => {}
            _ = over.wait_for(Option::is_some) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Nobody but the caller and root get through to the socket; this is for what they may have handed on.
fn is_callers(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == us || peer.uid() == 0)
}

async fn one(mut stream: UnixStream, keeper: &Keeper) -> std::io::Result<()> {
    let request = tokio::select! {
        request = wire::hear::<Request>(&mut stream) => request?,
        () = out_of_time(keeper, Part::Visitor) => None,
    };
    let Some(request) = request else {
        return Ok(());
    };
    let answer = match request {
        Request::Attach {
            starter,
            input,
            number,
        } => {
            attach(stream, keeper, (starter, input), number).await;
            return Ok(());
        }
        Request::Wait { number } => tokio::select! {
            biased;
            () = keeper.hub.left_behind(number) => Answer::LeftBehind,
            status = seen(keeper, number) => Answer::Ended { status },
        },
        Request::Resize { size } => {
            keeper.hub.resize(size);
            Answer::Done
        }
        Request::Signal { number } => {
            keeper.inside.signal(number);
            Answer::Done
        }
        Request::Stop { seconds } => {
            stop(keeper, seconds).await;
            Answer::Done
        }
    };
    wire::say(&mut stream, &answer).await
}

async fn over(keeper: &Keeper) -> i32 {
    let mut over = keeper.over.subscribe();
    let status = over.wait_for(Option::is_some).await;
    status.ok().and_then(|status| *status).unwrap_or(125)
}

/// Waits for the exit status, and until a visitor with this number has all that was printed.
async fn seen(keeper: &Keeper, number: u64) -> i32 {
    let status = over(keeper).await;
    keeper.hub.shown(number).await;
    status
}

/// Waits until the session is over, and then as long as somebody may take to read a piece.
async fn out_of_time(keeper: &Keeper, part: Part) {
    over(keeper).await;
    match part {
        Part::Visitor => tokio::time::sleep(PATIENCE).await,
        Part::Starter => unwanted(keeper).await,
    }
}

async fn stop(keeper: &Keeper, seconds: u32) {
    keeper.wish.send_replace(Wish::Over);
    if seconds > 0 {
        keeper.inside.signal(Signal::TERM.as_raw());
    }
    let time = Duration::from_secs(seconds.into());
    if tokio::time::timeout(time, over(keeper)).await.is_err() {
        keeper.inside.kill();
        over(keeper).await;
    }
}

async fn attach(
    mut stream: UnixStream,
    keeper: &Keeper,
    (is_starter, input): (bool, bool),
    number: u64,
) {
    let part = if is_starter {
        Part::Starter
    } else {
        Part::Visitor
    };
    let mut pieces = keeper.hub.view(part, number);
    // From here on nothing is missed.
    if wire::say(&mut stream, &Answer::Done).await.is_err() {
        keeper.hub.leave(number);
        return;
    }
    let (mut from, mut to) = stream.into_split();
    let printing = async {
        while let Some(waiting) = pieces.next().await {
            tokio::select! {
                written = to.write_all(&waiting.piece) => if written.is_err() {
                    return;
                },
                () = out_of_time(keeper, part) => {
                    keeper.hub.leave_behind(number);
                    return;
                }
            }
        }
        to.shutdown().await.unwrap_or_default();
    };
    let typing = async {
        let mut buffer = vec![0; PIECE];
        loop {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) if !input => {}
                Ok(read) => {
                    let typed = buffer.get(..read).unwrap_or_default();
                    if keeper.hub.give(typed).await.is_err() {
                        break;
                    }
                }
            }
        }
        if is_starter && input {
            keeper.hub.ended_typing().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = printing => {}
        () = typing => {}
    }
    keeper.hub.leave(number);
}
