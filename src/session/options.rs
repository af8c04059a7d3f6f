//! What the command line says of a session's name, and of how we are connected to it.

use clap::Args;

use crate::engine::docker::{DetachKeys, is_container_name};

/// Options of a session.
#[derive(Clone, Debug, Default, Args)]
pub struct SessionOptions {
    /// Name the session; else it is called after agent and directory.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<String>,
    /// Start in the background and print the session's name; `aicage attach` joins it.
    #[arg(short = 'd', long)]
    pub detach: bool,
    /// Keys that leave the session running, `none` for none; the usual are ctrl-p,ctrl-q.
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<DetachKeys>,
}

impl SessionOptions {
    /// Lays the options after `run` over those before it.
    #[must_use]
    pub fn overridden_by(&self, after: Self) -> Self {
        Self {
            name: after.name.or_else(|| self.name.clone()),
            detach: self.detach || after.detach,
            detach_keys: after.detach_keys.or_else(|| self.detach_keys.clone()),
        }
    }
}

/// Reads a name that engines take.
fn name(text: &str) -> Result<String, &'static str> {
    if is_container_name(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "a name is at least two letters, digits, `_`, `.` and `-`, and begins with a letter or digit",
        )
    }
}
