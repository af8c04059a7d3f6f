//! Whether a container was short of memory: the container is gone by then, but the engine remembers what happened.

use std::time::Duration;

use http_body_util::BodyExt as _;

use crate::engine::{docker::Docker, session::Memory};

/// How long we look. The engine tells at once what it remembers and then waits for more to happen.
const PATIENCE: Duration = Duration::from_millis(300);

impl Docker {
    /// Asks what the engine remembers of a container; what cannot be asked counts as enough.
    pub(crate) async fn memory_of(&self, id: &str) -> Memory {
        let filters =
            format!("%7B%22container%22%3A%5B%22{id}%22%5D%2C%22event%22%3A%5B%22oom%22%5D%7D");
        let path = self.path(&format!("/events?since=1&filters={filters}"));
        let first = async {
            let answer = self.endpoint().open(&path).await.ok()?;
            answer.into_body().frame().await?.ok()?.into_data().ok()
        };
        match tokio::time::timeout(PATIENCE, first).await {
            Ok(Some(event)) if !event.is_empty() => Memory::Exhausted,
            _ => Memory::Enough,
        }
    }
}
