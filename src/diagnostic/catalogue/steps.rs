//! Failures of steps and of Dockerfiles.

use std::{path::PathBuf, time::Duration};

use assembler::{
    assemble::AssembleError,
    dockerfile::{ArchiveFault, ContextError, DockerfileError, TreeError},
    sandbox::{CaptureError, SandboxError},
};

use super::{denied, full, origin, path};
use crate::{diagnostic::Diagnostic, engine::docker::EngineError};

pub(super) fn steps() -> Vec<Diagnostic> {
    let step = |source| AssembleError::Step {
        origin: origin(),
        log: "/home/me/.aicage/logs/codex.log".into(),
        source,
    };
    let script = || SandboxError::Script {
        script: "install.sh".to_owned(),
        status: 100,
    };
    vec![
        CaptureError::Io(full()).into(),
        CaptureError::Blocked {
            path: "opt/aicage/init".to_owned(),
            by: "opt".to_owned(),
        }
        .into(),
        step(script()).into(),
        step(SandboxError::Step {
            reason: "no such file: /bin/sh".to_owned(),
        })
        .into(),
        step(SandboxError::Instruction {
            reason: "COPY b /x/ (Dockerfile line 5): /x/b is a directory, which no file replaces"
                .to_owned(),
        })
        .into(),
        step(SandboxError::TimeLimit {
            limit: Duration::from_mins(1),
        })
        .into(),
        step(SandboxError::Interrupted).into(),
        SandboxError::Log {
            path: "/home/me/.aicage/logs/x.log".into(),
            source: full(),
        }
        .into(),
        SandboxError::Engine {
            engine: "docker 28.5".to_owned(),
            source: Box::new(full()),
        }
        .into(),
        step(SandboxError::Engine {
            engine: "docker 28.5".to_owned(),
            source: Box::new(EngineError::Refused {
                what: "start the step".to_owned(),
                message: "no space".to_owned(),
            }),
        })
        .into(),
    ]
}

pub(super) fn dockerfiles() -> Vec<Diagnostic> {
    let file = || "/home/me/.aicage/custom/extension/rust/Dockerfile".to_owned();
    let context = || PathBuf::from("/home/me/.aicage/custom/extension/rust");
    vec![
        AssembleError::Dockerfile(DockerfileError::Refused {
            file: file(),
            line: 7,
            reason: "ADD does not download: `https://example.org/x`".to_owned(),
            instead: "fetch it in a RUN".to_owned(),
        })
        .into(),
        DockerfileError::TooLarge {
            file: file(),
            limit: 1 << 20,
        }
        .into(),
        DockerfileError::Secret {
            id: "token".to_owned(),
            from: "/home/me/token".to_owned(),
            source: denied(),
        }
        .into(),
        DockerfileError::Copy {
            file: file(),
            line: 3,
            source: TreeError::Io(full()),
        }
        .into(),
        DockerfileError::Copy {
            file: file(),
            line: 4,
            source: TreeError::Archive {
                name: "rootfs.tar.gz".to_owned(),
                source: ArchiveFault::Link {
                    entry: path("usr/bin/b"),
                    target: path("usr/bin/a"),
                },
            },
        }
        .into(),
        ContextError::Read {
            path: context(),
            source: denied(),
        }
        .into(),
        ContextError::TooLarge {
            path: context(),
            what: "files",
            limit: 100_000,
        }
        .into(),
        ContextError::Changed { path: context() }.into(),
        ContextError::Special { path: context() }.into(),
        ContextError::Ignore {
            path: context(),
            why: "is no regular file",
        }
        .into(),
        ContextError::Pattern {
            path: context(),
            line: 3,
            pattern: "[".to_owned(),
        }
        .into(),
    ]
}
