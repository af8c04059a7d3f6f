//! Being at a session that there is: its streams, its size, its signals, its log, and other programs in it.

use std::io;

use rustix::process::Signal;
use tokio::io::AsyncRead;

use super::{
    NativeProgram, log,
    wire::{self, Answer, Request},
};
use crate::engine::{
    docker::EngineError,
    native::{Native, error::NativeError},
    session::{ExecSpec, Exit, KILLED, Link, LogsWanted, SessionInput, WhenEnded},
    step::files::Nonce,
};

impl Native {
    /// Connects to a session that need not run yet.
    pub(crate) async fn open_link(
        &self,
        id: &str,
        (input, _): (SessionInput, WhenEnded),
    ) -> Result<Link, EngineError> {
        let what = "attach to the session";
        let found = self.found(id)?.ok_or(NativeError::Vanished)?;
        let number = number().map_err(EngineError::host("make up a number"))?;
        let request = Request::Attach {
            starter: self.ours.has(id),
            input: input != SessionInput::Empty,
            number,
        };
        let attach = async {
            let mut stream = wire::ask(&found.path, &request).await?;
            let attached = wire::hear::<Answer>(&mut stream).await?;
            attached.ok_or(io::ErrorKind::UnexpectedEof)?;
            let wait = wire::ask(&found.path, &Request::Wait { number }).await?;
            Ok((stream, wait))
        };
        let (stream, mut wait) = attach.await.map_err(EngineError::host(what))?;
        let exit = async move {
            match wire::hear::<Answer>(&mut wait).await {
                Ok(Some(Answer::Ended { status })) => Ok(Exit::Ended(status)),
                Ok(Some(Answer::LeftBehind)) => Ok(Exit::LeftBehind),
                // Whoever ends a session's keeper ends the session.
                _ => Ok(Exit::Ended(KILLED)),
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

/// Makes up a number for a connection.
fn number() -> io::Result<u64> {
    let nonce = Nonce::new()?;
    u64::from_str_radix(nonce.text(), 16).map_err(io::Error::other)
}

/// Finds a signal by its name, with or without `SIG`.
pub(super) fn signal(name: &str) -> Option<Signal> {
    Some(match name.trim_start_matches("SIG") {
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "TERM" => Signal::TERM,
        "HUP" => Signal::HUP,
        "KILL" => Signal::KILL,
        _ => return None,
    })
}
