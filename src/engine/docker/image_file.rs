//! Reads one file of an image, by way of a container that is never started.

use std::{
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use bollard::{models::ContainerCreateBody, query_parameters::DownloadFromContainerOptionsBuilder};
use futures_util::StreamExt as _;

use super::{
    Docker,
    error::{EngineError, is_missing},
    owner::Owner,
    throwaway::OWNER,
};

/// As many symbolic links as are followed.
const LINKS: usize = 8;

/// What is at a path.
enum There {
    Nothing,
    File(Vec<u8>),
    Link(PathBuf),
}

impl Docker {
    /// Returns the first of these files that an image has, of at most so many bytes.
    pub async fn file_of_image(
        &self,
        image: &str,
        paths: &[&str],
        limit: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/never".to_owned()]),
            cmd: Some(Vec::new()),
            labels: Some([(OWNER.to_owned(), Owner::this_process().to_string())].into()),
            ..ContainerCreateBody::default()
        };
        let id = self.create_container(None, body).await?;
        let found = self.first_of(&id, paths, limit).await;
        let removed = self.remove_container(&id).await;
        let found = found?;
        removed.map(|()| found)
    }

    async fn first_of(
        &self,
        id: &str,
        paths: &[&str],
        limit: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        for path in paths {
            let mut path = PathBuf::from(path);
            for _ in 0..LINKS {
                match self.at(id, &path, limit).await? {
                    There::Nothing => break,
                    There::File(content) => return Ok(Some(content)),
                    There::Link(target) => path = followed(&path, &target),
                }
            }
        }
        Ok(None)
    }

    async fn at(&self, id: &str, path: &Path, limit: u64) -> Result<There, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(&path.to_string_lossy())
            .build();
        let mut pieces = Box::pin(self.client.download_from_container(id, Some(options)));
        let mut archive = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => archive.extend_from_slice(&piece),
                Err(error) if is_missing(&error) => return Ok(There::Nothing),
                Err(error) => return Err(EngineError::call("read a file of an image", error)),
            }
            // The archive has some headers besides.
            if archive.len() as u64 > limit + (64 << 10) {
                return Ok(There::Nothing);
            }
        }
        first_entry(&archive).map_err(EngineError::host("read a file of an image"))
    }
}

fn first_entry(archive: &[u8]) -> io::Result<There> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(There::Nothing);
    };
    let mut entry = entry?;
    let kind = entry.header().entry_type();
    if kind.is_symlink() {
        let target = entry.link_name()?.map(std::borrow::Cow::into_owned);
        return Ok(target.map_or(There::Nothing, There::Link));
    }
    if !kind.is_file() {
        return Ok(There::Nothing);
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok(There::File(content))
}

/// Returns where a link at a path leads to.
fn followed(path: &Path, target: &Path) -> PathBuf {
    let joined = path.parent().unwrap_or(path).join(target);
    let mut place = PathBuf::from("/");
    for part in joined.components() {
        match part {
            Component::ParentDir => drop(place.pop()),
            Component::Normal(part) => place.push(part),
            _ => {}
        }
    }
    place
}
