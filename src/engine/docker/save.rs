//! Takes an image out of an engine, as the archive that `docker save` writes.

use std::io::Write;

use futures_util::TryStreamExt as _;

use super::{Docker, error::EngineError};

impl Docker {
    /// Writes the image's archive to `sink`, as it comes.
    pub async fn save(&self, name: &str, sink: &mut (dyn Write + Send)) -> Result<(), EngineError> {
        let mut archive = std::pin::pin!(self.patient.export_image(name));
        loop {
            let chunk = archive
                .try_next()
                .await
                .map_err(|error| EngineError::call(format!("save the image {name}"), error))?;
            let Some(chunk) = chunk else {
                return Ok(());
            };
            sink.write_all(&chunk)
                .map_err(EngineError::host("write an image's archive"))?;
        }
    }
}
