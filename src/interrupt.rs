//! Ctrl-C and its like: told once, heard by everything that works long.
//!
//! Invariant: the first signal asks running work to clean up and end; a second one ends the program at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Tells when the user interrupts. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Interrupt {
    heard: watch::Receiver<bool>,
    /// Set while a session has the signals.
    given_away: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts listening for SIGINT, SIGTERM and SIGHUP.
    pub fn listen() -> std::io::Result<Self> {
        let (tell, heard) = watch::channel(false);
        let given_away = Arc::new(AtomicBool::new(false));
        let elsewhere = Arc::clone(&given_away);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            let mut told = false;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                if elsewhere.load(Ordering::Relaxed) {
                    continue;
                }
                if told {
                    end_at_once();
                }
                told = true;
                if tell.send(true).is_err() {
                    return;
                }
            }
        });
        Ok(Self { heard, given_away })
    }

    /// Returns the channel itself, which turns true when the user interrupts.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.heard.clone()
    }

    /// Leaves signals to a session from now on: they are the agent's.
    pub fn give_away(&self) {
        self.given_away.store(true, Ordering::Relaxed);
    }

    /// Tells whether the user has interrupted.
    pub fn is_heard(&self) -> bool {
        *self.heard.borrow()
    }

    /// Waits until the user interrupts.
    pub async fn wait(&self) {
        let mut heard = self.heard.clone();
        // An error means that nobody listens any more; then nothing will be heard.
        if heard.wait_for(|heard| *heard).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the user insists; the next run sweeps what is left"
)]
fn end_at_once() -> ! {
    std::process::exit(130)
}
