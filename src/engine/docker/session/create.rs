//! Creates, starts and removes containers.
//!
//! Invariant: what we create carries the mark of the process that made it, so that a later run knows what was left behind.

use std::{collections::BTreeMap, path::PathBuf};

use bollard::{
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType},
    query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder},
};

use super::options;
use crate::engine::{
    docker::{
        Docker,
        error::{EngineError, is_missing},
        info::EngineInfo,
        owner::Owner,
        throwaway::{OWNER, PASSING},
    },
    session::{Access, SESSION, SessionInput, SessionLog, SessionSpec, WhenEnded, terminal_size},
};

impl Docker {
    /// Creates the container of a session.
    pub(crate) async fn create_session(
        &self,
        spec: &SessionSpec,
        name: Option<String>,
    ) -> Result<String, EngineError> {
        create(self, spec, name).await
    }
}

async fn create(
    docker: &Docker,
    spec: &SessionSpec,
    name: Option<String>,
) -> Result<String, EngineError> {
    let stdin = spec.input != SessionInput::Empty;
    // By this a later run knows what we created and, being killed, did not start.
    let mut labels = spec.labels.clone();
    labels.insert(OWNER.to_owned(), Owner::this_process().to_string());
    if let Some(name) = &name {
        labels.insert(SESSION.to_owned(), name.clone());
    }
    let removed = spec.ended == WhenEnded::Removed;
    let is_ours = removed && !docker.info().removes_ended();
    if is_ours {
        labels.insert(PASSING.to_owned(), Owner::this_process().to_string());
    }
    let (mounts, binds) = mounted(spec, docker)?;
    let mut body = ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint(),
        cmd: Some(spec.command.clone()),
        env: Some(assignments(&spec.env)),
        working_dir: spec.directory(),
        user: spec.user.clone(),
        labels: Some(labels.into_iter().collect()),
        tty: Some(spec.input == SessionInput::Terminal),
        open_stdin: Some(stdin),
        // Whoever comes back to a terminal types again; the end of a pipe is the end.
        stdin_once: Some(spec.input == SessionInput::Pipe),
        attach_stdin: Some(stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            auto_remove: Some(removed && !is_ours),
            mounts: Some(mounts),
            binds: (!binds.is_empty()).then_some(binds),
            network_mode: spec.network.mode(),
            extra_hosts: Some(spec.hosts()).filter(|hosts| !hosts.is_empty()),
            userns_mode: spec.userns.clone(),
            security_opt: (!spec.security.is_empty()).then(|| spec.security.clone()),
            log_config: Some(session_log(spec, docker.info())),
            console_size: console_size(spec),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    options::apply(&spec.options, &mut body);
    let options = name
        .as_ref()
        .map(|name| CreateContainerOptionsBuilder::new().name(name).build());
    let mut tries = 0;
    loop {
        match docker.create_patiently(options.clone(), body.clone()).await {
            Err(EngineError::Start { ref message, .. }) if misses_ids(message) && tries < TRIES => {
                tries += 1;
            }
            created => return created.map_err(|error| name_taken(error, name)),
        }
    }
}

/// How often a container is created again whose engine did not find its user's ids.
const TRIES: u32 = 10;

/// Rootless Podman 4 reads its user's subordinate ids for each container, and finds none now and then when several are
/// created at the same moment.
fn misses_ids(message: &str) -> bool {
    message.contains("requires additional UIDs or GIDs")
}

/// Spells the mounts. Podman takes those apart at commas, and the older form at colons.
fn mounted(spec: &SessionSpec, docker: &Docker) -> Result<(Vec<Mount>, Vec<String>), EngineError> {
    let (mut mounts, mut binds) = (Vec::new(), Vec::new());
    for mount in &spec.mounts {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let (source, target) = (text(&mount.source), text(&mount.target));
        let has = |letter| source.contains(letter) || target.contains(letter);
        // Podman makes a directory of what is not there, on this machine.
        if docker.info().is_podman() && !mount.source.exists() {
            return Err(EngineError::Start {
                message: format!("{source}: there is nothing to mount"),
                status: 125,
            });
        }
        if docker.info().is_podman() && has(',') {
            if has(':') {
                return Err(EngineError::Unmountable {
                    path: mount.source.clone(),
                });
            }
            let access = match mount.access {
                Access::ReadWrite => "rw",
                Access::ReadOnly => "ro",
            };
            binds.push(format!("{source}:{target}:{access}"));
            continue;
        }
        mounts.push(Mount {
            typ: Some(MountType::BIND),
            source: Some(source),
            target: Some(target),
            read_only: Some(mount.access == Access::ReadOnly),
            ..Mount::default()
        });
    }
    Ok((mounts, binds))
}

/// What the engine keeps of what a session prints.
pub(crate) fn session_log(spec: &SessionSpec, engine: &EngineInfo) -> HostConfigLogConfig {
    match spec.log {
        SessionLog::Bounded => bounded_log(engine, spec.ended),
        SessionLog::None => no_log(),
    }
}

/// Keeps the end of what a session prints, for `logs` and for whoever comes back; it goes with the container.
///
/// Where somebody looks on, the log must not hold the agent up: what it cannot take in time is missing in it. What runs in
/// the background is read in the log, and is there to the last line.
fn bounded_log(engine: &EngineInfo, ended: WhenEnded) -> HostConfigLogConfig {
    let options = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    if engine.is_podman() {
        return HostConfigLogConfig {
            typ: Some("k8s-file".to_owned()),
            config: Some(options(&[("max-size", "20m")])),
        };
    }
    HostConfigLogConfig {
        typ: Some("local".to_owned()),
        config: Some(options(&[
            ("max-size", "10m"),
            ("max-file", "2"),
            // Compressing costs more than it saves at this size.
            ("compress", "false"),
            match ended {
                WhenEnded::Removed => ("mode", "non-blocking"),
                WhenEnded::Kept => ("mode", "blocking"),
            },
        ])),
    }
}

/// The size of our terminal, so that the agent's first look is at the right one.
fn console_size(spec: &SessionSpec) -> Option<Vec<usize>> {
    let (height, width) = terminal_size().filter(|_| spec.input == SessionInput::Terminal)?;
    Some(vec![height.into(), width.into()])
}

fn name_taken(error: EngineError, name: Option<String>) -> EngineError {
    match (error, name) {
        (EngineError::Start { message, .. }, Some(name))
            if message.contains("already in use") && message.contains(&name) =>
        {
            EngineError::NameTaken { name }
        }
        (error, _) => error,
    }
}

/// Keeps the engine from writing all that is printed to its own disk a second time.
pub(crate) fn no_log() -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some("none".to_owned()),
        config: None,
    }
}

