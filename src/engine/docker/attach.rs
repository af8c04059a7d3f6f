//! Attaching to a container: its byte stream, bare with a terminal and in frames without.

use super::{Docker, error::EngineError, wire::Hijacked};

/// The engine's keys for detaching, control-P control-Q, would swallow every control-P. They cannot be switched off,
/// only be made so unlikely that nobody presses them; ours are watched for here (`session::DetachKeys`).
pub(crate) const UNLIKELY_KEYS: &str = "ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,\
    ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^";

/// What is to be attached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attach {
    /// Only what the container prints.
    Output,
    /// What it prints, and what it reads.
    Both,
}

impl Docker {
    /// Attaches to a container that need not run yet.
    pub(crate) async fn attach(&self, id: &str, what: Attach) -> Result<Hijacked, EngineError> {
        let keys = UNLIKELY_KEYS.replace('^', "%5E");
        let stdin = match what {
            Attach::Output => 0,
            Attach::Both => 1,
        };
        let path = self.path(&format!(
            "/containers/{id}/attach?stream=1&stdin={stdin}&stdout=1&stderr=1&detachKeys={keys}"
        ));
        self.endpoint
            .hijack(&path)
            .await
            .map_err(|error| self.failed("attach to the container", error))
    }
}
