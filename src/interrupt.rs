//! Ctrl-C and its like: told once, heard by everything that works long.
//!
//! Invariant: the first signal asks running work to clean up and end; a second one ends the program at once. While a
//! session runs, signals are the agent's.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells when the user interrupts. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Interrupt {
    heard: CancellationToken,
    /// Set while a session has the signals.
    given_away: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts listening for SIGINT, SIGTERM and SIGHUP.
    pub fn listen() -> std::io::Result<Self> {
        let heard = CancellationToken::new();
        let given_away = Arc::new(AtomicBool::new(false));
        let (tell, elsewhere) = (heard.clone(), Arc::clone(&given_away));
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                if elsewhere.load(Ordering::Relaxed) {
                    continue;
                }
                if tell.is_cancelled() {
                    end_at_once();
                }
                tell.cancel();
            }
        });
        Ok(Self { heard, given_away })
    }

    /// Returns the token that is cancelled when the user interrupts.
    pub fn token(&self) -> CancellationToken {
        self.heard.clone()
    }

    /// Leaves signals to a session from now on: they are the agent's.
    pub fn give_away(&self) {
        self.given_away.store(true, Ordering::Relaxed);
    }

    /// Waits until the user interrupts.
    pub async fn wait(&self) {
        self.heard.cancelled().await;
    }
}

#[expect(
    clippy::exit,
    reason = "the user insists; the next run sweeps what is left"
)]
fn end_at_once() -> ! {
    std::process::exit(130)
}
