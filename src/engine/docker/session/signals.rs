//! The signals that reach us while a session runs.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What came.
pub(super) enum Received {
    Resized,
    Ending(&'static str),
}

/// The signals that a session passes on.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
    window: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            window: signal(SignalKind::window_change())?,
        })
    }

    pub(super) async fn ending(&mut self) {
        while let Received::Resized = self.next().await {}
    }

    pub(super) async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.interrupt.recv() => Received::Ending("SIGINT"),
            _ = self.terminate.recv() => Received::Ending("SIGTERM"),
            _ = self.hangup.recv() => Received::Ending("SIGHUP"),
            _ = self.quit.recv() => Received::Ending("SIGQUIT"),
            _ = self.window.recv() => Received::Resized,
        }
    }
}
