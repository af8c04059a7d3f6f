//! Where the engine is: what was asked for, else Docker's current context, else the usual sockets.
//!
//! Order, as Docker's own client has it and then some: `DOCKER_HOST`, `CONTAINER_HOST`, `DOCKER_CONTEXT`,
//! `currentContext` in Docker's `config.json`, and the usual sockets: Docker's for all users, the user's own, those of
//! Docker's substitutes in the home directory, Podman's of the user, Podman's of root, Podman's machine.
//!
//! Docker alone ignores `CONTAINER_HOST`, Podman alone ignores Docker's contexts, as their own clients do; `DOCKER_HOST` is
//! for Podman one socket more, since it is often set for something else.

use std::path::{Path, PathBuf};

use assembler::digest::Digest;
use serde::Deserialize;

use super::{error::EngineError, wire::Endpoint};

/// Which kind of engine will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker or Podman.
    #[default]
    Any,
    /// Only Docker, and what is like it.
    Docker,
    /// Only Podman.
    Podman,
}

impl EngineKind {
    /// Tells whether an engine of this name will do.
    pub(crate) fn takes(self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Docker => name != "podman",
            Self::Podman => name == "podman",
        }
    }
}

/// What decides which engine is used. All of it is read from the environment by the settings.
#[derive(Clone, Debug, Default)]
pub struct EngineSettings {
    /// Which kind will do.
    pub kind: EngineKind,
    /// `DOCKER_HOST`, or what the user configured instead.
    pub host: Option<String>,
    /// `CONTAINER_HOST`, Podman's word for it.
    pub container_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// Docker's configuration directory: `DOCKER_CONFIG`, else `~/.docker`.
    pub config_dir: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY` is set to something.
    pub tls_verify: bool,
}

/// Where to look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Candidates {
    /// The user named one; no other will do.
    Named(Endpoint),
    /// The first that answers.
    Usual(Vec<Endpoint>),
}

/// Tells whether the user named the place of an engine; a mistake there is one, too.
pub fn is_named(settings: &EngineSettings) -> bool {
    !matches!(candidates(settings), Ok(Candidates::Usual(_)))
}

/// Finds where engines may be.
pub(crate) fn candidates(settings: &EngineSettings) -> Result<Candidates, EngineError> {
    match settings.kind {
        EngineKind::Any => of_any(settings),
        EngineKind::Docker => of_any(&EngineSettings {
            container_host: None,
            ..settings.clone()
        }),
        EngineKind::Podman => of_podman(settings),
    }
}

fn of_podman(settings: &EngineSettings) -> Result<Candidates, EngineError> {
    let given = |host: &Option<String>| host.clone().filter(|host| !host.is_empty());
    if let Some(host) = given(&settings.container_host) {
        return parse(&host, None).map(Candidates::Named);
    }
    // An address that cannot be read is for another engine.
    let host = given(&settings.host).and_then(|host| parse(&host, certificates(settings)).ok());
    let (podmans, others): (Vec<_>, Vec<_>) = usual(settings)
        .into_iter()
        .partition(|endpoint| endpoint.to_string().contains("podman"));
    let places = host.into_iter().chain(podmans).chain(others);
    Ok(Candidates::Usual(places.collect()))
}

/// Returns where the certificates for an address are, if it is to be spoken to over TLS.
fn certificates(settings: &EngineSettings) -> Option<PathBuf> {
    let in_config = || config_dir(settings);
    let found = settings
        .tls_verify
        .then(|| settings.cert_path.clone().or_else(in_config));
    found.flatten()
}

fn config_dir(settings: &EngineSettings) -> Option<PathBuf> {
    let usual = || Some(settings.home.as_ref()?.join(".docker"));
    settings.config_dir.clone().or_else(usual)
}

fn of_any(settings: &EngineSettings) -> Result<Candidates, EngineError> {
    let config_dir = config_dir(settings);
    let given = |host: &'_ Option<String>| host.clone().filter(|host| !host.is_empty());
    if let Some(host) = given(&settings.host) {
        return parse(&host, certificates(settings)).map(Candidates::Named);
    }
    if let Some(host) = given(&settings.container_host) {
        return parse(&host, None).map(Candidates::Named);
    }
    let context = match settings.context.clone().filter(|name| !name.is_empty()) {
        Some(name) => Some(name),
        None => config_dir
            .as_deref()
            .map(current_context)
            .transpose()?
            .flatten(),
    };
    if let (Some(name), Some(directory)) = (context.filter(|name| name != "default"), &config_dir) {
        return of_context(&name, directory).map(Candidates::Named);
    }
    Ok(Candidates::Usual(usual(settings)))
}

fn usual(settings: &EngineSettings) -> Vec<Endpoint> {
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    // What a login sets, and `su` and `cron` do not.
    let runtime = settings.runtime_dir.clone().unwrap_or_else(|| {
        let uid = rustix::process::geteuid().as_raw();
        PathBuf::from(format!("/run/user/{uid}"))
    });
    sockets.push(runtime.join("docker.sock"));
    let in_home = |sockets: &mut Vec<PathBuf>, paths: &[&str]| {
        if let Some(home) = &settings.home {
            sockets.extend(paths.iter().map(|path| home.join(path)));
        }
    };
    in_home(
        &mut sockets,
        &[
            ".docker/run/docker.sock",
            ".docker/desktop/docker.sock",
            ".colima/default/docker.sock",
            ".config/colima/default/docker.sock",
            ".orbstack/run/docker.sock",
            ".rd/docker.sock",
            ".lima/docker/sock/docker.sock",
        ],
    );
    sockets.push(runtime.join("podman/podman.sock"));
    sockets.push(PathBuf::from("/run/podman/podman.sock"));
    in_home(
        &mut sockets,
        &[
            ".local/share/containers/podman/machine/podman.sock",
            ".local/share/containers/podman/machine/podman-machine-default/podman.sock",
        ],
    );
    sockets.into_iter().map(Endpoint::Unix).collect()
}

/// Reads an address in the spelling of `DOCKER_HOST`.
fn parse(host: &str, certificates: Option<PathBuf>) -> Result<Endpoint, EngineError> {
    let unsupported = |reason| EngineError::UnsupportedEndpoint {
        endpoint: host.to_owned(),
        reason,
    };
    if let Some(path) = host.strip_prefix("unix://") {
        return Ok(Endpoint::Unix(PathBuf::from(path)));
    }
    if host.starts_with('/') {
        return Ok(Endpoint::Unix(PathBuf::from(host)));
    }
    if host.starts_with("ssh://") {
        return Err(unsupported(
            "forward its socket with `ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST` and use unix:///tmp/docker.sock",
        ));
    }
    let secured = host.strip_prefix("https://");
    let Some(address) = secured
        .or_else(|| host.strip_prefix("tcp://"))
        .or_else(|| host.strip_prefix("http://"))
        .map(|address| address.trim_end_matches('/'))
        .filter(|address| !address.is_empty() && !address.contains('/'))
    else {
        return Err(unsupported("an address begins with unix:// or tcp://"));
    };
    match certificates {
        Some(certificates) => Ok(Endpoint::Tls {
            address: with_port(address, 2376),
            certificates,
        }),
        None if secured.is_some() => Err(unsupported(
            "TLS needs certificates: set DOCKER_TLS_VERIFY and DOCKER_CERT_PATH",
        )),
        None => Ok(Endpoint::Tcp(with_port(address, 2375))),
    }
}

fn with_port(address: &str, usual: u16) -> String {
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:{usual}")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    current_context: Option<String>,
}

fn current_context(config_dir: &Path) -> Result<Option<String>, EngineError> {
    let path = config_dir.join("config.json");
    // Whoever cannot read Docker's configuration has none, as for Docker itself.
    let Ok(bytes) = fs_err::read(&path) else {
        return Ok(None);
    };
    let config: Config = json(&path, &bytes)?;
    Ok(config.current_context.filter(|name| !name.is_empty()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: ContextEndpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    host: String,
}

/// Reads `contexts/meta/<sha256 of the name>/meta.json`; its certificates are in `contexts/tls/<the same>/docker`.
fn of_context(name: &str, config_dir: &Path) -> Result<Endpoint, EngineError> {
    let id = Digest::of(name.as_bytes()).hex();
    let path = config_dir.join("contexts/meta").join(&id).join("meta.json");
    let bytes = fs_err::read(&path).map_err(|source| EngineError::UnknownContext {
        name: name.to_owned(),
        path: path.clone(),
        source,
    })?;
    let context: Context = json(&path, &bytes)?;
    let certificates = config_dir.join("contexts/tls").join(&id).join("docker");
    let certificates = certificates.join("ca.pem").exists().then_some(certificates);
    parse(&context.endpoints.docker.host, certificates)
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| EngineError::BadConfiguration {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(directory: &Path) -> EngineSettings {
        EngineSettings {
            home: Some(directory.to_owned()),
            ..EngineSettings::default()
        }
    }

    fn unix(path: &str) -> Candidates {
        Candidates::Named(Endpoint::Unix(PathBuf::from(path)))
    }

    #[track_caller]
    fn check_host(host: &str, expected: &str) {
        let found = match parse(host, None) {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(found.starts_with(expected), "{host} gives {found}");
    }

    #[test]
    fn an_address_is_read_in_every_usual_spelling() {
        check_host(
            "unix:///run/user/1000/docker.sock",
            "unix:///run/user/1000/docker.sock",
        );
        check_host("/run/docker.sock", "unix:///run/docker.sock");
        check_host("tcp://10.0.0.1", "tcp://10.0.0.1:2375");
        check_host("http://[::1]:99/", "tcp://[::1]:99");
        check_host(
            "https://a",
            "cannot use a container engine at `https://a`: TLS needs",
        );
        check_host(
            "ssh://me@a",
            "cannot use a container engine at `ssh://me@a`: forward its",
        );
        check_host(
            "npipe:////./pipe/docker",
            "cannot use a container engine at `npipe:",
        );
    }

    #[test]
    fn the_host_goes_before_the_context_and_the_context_before_the_usual_sockets() {
        let home = tempfile::tempdir().unwrap();
        let docker = home.path().join(".docker");
        let meta = docker
            .join("contexts/meta")
            .join(Digest::of(b"colima").hex());
        fs_err::create_dir_all(&meta).unwrap();
        fs_err::write(
            meta.join("meta.json"),
            r#"{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///c.sock","SkipTLSVerify":false}}}"#,
        )
        .unwrap();

        let mut settings = settings(home.path());
        assert!(
            matches!(candidates(&settings), Ok(Candidates::Usual(usual)) if usual[0] == Endpoint::Unix("/var/run/docker.sock".into())),
            "without any configuration the usual sockets are tried"
        );
        fs_err::write(
            docker.join("config.json"),
            r#"{"auths":{},"currentContext":"colima"}"#,
        )
        .unwrap();
        assert_eq!(
            candidates(&settings).unwrap(),
            unix("/c.sock"),
            "the current context is used"
        );
        settings.context = Some("default".to_owned());
        assert!(
            matches!(candidates(&settings), Ok(Candidates::Usual(_))),
            "the context `default` means the usual sockets, whatever is current"
        );
        settings.host = Some("unix:///h.sock".to_owned());
        assert_eq!(
            candidates(&settings).unwrap(),
            unix("/h.sock"),
            "the host wins"
        );
        settings.container_host = Some("unix:///p.sock".to_owned());
        assert_eq!(candidates(&settings).unwrap(), unix("/h.sock"));
        settings.host = None;
        assert_eq!(
            candidates(&settings).unwrap(),
            unix("/p.sock"),
            "Podman's word for it counts where Docker's is not said"
        );
    }

    #[test]
    fn podmans_sockets_are_tried_after_dockers_and_the_users_before_roots() {
        let home = tempfile::tempdir().unwrap();
        let mut settings = settings(home.path());
        settings.runtime_dir = Some("/run/user/7".into());
        let usual: Vec<String> = usual(&settings).iter().map(ToString::to_string).collect();
        let place = |socket: &str| {
            let socket = format!("unix://{socket}");
            usual.iter().position(|there| *there == socket).unwrap()
        };
        let order = [
            "/var/run/docker.sock",
            "/run/user/7/docker.sock",
            "/run/user/7/podman/podman.sock",
            "/run/podman/podman.sock",
        ];
        assert!(order.map(place).is_sorted(), "{usual:?}");
    }

    #[test]
    fn each_engine_alone_is_looked_for_where_its_own_client_looks() {
        let home = tempfile::tempdir().unwrap();
        let mut settings = EngineSettings {
            runtime_dir: Some("/run/user/7".into()),
            container_host: Some("unix:///p.sock".to_owned()),
            ..settings(home.path())
        };
        settings.kind = EngineKind::Docker;
        assert!(
            !is_named(&settings),
            "`CONTAINER_HOST` is no word for Docker"
        );
        settings.kind = EngineKind::Podman;
        assert_eq!(candidates(&settings).unwrap(), unix("/p.sock"));
        settings.container_host = None;
        settings.context = Some("nowhere".to_owned());
        settings.host = Some("unix:///h.sock".to_owned());
        let Ok(Candidates::Usual(places)) = candidates(&settings) else {
            panic!("neither Docker's contexts nor `DOCKER_HOST` name a place for Podman alone");
        };
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        assert_eq!(
            places[..2],
            ["unix:///h.sock", "unix:///run/user/7/podman/podman.sock"],
            "what `DOCKER_HOST` says is one socket more, and then Podman's own come first: {places:?}"
        );
    }

    #[test]
    fn a_context_that_is_not_there_or_broken_is_named() {
        let home = tempfile::tempdir().unwrap();
        let mut settings = settings(home.path());
        settings.context = Some("nowhere".to_owned());
        let error = candidates(&settings).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no Docker context `nowhere`"),
            "{error}"
        );

        settings.context = None;
        fs_err::create_dir_all(home.path().join(".docker")).unwrap();
        fs_err::write(home.path().join(".docker/config.json"), "{").unwrap();
        let error = candidates(&settings).unwrap_err().to_string();
        assert!(error.contains("config.json is not valid"), "{error}");
    }
}