/// Spells variables as the interface does.
pub(crate) fn assignments(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

impl Docker {
    pub(crate) async fn create_container(
        &self,
        options: Option<CreateContainerOptions>,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let created = self.client.create_container(options, body).await;
        created.map(|created| created.id).map_err(not_started)
    }

    /// The same, for what rootless Podman may take minutes for.
    async fn create_patiently(
        &self,
        options: Option<CreateContainerOptions>,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let created = self.patient.create_container(options, body).await;
        created.map(|created| created.id).map_err(not_started)
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let started = self.patient.start_container(id, None).await;
        started.map_err(not_started)
    }

    /// Kills and removes a container with its anonymous volumes; one that is not there, or is being removed, is no
    /// error.
    pub(crate) async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        match self.remove(id, Removal::Whatever).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) || is_being_removed(&error) => Ok(()),
            Err(error) => Err(EngineError::call("remove the container", error)),
        }
    }

    /// Removes a container unless it runs, which it may do by now.
    pub(crate) async fn remove_unless_running(&self, id: &str) -> Result<(), EngineError> {
        match self.remove(id, Removal::UnlessRunning).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(EngineError::call("remove the container", error)),
        }
    }

    async fn remove(&self, id: &str, removal: Removal) -> Result<(), bollard::errors::Error> {
        let options = bollard::query_parameters::RemoveContainerOptionsBuilder::new()
            .force(removal == Removal::Whatever)
            .v(true)
            .build();
        self.client.remove_container(id, Some(options)).await
    }
}

/// Which containers may be removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    Whatever,
    UnlessRunning,
}

fn is_conflict(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 409,
            ..
        }
    )
}

fn is_being_removed(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError { status_code: 409, message }
            if message.contains("already in progress")
    )
}

/// Tells by the engine's words which exit status a shell would have given.
fn not_started(error: bollard::errors::Error) -> EngineError {
    let bollard::errors::Error::DockerResponseServerError { message, .. } = error else {
        return EngineError::call("start the container", error);
    };
    if let Some(port) = port_in_use(&message) {
        return EngineError::PortInUse {
            port,
            message: message.trim().to_owned(),
        };
    }
    EngineError::not_started(&message)
}

/// Finds the port in an engine's words when it could not have it: `Bind for 0.0.0.0:80 failed: port is already allocated`,
/// `listen tcp4 0.0.0.0:80: bind: address already in use`, `failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp`.
fn port_in_use(message: &str) -> Option<String> {
    let is_taken = ["port is already allocated", "address already in use"];
    if !is_taken.iter().any(|words| message.contains(words)) {
        return None;
    }
    let places = [
        "Bind for ",
        "host port for ",
        "host port ",
        "listen tcp4 ",
        "listen tcp6 ",
        "listen tcp ",
        "listen udp ",
    ];
    let (_, after) = places.iter().find_map(|place| message.split_once(place))?;
    let address = after.split_whitespace().next()?;
    let ports = match address.split_once("]:") {
        Some((_, ports)) => ports,
        None => address.split_once(':')?.1,
    };
    let port: String = ports.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty()).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_the_words_of_engines() {
        for message in [
            "driver failed programming external connectivity on endpoint x (1): Bind for 0.0.0.0:8080 failed: port is already allocated",
            "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
            "failed to bind host port for 127.0.0.1:8080:172.17.0.3:80/tcp: address already in use",
            "failed to bind host port 0.0.0.0:8080/tcp: address already in use",
            "rootlessport listen tcp [::]:8080: bind: address already in use",
        ] {
            assert_eq!(port_in_use(message).as_deref(), Some("8080"), "{message}");
        }
        assert_eq!(port_in_use("no such image"), None);
        assert_eq!(port_in_use("address already in use"), None);
    }
}
