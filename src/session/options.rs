//! What the command line says of how we are connected to it.

use clap::Args;

use crate::engine::session::DetachKeys;

/// Options of a session.
#[derive(Clone, Debug, Default, Args)]
pub struct SessionOptions {
    /// Start in the background and print the session's name; `aicage attach` joins it.
    #[arg(short = 'd', long)]
    pub detach: bool,
    /// Have the engine keep nothing of what the session prints; `aicage logs` then has nothing to show.
    #[arg(long, hide_short_help = true)]
    pub no_log: bool,
    /// Keys that leave the session running, `none` for none; the usual are ctrl-p,ctrl-q.
    #[arg(long, value_name = "KEYS", hide_short_help = true)]
    pub detach_keys: Option<DetachKeys>,
}

impl SessionOptions {
    /// Lays the options after `run` over those before it.
    #[must_use]
    pub fn overridden_by(&self, after: Self) -> Self {
        Self {
            detach: self.detach || after.detach,
            no_log: self.no_log || after.no_log,
            detach_keys: after.detach_keys.or_else(|| self.detach_keys.clone()),
        }
    }
}
