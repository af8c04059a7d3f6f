//! The signals that reach us while a session runs.

use std::time::Duration;

use rustix::process::{Pid, Signal as Number, getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// After so many of them what does not end is killed, as Docker's client has it.
pub(super) const INSISTENT: u32 = 3;
/// How long it may take to end when nobody is left who could ask again.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// What most engines create a container in.
pub(super) const BRIEF: Duration = Duration::from_secs(2);

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The terminal has another size.
    Resized,
    /// We are to stop until we are continued.
    Suspended,
    /// We were stopped, by whatever, and go on.
    Continued,
    /// The session is to end.
    Ending(EndingSignal),
}

/// A signal that ends what runs, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndingSignal {
    Interrupt,
    Quit,
    Terminate,
    Hangup,
}

impl EndingSignal {
    /// Its name, as engines and `kill` know it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        }
    }

    /// Whether nobody is left to ask a second time: whoever sends these goes away, or kills us next.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Terminate | Self::Hangup)
    }
}

/// The signals that a session passes on.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
    window: Signal,
    suspend: Signal,
    proceed: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        let other = |number: Number| signal(SignalKind::from_raw(number.as_raw()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            window: signal(SignalKind::window_change())?,
            suspend: other(Number::TSTP)?,
            proceed: other(Number::CONT)?,
        })
    }

    pub(super) async fn ending(&mut self) {
        while !matches!(self.next().await, Received::Ending(_)) {}
    }

    pub(super) async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.interrupt.recv() => Received::Ending(EndingSignal::Interrupt),
            _ = self.terminate.recv() => Received::Ending(EndingSignal::Terminate),
            _ = self.hangup.recv() => Received::Ending(EndingSignal::Hangup),
            _ = self.quit.recv() => Received::Ending(EndingSignal::Quit),
            _ = self.window.recv() => Received::Resized,
            _ = self.suspend.recv() => Received::Suspended,
            _ = self.proceed.recv() => Received::Continued,
        }
    }
}

/// Stops us as the signal that we caught would have; returns when we are continued.
pub(super) fn stop_ourselves() {
    let us: Pid = getpid();
    kill_process(us, Number::STOP).unwrap_or_default();
}
