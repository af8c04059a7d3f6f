//! What sessions need of an engine: containers with us at their streams, found by their labels, looked at and ended.
//!
//! Invariant: a container that was made to be gone at its end is removed by the engine when it exits, or by us.

mod create;
mod exec;
mod found;
mod link;
mod logs;
mod options;
mod out_of_memory;
mod stop;

use bollard::query_parameters::{KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};

use super::{Docker, error::EngineError, throwaway};

pub(crate) use self::{
    create::{assignments, no_log, session_log},
    exec::DockerProgram,
};

impl Docker {
    /// Removes what killed runs left.
    pub(crate) async fn sweep(&self) -> Result<(), EngineError> {
        throwaway::sweep(self).await
    }

    /// Tells a container's terminal another size.
    pub(crate) async fn resize_session(&self, id: &str, (height, width): (u16, u16)) {
        let options = ResizeContainerTTYOptionsBuilder::new()
            .h(height.into())
            .w(width.into())
            .build();
        // A container that has just exited cannot be resized.
        let resized = self.client.resize_container_tty(id, options);
        resized.await.unwrap_or_default();
    }

    /// Sends a container a signal.
    pub(crate) async fn signal_session(&self, id: &str, name: &str) {
        let options = KillContainerOptionsBuilder::new().signal(name).build();
        // A container that has just exited takes no signal.
        let killed = self.client.kill_container(id, Some(options));
        killed.await.unwrap_or_default();
    }
}
