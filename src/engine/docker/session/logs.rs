//! What an engine kept of what a container printed.

use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::engine::{
    docker::{Docker, error::EngineError},
    session::LogsWanted,
};

impl Docker {
    /// Opens a log.
    pub(crate) async fn open_log(
        &self,
        id: &str,
        wanted: LogsWanted,
    ) -> Result<Box<dyn AsyncRead + Unpin + Send>, EngineError> {
        let tail = wanted
            .tail
            .map_or("all".to_owned(), |lines| lines.to_string());
        let path = self.path(&format!(
            "/containers/{id}/logs?stdout=1&stderr=1&follow={}&tail={tail}&timestamps={}",
            u8::from(wanted.follow),
            u8::from(wanted.timestamps),
        ));
        let answer = self.endpoint().open(&path).await;
        let answer = answer.map_err(|error| self.failed("give the log of the container", error))?;
        let body = answer.into_body().into_data_stream();
        let body = StreamReader::new(Box::pin(body.map_err(std::io::Error::other)));
        Ok(Box::new(body))
    }
}
