//! Failures of engines.

use std::io;

use assembler::store::StoreError;

use super::{denied, full, io_error, store};
use crate::{
    diagnostic::Diagnostic,
    engine::{
        docker::{EngineError, WireError},
        native::NativeError,
    },
};

pub(super) fn engines() -> Vec<Diagnostic> {
    let endpoint = || "unix:///var/run/docker.sock".to_owned();
    let start = |status| EngineError::Start {
        message: "exec: not found".to_owned(),
        status,
    };
    vec![
        EngineError::NameTaken {
            name: "codex-app".to_owned(),
        }
        .into(),
        EngineError::Absent {
            tried: vec![endpoint()],
            podman: false,
        }
        .into(),
        EngineError::OtherKind {
            endpoint: "unix:///run/podman/podman.sock".to_owned(),
            found: "podman",
        }
        .into(),
        EngineError::NativeChosen {
            why: "asked for by `--engine`".to_owned(),
        }
        .into(),
        EngineError::NativeElsewhere.into(),
        EngineError::OptionsOfEngines {
            options: vec!["--memory".to_owned(), "--volume cache:/cache".to_owned()],
        }
        .into(),
        EngineError::Native(NativeError::SubIds {
            file: "/etc/subuid",
            user: "me".to_owned(),
            found: 0,
        })
        .into(),
        EngineError::Native(NativeError::Tool {
            tool: "newuidmap",
            source: io_error(io::ErrorKind::NotFound),
        })
        .into(),
        EngineError::Native(NativeError::NoPasta).into(),
        EngineError::Native(NativeError::Mapping {
            tool: "newuidmap",
            said: "write to uid_map failed: Operation not permitted".to_owned(),
        })
        .into(),
        EngineError::Native(NativeError::Host {
            what: "make a directory for the cage".to_owned(),
            source: denied(),
        })
        .into(),
        EngineError::Native(NativeError::Cage {
            what: "make a namespace of users".to_owned(),
            source: denied(),
        })
        .into(),
        EngineError::Native(NativeError::TreeOwner {
            directory: "/srv/root".into(),
            owner: 1001,
        })
        .into(),
        EngineError::Native(NativeError::TreeInside {
            directory: "/home/me/root".into(),
            what: "var/spool/x belongs to somebody who has no number in the image".to_owned(),
        })
        .into(),
        #[cfg(target_os = "linux")]
        EngineError::Native(NativeError::Tree {
            directory: "/srv/root".into(),
            source: layer::capture::CaptureError::Io {
                action: "open",
                path: layer::LayerPath::new("etc/shadow").expect("it is a plain path"),
                source: denied(),
            },
        })
        .into(),
        EngineError::Native(NativeError::Ground {
            store: "/mnt/home/me/.aicage/store".into(),
            filesystem: "nfs",
        })
        .into(),
        EngineError::Native(NativeError::Vanished).into(),
        EngineError::Native(NativeError::Unsupported {
            what: "user `agent`, whom the image does not know".to_owned(),
        })
        .into(),
        EngineError::Native(NativeError::TimeLimit {
            limit: std::time::Duration::from_mins(10),
        })
        .into(),
        EngineError::PortInUse {
            port: "8080".to_owned(),
            message: "Bind for 0.0.0.0:8080 failed: port is already allocated".to_owned(),
        }
        .into(),
        EngineError::Stopped {
            endpoint: endpoint(),
            source: io_error(io::ErrorKind::ConnectionRefused),
        }
        .into(),
        EngineError::NotPermitted {
            socket: "/var/run/docker.sock".into(),
            group: "docker".to_owned(),
            source: denied(),
        }
        .into(),
        EngineError::Unreachable {
            endpoint: endpoint(),
            source: WireError::Silent { seconds: 10 },
        }
        .into(),
        EngineError::UnknownContext {
            name: "desktop".to_owned(),
            path: "/home/me/.docker/contexts".into(),
            source: denied(),
        }
        .into(),
        EngineError::BadConfiguration {
            path: "/home/me/.docker/config.json".into(),
            reason: "no object".to_owned(),
        }
        .into(),
        EngineError::UnsupportedEndpoint {
            endpoint: "ssh://host".to_owned(),
            reason: "forward its socket with `ssh -L`",
        }
        .into(),
        EngineError::Left {
            container: "0123456789ab".to_owned(),
            removal: Box::new(EngineError::Refused {
                what: "remove the container".to_owned(),
                message: "device or resource busy".to_owned(),
            }),
            source: Box::new(EngineError::Interrupted),
        }
        .into(),
        EngineError::TooOld {
            endpoint: endpoint(),
            api: "1.39".to_owned(),
        }
        .into(),
        EngineError::Refused {
            what: "create a container".to_owned(),
            message: "no space left".to_owned(),
        }
        .into(),
        EngineError::Call {
            what: "list images".to_owned(),
            source: bollard::errors::Error::RequestTimeoutError,
        }
        .into(),
        EngineError::Unmountable {
            path: "/home/me/a, b: c".into(),
        }
        .into(),
        EngineError::Archive { source: full() }.into(),
        EngineError::Foreign {
            reference: "mine/tools:1".to_owned(),
        }
        .into(),
        EngineError::Load {
            reference: "aicage:codex-debian".to_owned(),
            reason: "it has other layers".to_owned(),
        }
        .into(),
        EngineError::Memory {
            source: StoreError::Full {
                path: store("engines"),
                source: full(),
            },
        }
        .into(),
        start(127).into(),
        start(126).into(),
        start(125).into(),
        EngineError::Interrupted.into(),
        EngineError::Host {
            what: "read the terminal",
            source: denied(),
        }
        .into(),
    ]
}
