//! The life of a throwaway container: created, started, listened to, removed.
//!
//! Invariant: whoever starts a life gets it to its end; the container is removed when its process ends, when the life
//! is stopped, and when any call fails. Only `kill -9` of ourselves leaves one, with our label: see [`sweep`], which also
//! removes sessions that were created and never started.

use std::{collections::BTreeMap, io, time::Duration};

use bollard::{
    models::{ContainerCreateBody, ContainerSummary, HealthConfig, HostConfig, Mount, MountType},
    query_parameters::{
        ListContainersOptions, ListContainersOptionsBuilder, WaitContainerOptionsBuilder,
    },
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Docker,
    attach::Attach,
    error::EngineError,
    info::EngineInfo,
    owner::Owner,
    session::{assignments, no_log},
    volumes::{self, VolumeMount, Volumes},
};
use crate::engine::session::{Frames, Network, Stream};
use crate::engine::step::{Hold, files::Way, inside::Sealed};

/// The label by which our throwaway containers are known; its value is an [`Owner`].
pub(crate) const LABEL: &str = "io.github.aicage.step";
/// The label that says whose session a container is; its value is an [`Owner`].
pub(crate) const OWNER: &str = "io.github.aicage.owner";
/// The label of a session that is to be gone with its end where the engine does not see to that; its value is an
/// [`Owner`].
pub(crate) const PASSING: &str = "io.github.aicage.passing";
/// The labels of what a run can leave, and the state in which that is nobody's. A session that runs is somebody's agent,
/// even if nobody is attached any more.
pub(super) const LEFT: [(&str, Option<&str>); 3] = [
    (LABEL, None),
    (OWNER, Some("created")),
    (PASSING, Some("exited")),
];
/// How often a list is asked for that says what no engine should say, and how long is waited in between.
const TRIES: u32 = 50;
const ENDING: Duration = Duration::from_millis(20);
/// The repository of the names under which images for steps are loaded; the tag begins with an [`Owner`].
pub(crate) const REPOSITORY: &str = "aicage-step";

/// The rights that Docker gives to every container, and Podman does not.
const DOCKERS_OWN: [&str; 3] = ["AUDIT_WRITE", "MKNOD", "NET_RAW"];

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Throwaway {
    /// The image's id.
    pub(crate) image: String,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Environment, on top of the image's.
    pub(crate) env: BTreeMap<String, String>,
    /// The labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its network.
    pub(crate) network: Network,
    /// `name:address` for its hosts file.
    pub(crate) hosts: Vec<String>,
    /// How our files get in and its answer out.
    pub(crate) way: Way,
    /// The volumes that are made for it.
    pub(crate) volumes: Volumes,
    /// What of them it sees.
    pub(crate) mounted: Vec<VolumeMount>,
    /// Directories in memory, with their options.
    pub(crate) memory: BTreeMap<String, String>,
    /// What it reads from its standard input; nothing of it is ever in a file.
    pub(crate) input: Sealed,
    /// Held until it has ended.
    pub(crate) locks: Vec<fs_err::File>,
}

/// Lets go when dropped, so that the reader sees the end whatever happened.
struct LetGo(Option<Hold>);

impl Drop for LetGo {
    fn drop(&mut self) {
        if let Some(hold) = &self.0 {
            hold.let_go();
        }
    }
}

/// Lives a container's life; what it prints goes to `log`. Returns its exit status.
pub(crate) async fn live(
    docker: Docker,
    mut throwaway: Throwaway,
    log: mpsc::Sender<Bytes>,
    stop: CancellationToken,
) -> Result<i32, EngineError> {
    let let_go = LetGo(match &throwaway.way {
        Way::Bind { hold, .. } => Some(hold.clone()),
        Way::Upload { .. } => None,
    });
    if stop.is_cancelled() {
        return Err(EngineError::Interrupted);
    }
    let mut volumes = std::mem::take(&mut throwaway.volumes);
    let locks = std::mem::take(&mut throwaway.locks);
    let known = (throwaway.image.as_str(), &throwaway.labels);
    let status = match volumes.prepare(&docker, known, &stop).await {
        Ok(()) => contain(&docker, throwaway, log, &stop).await,
        Err(error) => Err(error),
    };
    drop(let_go);
    let removed = volumes.remove(&docker).await;
    drop(locks);
    let status = status?;
    removed?;
    Ok(status)
}

