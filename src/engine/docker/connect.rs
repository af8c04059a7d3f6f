//! Finds the engine and agrees on a version of the interface, in one call.

use std::{io, path::Path, sync::Arc};

use bollard::{BollardRequest, ClientVersion};

use super::{
    Docker,
    endpoint::{Candidates, EngineKind, EngineSettings, candidates},
    error::{EngineError, WireError},
    info::{EngineInfo, InfoAnswer},
    wire::Endpoint,
};

/// The oldest interface we speak: Docker 20.10.
const OLDEST: (usize, usize) = (1, 41);
/// How long an ordinary call may take, in seconds.
const ORDINARY: u64 = 120;
/// How long loading an image may take: the time counts until the engine has unpacked it all.
const PATIENT: u64 = 6 * 60 * 60;

/// Finds the engine and connects to it.
pub async fn connect(settings: &EngineSettings) -> Result<Docker, EngineError> {
    let endpoints = match candidates(settings)? {
        Candidates::Named(endpoint) => {
            return connect_to(endpoint)
                .await
                .and_then(|docker| of_kind(docker, settings.kind));
        }
        Candidates::Usual(endpoints) => endpoints,
    };
    // Of several failures the most telling one is reported: a socket we may not use rather than one nobody listens on.
    let mut worst: Option<EngineError> = None;
    let mut tried = Vec::new();
    for endpoint in endpoints {
        tried.push(endpoint.to_string());
        let connected = connect_to(endpoint).await;
        match connected.and_then(|docker| of_kind(docker, settings.kind)) {
            Ok(docker) => return Ok(docker),
            Err(EngineError::Absent { .. }) => {}
            Err(error @ EngineError::NotPermitted { .. }) => {
                if !matches!(worst, Some(EngineError::NotPermitted { .. })) {
                    worst = Some(error);
                }
            }
            Err(error) => {
                worst.get_or_insert(error);
            }
        }
    }
    Err(worst.unwrap_or_else(|| EngineError::Absent {
        tried,
        podman: [
            "/usr/bin/podman",
            "/usr/local/bin/podman",
            "/opt/homebrew/bin/podman",
        ]
        .iter()
        .any(|program| Path::new(program).exists()),
    }))
}

/// Refuses an engine that was not asked for.
pub(super) fn of_kind(docker: Docker, kind: EngineKind) -> Result<Docker, EngineError> {
    if kind.takes(docker.info().name) {
        return Ok(docker);
    }
    Err(EngineError::OtherKind {
        endpoint: docker.endpoint().to_string(),
        found: docker.info().name,
    })
}

pub(super) async fn connect_to(endpoint: Endpoint) -> Result<Docker, EngineError> {
    let (headers, answer): (_, InfoAnswer) = endpoint
        .get("/info")
        .await
        .map_err(|error| not_connected(&endpoint, error))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let newest = header("api-version").and_then(version).unwrap_or(OLDEST);
    if newest < OLDEST {
        return Err(EngineError::TooOld {
            endpoint: endpoint.to_string(),
            api: format!("{}.{}", newest.0, newest.1),
        });
    }
    let known = bollard::API_DEFAULT_VERSION;
    let api = newest.min((known.major_version, known.minor_version));
    let podman = header("libpod-api-version");
    let info = EngineInfo::new(&endpoint, answer, podman, api);

    let carrier = endpoint.clone();
    let client = bollard::Docker::connect_with_custom_transport(
        move |mut request: BollardRequest| {
            let endpoint = carrier.clone();
            versioned(&mut request, api);
            async move { endpoint.send(request).await.map_err(carried) }
        },
        Some("http://engine"),
        ORDINARY,
        &ClientVersion {
            major_version: api.0,
            minor_version: api.1,
        },
    )
    .map_err(|error| EngineError::call("be reached", error))?;
    Ok(Docker {
        endpoint: Arc::new(endpoint),
        patient: client
            .clone()
            .with_timeout(std::time::Duration::from_secs(PATIENT)),
        client,
        info: Arc::new(info),
    })
}

/// Puts the version before the path; bollard's way of joining URLs loses it again.
fn versioned(request: &mut BollardRequest, (major, minor): (usize, usize)) {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    if !path.starts_with("/v1.") {
        *request.uri_mut() = format!("/v{major}.{minor}{path}")
            .parse()
            .expect("a path with another before it is a path");
    }
}

fn version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Hands our transport's error to bollard, whose error type is closed.
fn carried(error: WireError) -> bollard::errors::Error {
    bollard::errors::Error::IOError {
        err: match error {
            WireError::Connect(error) => error,
            error => io::Error::other(error),
        },
    }
}

fn not_connected(endpoint: &Endpoint, error: WireError) -> EngineError {
    match (endpoint, error) {
        (Endpoint::Unix(path), WireError::Connect(source)) => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => EngineError::Absent {
                tried: vec![endpoint.to_string()],
                podman: false,
            },
            io::ErrorKind::PermissionDenied => EngineError::NotPermitted {
                socket: path.clone(),
                group: group_of(path),
                source,
            },
            io::ErrorKind::ConnectionRefused => EngineError::Stopped {
                endpoint: endpoint.to_string(),
                source,
            },
            _ => EngineError::Unreachable {
                endpoint: endpoint.to_string(),
                source: WireError::Connect(source),
            },
        },
        (_, source) => EngineError::Unreachable {
            endpoint: endpoint.to_string(),
            source,
        },
    }
}

/// Names the group that a socket belongs to.
fn group_of(socket: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = fs_err::metadata(socket) else {
        return "docker".to_owned();
    };
    let gid = metadata.gid().to_string();
    fs_err::read_to_string("/etc/group")
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == gid).then(|| name.to_owned())
        })
        .unwrap_or(gid)
}
