//! What kind of engine it is: how it stores images, who it runs containers as, whether it sees our files.

use assembler::{digest::Digest, platform::Platform};
use serde::Deserialize;

use super::wire::Endpoint;

/// What is known of an engine after the first call.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// Names this engine and its data; a new data directory is another engine.
    pub id: String,
    /// Its version, such as `28.5.2`.
    pub version: String,
    /// `docker`, `podman` or `native`.
    pub name: &'static str,
    /// How it keeps images.
    pub store: EngineStore,
    /// How its users' numbers relate to ours.
    pub users: EngineUsers,
    /// Whether it labels containers and confines them by their labels (`SELinux`).
    pub labels: bool,
    /// What it runs.
    pub platform: Platform,
    /// What its containers see of our files.
    pub files: EngineFiles,
    /// Whether its containers outlive it while it is restarted.
    pub live_restore: bool,
    /// The version of the interface that we speak with it.
    pub api: (usize, usize),
}

/// How an engine keeps images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineStore {
    /// Unpacked layers, known by chain id; an image's id is its config's digest.
    GraphDriver,
    /// Blobs as they came; an image's id is its manifest's digest.
    Containerd,
}

/// How the users of containers relate to the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineUsers {
    /// The same numbers mean the same users.
    Same,
    /// The engine runs as its user: root in a container is that user.
    Rootless,
    /// The same, and the engine's user is the caller and can be kept as the caller in a container (`keep-id`).
    RootlessKeepId,
    /// All are moved to a range of their own (`userns-remap`).
    Remapped,
}

/// What an engine's containers can be given of the file system that we see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineFiles {
    /// The same files, the same kernel: even a FIFO connects.
    Same,
    /// Other files, or the same through a virtual machine.
    Elsewhere,
}

/// The part of `GET /info` that we read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct InfoAnswer {
    #[serde(rename = "ID")]
    id: Option<String>,
    name: Option<String>,
    server_version: Option<String>,
    driver: Option<String>,
    driver_status: Option<Vec<Vec<String>>>,
    security_options: Option<Vec<String>>,
    docker_root_dir: Option<String>,
    operating_system: Option<String>,
    /// Podman's own; older ones say it nowhere else.
    rootless: Option<bool>,
    #[serde(rename = "OSType")]
    os_type: Option<String>,
    architecture: Option<String>,
    live_restore_enabled: Option<bool>,
}

impl EngineInfo {
    /// Whether it is Podman behind Docker's interface.
    pub fn is_podman(&self) -> bool {
        self.name == "podman"
    }

    /// Whether it is this machine itself.
    pub fn is_native(&self) -> bool {
        self.name == "native"
    }

    /// Returns the command that speaks with it.
    pub(crate) fn program(&self) -> &'static str {
        match (self.is_podman(), self.is_rootless()) {
            // Without `sudo` it would be the caller's own, another one.
            (true, false) => "sudo podman",
            (true, true) => "podman",
            (false, _) => "docker",
        }
    }

    /// Whether it removes what has ended; else it is up to us.
    ///
    /// Podman forgets the exit status with the container. Docker 20.10 that is restarted removes such containers also when
    /// they still run and it was told to leave them alone.
    pub(crate) fn removes_ended(&self) -> bool {
        !self.is_podman() && !self.live_restore
    }

    /// Whether it runs as an ordinary user.
    pub fn is_rootless(&self) -> bool {
        matches!(
            self.users,
            EngineUsers::Rootless | EngineUsers::RootlessKeepId
        )
    }

    pub(crate) fn new(
        endpoint: &Endpoint,
        answer: InfoAnswer,
        podman: Option<&str>,
        api: (usize, usize),
    ) -> Self {
        let status = answer.driver_status.unwrap_or_default();
        let containerd = status.iter().any(|line| {
            matches!(line.as_slice(), [name, value] if name == "driver-type" && value == "io.containerd.snapshotter.v1")
        });
        let options = answer.security_options.unwrap_or_default();
        let has = |wanted: &str| {
            options
                .iter()
                .any(|option| option.split(',').any(|part| part == wanted))
        };
        let rootless = answer.rootless == Some(true) || has("name=rootless") || has("rootless");
        let system = answer.operating_system.unwrap_or_default();
        let same = cfg!(target_os = "linux")
            && matches!(endpoint, Endpoint::Unix(_))
            && !system.contains("Docker Desktop");
        let users = if rootless && podman.is_some() && same && endpoint.is_callers() {
            EngineUsers::RootlessKeepId
        } else if rootless {
            EngineUsers::Rootless
        } else if has("name=userns") {
            EngineUsers::Remapped
        } else {
            EngineUsers::Same
        };
        let root = answer.docker_root_dir.unwrap_or_default();
        let driver = answer.driver.unwrap_or_default();
        let id = match (answer.id.filter(|id| !id.is_empty()), podman) {
            // A store that was switched to containerd is another one, under the same id.
            (Some(id), None) => Digest::of(format!("{id} {driver} {root}").as_bytes()).hex(),
            // Podman's id is another one at each call.
            _ => {
                Digest::of(format!("{endpoint} {:?} {driver} {root}", answer.name).as_bytes()).hex()
            }
        };
        Self {
            id,
            version: answer.server_version.unwrap_or_default(),
            name: if podman.is_some() { "podman" } else { "docker" },
            store: if containerd {
                EngineStore::Containerd
            } else {
                EngineStore::GraphDriver
            },
            users,
            live_restore: answer.live_restore_enabled == Some(true),
            labels: has("name=selinux") || has("selinux"),
            platform: Platform {
                os: answer.os_type.unwrap_or_else(|| "linux".to_owned()),
                ..Platform::linux(&answer.architecture.unwrap_or_default())
            },
            files: if same {
                EngineFiles::Same
            } else {
                EngineFiles::Elsewhere
            },
            api,
        }
    }
}