async fn contain(
    docker: &Docker,
    throwaway: Throwaway,
    log: mpsc::Sender<Bytes>,
    stop: &CancellationToken,
) -> Result<i32, EngineError> {
    // Not to be cut short: a container that was created, but whose id we do not know, could not be removed.
    let id = docker
        .create_container(None, body(&throwaway, docker.info()))
        .await?;
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(EngineError::Interrupted),
        outcome = run(docker, &id, (throwaway.way, throwaway.input), log) => outcome,
    };
    let removed = docker.remove_container(&id).await;
    EngineError::and_removed(&id, outcome, removed)
}

async fn run(
    docker: &Docker,
    id: &str,
    (way, input): (Way, Sealed),
    log: mpsc::Sender<Bytes>,
) -> Result<i32, EngineError> {
    let mut answer = match way {
        Way::Bind { .. } => None,
        Way::Upload { archive, answer } => {
            docker.upload(id, "/", archive).await?;
            Some(answer)
        }
    };
    let what = if input.0.is_empty() {
        Attach::Output
    } else {
        Attach::Both
    };
    let (stream, mut stdin) = tokio::io::split(docker.attach(id, what).await?);
    docker.start_container(id).await?;
    let told = async move {
        // It may have ended already; then its status says why.
        stdin.write_all(&input.0).await.unwrap_or_default();
        stdin.flush().await.unwrap_or_default();
        stdin
    };
    // What it owns ends with the output, which is before the engine has noticed the exit.
    let listened = async move {
        let mut frames = Frames::new(stream);
        while let Some((stream, piece)) = frames.next().await? {
            match (stream, &mut answer) {
                (Stream::Stdout, Some(to)) => {
                    if to.write_all(piece).await.is_err() {
                        // Nobody wants the answer any more; the life is about to be stopped.
                        answer = None;
                    }
                }
                // Nobody reads the log any more only when the whole is being given up.
                _ => log
                    .send(Bytes::copy_from_slice(piece))
                    .await
                    .unwrap_or_default(),
            }
        }
        Ok::<_, io::Error>(())
    };
    let (listened, status, _stdin) = tokio::join!(listened, exit_status(docker, id), told);
    let status = status?;
    listened.map_err(|source| EngineError::Host {
        what: "read what the container prints",
        source,
    })?;
    Ok(status)
}

async fn exit_status(docker: &Docker, id: &str) -> Result<i32, EngineError> {
    let options = WaitContainerOptionsBuilder::new()
        .condition("not-running")
        .build();
    let mut waiting = Box::pin(docker.patient.wait_container(id, Some(options)));
    let code = match waiting.next().await {
        Some(Ok(answer)) => answer.status_code,
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
        Some(Err(error)) => return Err(EngineError::call("wait for the container", error)),
        None => {
            return Err(EngineError::Host {
                what: "wait for the container",
                source: io::ErrorKind::UnexpectedEof.into(),
            });
        }
    };
    Ok(i32::try_from(code).unwrap_or(255))
}

