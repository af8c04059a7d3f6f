//! Looks at engines without using one: every place where one may be, and what one says of itself.
//!
//! Invariant: nothing is changed, but for one throwaway container where [`Docker::try_network`] is asked for.

use std::io::Read as _;

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Docker, Endpoint, EngineSettings,
    connect::{connect_to, of_kind},
    endpoint::{Candidates, candidates},
    error::EngineError,
    image::Listed,
    owner::Owner,
    throwaway::{self, LABEL, LEFT, Throwaway, live},
    volumes::Volumes,
};
use crate::engine::session::Network;
use crate::engine::step::{files::Way, inside::Sealed};

/// The longest answer of a container that is read.
const ANSWER_LIMIT: u64 = 64 << 10;

/// One place where an engine may be, and what came of asking there.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where it is.
    pub(crate) endpoint: Endpoint,
    /// What came of asking.
    pub(crate) outcome: Result<Docker, EngineError>,
}

/// Asks everywhere, all at once; the first that answers is the one that is used. An error is one of configuration.
pub(crate) async fn survey(settings: &EngineSettings) -> Result<Vec<Place>, EngineError> {
    let endpoints = match candidates(settings)? {
        Candidates::Named(endpoint) => vec![endpoint],
        Candidates::Usual(endpoints) => endpoints,
    };
    let asked = endpoints.into_iter().map(|endpoint| async {
        let connected = connect_to(endpoint.clone()).await;
        let outcome = connected.and_then(|docker| of_kind(docker, settings.kind));
        Place { endpoint, outcome }
    });
    Ok(futures_util::future::join_all(asked).await)
}

/// What an engine says of itself beyond what running needs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Particulars {
    /// Where it keeps its data, as it sees the files.
    pub(crate) docker_root_dir: Option<String>,
    /// How it unpacks images.
    pub(crate) driver: Option<String>,
    /// What confines its containers.
    pub(crate) security_options: Option<Vec<String>>,
    /// What it warns of by itself.
    pub(crate) warnings: Option<Vec<String>>,
    /// Whether it can limit memory.
    pub(crate) memory_limit: Option<bool>,
    /// Whether it can limit the number of processes.
    pub(crate) pids_limit: Option<bool>,
    /// Whether it can limit processors.
    pub(crate) cpu_cfs_quota: Option<bool>,
    /// The version of control groups.
    pub(crate) cgroup_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kind {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// What a container was asked to reach.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Reached {
    /// `host:port`.
    pub(crate) target: String,
    /// The addresses that its name has there.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// Why the name has none.
    #[serde(default)]
    pub(crate) unresolved: Option<String>,
    /// Why there was no connection; `None` when there was.
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

impl Docker {
    /// Asks the engine about itself.
    pub(crate) async fn particulars(&self) -> Result<Particulars, EngineError> {
        let path = self.path("/info");
        let (_, answer) = self
            .endpoint
            .get(&path)
            .await
            .map_err(|error| self.failed("describe itself".to_owned(), error))?;
        Ok(answer)
    }

    /// Lists the containers that runs of ours which are no more left.
    pub(crate) async fn abandoned(&self) -> Result<Vec<String>, EngineError> {
        let mut found = Vec::new();
        for (label, status) in LEFT {
            found.extend(throwaway::abandoned(self, label, status).await?);
        }
        Ok(found)
    }

    /// Returns the smallest image that this engine runs by itself, with its architecture.
    pub(crate) async fn any_image(&self) -> Result<Option<(String, String)>, EngineError> {
        /// Images for other machines are rare.
        const TRIES: usize = 5;
        let mut listings = self.images().await?;
        let is_nameless = |image: &Listed| image.repo_tags.iter().flatten().next().is_none();
        listings.sort_by_key(|image| (is_nameless(image), image.size));
        for listing in listings.into_iter().take(TRIES) {
            let path = self.path(&format!("/images/{}/json", listing.id));
            // It may have been taken away since.
            let Ok((_, kind)) = self.endpoint.get::<Kind>(&path).await else {
                continue;
            };
            if kind.os == "linux" && kind.architecture == self.info.platform.architecture {
                return Ok(Some((listing.id, kind.architecture)));
            }
        }
        Ok(None)
    }

    /// Runs our program in a container of `image` that tries to reach each of `targets`.
    ///
    /// The container goes also when this is dropped or `stop` is cancelled: whoever ends then waits until nobody holds
    /// `alive` any more.
    pub(crate) async fn try_network(
        &self,
        (image, program): (&str, &'static [u8]),
        (targets, hosts): (&[String], Vec<String>),
        (stop, alive): (CancellationToken, mpsc::Sender<()>),
    ) -> Result<Vec<Reached>, EngineError> {
        let host = EngineError::host("make the files of a container");
        let directory = format!(".aicage-probe-{}", std::process::id());
        let archive = archive(&directory, program).map_err(&host)?;
        let (answer, sender) = std::io::pipe().map_err(&host)?;
        let mut command = vec![format!("/{directory}/init"), "probe".to_owned()];
        command.extend(targets.iter().cloned());
        let throwaway = Throwaway {
            image: image.to_owned(),
            command,
            env: std::collections::BTreeMap::new(),
            labels: [(LABEL.to_owned(), Owner::this_process().to_string())].into(),
            network: Network::default(),
            hosts,
            way: Way::Upload {
                archive,
                answer: tokio::net::unix::pipe::Sender::from_owned_fd(sender.into())
                    .map_err(&host)?,
            },
            volumes: Volumes::default(),
            mounted: Vec::new(),
            memory: std::collections::BTreeMap::new(),
            input: Sealed::default(),
            locks: Vec::new(),
        };
        let read = tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            answer
                .take(ANSWER_LIMIT)
                .read_to_end(&mut text)
                .map(|_| text)
        });
        // What it says beside its answer is said again by its exit status.
        let (log, mut said) = mpsc::channel(64);
        let ignored = async move { while said.recv().await.is_some() {} };
        let _stops = stop.clone().drop_guard();
        let docker = self.clone();
        let life = tokio::spawn(async move {
            let status = live(docker, throwaway, log, stop).await;
            drop(alive);
            status
        });
        let (status, ()) = tokio::join!(life, ignored);
        let lost = |error: tokio::task::JoinError| EngineError::Host {
            what: "wait for the container",
            source: error.into(),
        };
        let status = status.map_err(lost)??;
        let text = read
            .await
            .map_err(|error| EngineError::Host {
                what: "read what the container answers",
                source: error.into(),
            })?
            .map_err(EngineError::host("read what the container answers"))?;
        serde_json::from_slice(&text).map_err(|_not_json| EngineError::Start {
            message: "our own program gave no answer in it".to_owned(),
            status,
        })
    }
}

fn archive(directory: &str, program: &[u8]) -> std::io::Result<tokio::fs::File> {
    use std::io::Seek as _;
    let mut archive = tar::Builder::new(tempfile::tempfile()?);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, directory, std::io::empty())?;
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    archive.append_data(&mut header, format!("{directory}/init"), program)?;
    let mut file = archive.into_inner()?;
    file.rewind()?;
    Ok(tokio::fs::File::from_std(file))
}
