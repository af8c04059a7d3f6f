//! When a failed request is tried again, and how long that waits.
//!
//! Invariant: only what may succeed a moment later is retried; waits double, without chance, and follow `Retry-After` up
//! to a minute: longer, and the person waiting should know instead.

use std::time::Duration;

use assembler::reporter::{Event, Reporter};

use crate::RegistryError;

const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Enough for a registry that restarts: with the usual base the waits add up to about 8 s.
pub(crate) const PATIENT: u32 = 5;
/// For a place after which another follows.
pub(crate) const ONCE: u32 = 1;

/// Counts tries of one request.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    limit: u32,
    tries: u32,
    /// Whether an unreachable host is tried again.
    pub(crate) reconnect: Reconnect,
}

/// Whether an unreachable host is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reconnect {
    /// It was reachable a moment ago.
    Yes,
    /// Nobody should wait long to hear that there is no network.
    No,
}

impl Backoff {
    /// Starts counting; the first try is under way.
    pub(crate) fn new(base: Duration, limit: u32) -> Self {
        Self {
            base,
            limit,
            tries: 1,
            reconnect: Reconnect::No,
        }
    }

    /// Forgets the failures so far, because the last try got somewhere: such a place is worth patience.
    pub(crate) fn reset(&mut self) {
        self.tries = 1;
        self.limit = PATIENT;
        self.reconnect = Reconnect::Yes;
    }

    /// Waits before the next try, or gives `error` back when there is none.
    pub(crate) async fn pause(
        &mut self,
        error: RegistryError,
        reporter: &dyn Reporter,
    ) -> Result<(), RegistryError> {
        let wait = error
            .retry_after()
            .unwrap_or_else(|| self.base.saturating_mul(1 << (self.tries - 1).min(6)));
        let hopeless = error.is_offline() && self.reconnect == Reconnect::No;
        if !error.is_transient() || hopeless || self.tries >= self.limit || wait > LONGEST_WAIT {
            return Err(error);
        }
        self.tries += 1;
        reporter.event(Event::Retrying {
            what: &error.to_string(),
            attempt: self.tries,
            wait,
        });
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