fn body(throwaway: &Throwaway, info: &EngineInfo) -> ContainerCreateBody {
    let mut mounts = match &throwaway.way {
        Way::Bind { source, target, .. } => vec![Mount {
            typ: Some(MountType::BIND),
            source: Some(source.clone()),
            target: Some(target.clone()),
            read_only: Some(true),
            ..Mount::default()
        }],
        Way::Upload { .. } => Vec::new(),
    };
    mounts.extend(throwaway.mounted.iter().map(VolumeMount::spell));
    let reads = !throwaway.input.0.is_empty();
    ContainerCreateBody {
        image: Some(throwaway.image.clone()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(throwaway.command.clone()),
        cmd: Some(Vec::new()),
        env: Some(assignments(&throwaway.env)),
        // The image's own would be created if it is not there, and then be captured.
        working_dir: Some("/".to_owned()),
        labels: Some(throwaway.labels.clone().into_iter().collect()),
        attach_stdin: Some(reads),
        open_stdin: Some(reads),
        stdin_once: Some(reads),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            log_config: Some(no_log()),
            mounts: Some(mounts),
            tmpfs: Some(throwaway.memory.clone().into_iter().collect()),
            network_mode: throwaway.network.mode(),
            extra_hosts: (!throwaway.hosts.is_empty()).then(|| throwaway.hosts.clone()),
            init: Some(false),
            // What a script may do is the same everywhere: Podman gives less.
            cap_add: info
                .is_podman()
                .then(|| DOCKERS_OWN.map(str::to_owned).to_vec()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Removes the containers, volumes and names of runs of ours that are no more. It goes on past what cannot be removed, and
/// returns the first failure; none is a reason to fail for whoever sweeps.
pub(crate) async fn sweep(docker: &Docker) -> Result<(), EngineError> {
    let mut outcome = Ok(());
    for (label, status) in LEFT {
        outcome = outcome.and(sweep_containers(docker, label, status).await);
    }
    let outcome = outcome.and(sweep_names(docker).await);
    outcome.and(volumes::sweep(docker).await)
}

async fn sweep_containers(
    docker: &Docker,
    label: &str,
    status: Option<&str>,
) -> Result<(), EngineError> {
    let mut outcome = Ok(());
    for id in abandoned(docker, label, status).await? {
        let removed = match status {
            // It may have been started since it was listed.
            Some(_) => docker.remove_unless_running(&id).await,
            None => docker.remove_container(&id).await,
        };
        outcome = outcome.and(removed);
    }
    outcome
}

/// Lists the containers with this label and in this state whose owner is no more.
pub(super) async fn abandoned(
    docker: &Docker,
    label: &str,
    status: Option<&str>,
) -> Result<Vec<String>, EngineError> {
    let mut filter = BTreeMap::from([("label".to_owned(), vec![label.to_owned()])]);
    if let Some(status) = status {
        filter.insert("status".to_owned(), vec![status.to_owned()]);
    }
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filter.into_iter().collect())
        .build();
    let mut found = Vec::new();
    for container in docker.containers(options).await? {
        let owner = container.labels.unwrap_or_default().remove(label);
        let owner = owner.and_then(|owner| Owner::parse(&owner));
        if let (Some(id), true) = (container.id, owner.is_some_and(|owner| owner.is_gone())) {
            found.push(id);
        }
    }
    Ok(found)
}

async fn sweep_names(docker: &Docker) -> Result<(), EngineError> {
    for image in docker.images().await? {
        for name in image.repo_tags.unwrap_or_default() {
            let tag = name
                .rsplit_once(':')
                .filter(|(repository, _)| repository.ends_with(REPOSITORY))
                .and_then(|(_, tag)| tag.rsplit_once('-'))
                .and_then(|(owner, _)| Owner::parse(owner));
            if tag.is_some_and(|owner| owner.is_gone()) {
                // Another run may be sweeping too, and a container may still use it.
                docker.remove_image(&name).await.unwrap_or_default();
            }
        }
    }
    Ok(())
}

impl Docker {
    /// Lists containers. Podman says `stopped` of one that is just ending, which the interface does not know: it is asked
    /// again, because that lasts milliseconds.
    pub(crate) async fn containers(
        &self,
        options: ListContainersOptions,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let mut tries = 0;
        loop {
            match self.client.list_containers(Some(options.clone())).await {
                Err(error) if tries < TRIES && error.to_string().contains("unknown variant") => {
                    tries += 1;
                    tokio::time::sleep(ENDING).await;
                }
                listed => {
                    return listed.map_err(|error| EngineError::call("list its containers", error));
                }
            }
        }
    }
}
