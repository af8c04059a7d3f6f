//! Words for the errors of `assembler`.

use assembler::{
    assemble::AssembleError,
    definition_files::FilesError,
    digest::DigestError,
    dockerfile::{ContextError, DockerfileError, TreeError},
    manifest::ManifestError,
    platform::PlatformError,
    reference::ReferenceError,
    sandbox::CaptureError,
    sandbox::SandboxError,
    store::StoreError,
};

use super::verdict::{Explain, Verdict};
use crate::exit_status::ExitStatus;

/// What helps when an image that others made is broken.
const OTHERS: &str = "whoever published the image has to repair it; try another tag";

impl Explain for DigestError {
    fn verdict(&self) -> Verdict {
        Verdict::usage("bad-digest")
    }
}

impl Explain for PlatformError {
    fn verdict(&self) -> Verdict {
        Verdict::usage("bad-platform")
    }
}

impl Explain for ReferenceError {
    fn verdict(&self) -> Verdict {
        Verdict::usage("bad-reference").hint(
            "a reference looks like `ghcr.io/owner/name:tag`, `debian:stable` or `name@sha256:…`; \
             for other sources put `docker-daemon:`, `oci:`, `oci-archive:`, `docker-archive:` or `rootfs:` before it",
        )
    }
}

impl Explain for ManifestError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Json { .. } => Verdict::failed("manifest-unreadable").hint(OTHERS),
            Self::TooLarge { .. } => Verdict::failed("manifest-too-large")
                .hint("no honest image has documents of this size; check the reference"),
            Self::Invalid { .. } => Verdict::failed("manifest-invalid").hint(OTHERS),
            Self::Unsupported { .. } => Verdict::failed("not-an-image").hint(
                "check the reference: this one names an artifact such as a chart or a signature",
            ),
            Self::NoPlatform { .. } => Verdict::failed("no-such-platform")
                .hint("choose a tag that is published for this platform"),
        }
    }
}

impl Explain for StoreError {
    fn verdict(&self) -> Verdict {
        const BROKEN: &str =
            "`aicage cache verify --fix` removes what is broken, and the next run fetches it again";
        match self {
            Self::Io { source, .. } => Verdict::system("store-system", source),
            Self::Full { source, .. } => Verdict::system("disk-full", source),
            Self::Layout { .. } => Verdict::usage("not-a-store")
                .hint("set `AICAGE_HOME` to another directory, or move that one away"),
            Self::Newer { .. } => Verdict::failed("store-newer")
                .hint("a newer aicage wrote this; use that one here, or another `AICAGE_HOME`"),
            Self::Busy { .. } => Verdict::failed("store-busy")
                .hint("wait until the other `aicage` is done, and try again"),
            Self::Missing { .. } => Verdict::failed("blob-missing").hint(BROKEN),
            Self::Corrupt { .. } => Verdict::failed("blob-corrupt").hint(BROKEN),
            Self::WrongSize { .. } => Verdict::failed("blob-wrong-size").hint(BROKEN),
            Self::TooLarge { .. } => Verdict::failed("blob-too-large")
                .hint("no honest image has documents of this size; check the reference"),
            Self::Decompress { .. } => Verdict::failed("layer-not-decompressed").hint(OTHERS),
            Self::Bomb { .. } => Verdict::failed("layer-bomb")
                .hint("do not use this image: its layer is made to fill disks"),
            Self::DiffId { .. } => Verdict::failed("layer-other-content").hint(OTHERS),
            Self::Tar { source, .. } => source.verdict(),
            Self::Manifest(error) => error.verdict(),
        }
    }
}

impl Explain for CaptureError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Layer(error) => error.verdict(),
            Self::Path(error) => error.verdict(),
            Self::Blocked { .. } => Verdict::failed("file-blocked")
                .hint("use a base whose directories are directories or links to them"),
            Self::Store(error) => error.verdict(),
            Self::Io(error) => Verdict::system("layer-write", error),
        }
    }
}

impl Explain for SandboxError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Script { .. } => Verdict::failed("script-failed").hint(
                "the script's last lines are above, all of them are in the log; nothing was kept, so try again after repairing it",
            ),
            Self::Step { .. } => Verdict::failed("step-not-run")
                .hint("check that the base image is a whole Linux system for this platform"),
            Self::Instruction { .. } => Verdict::failed("instruction-refused")
                .hint("that line does not fit what the image has there: name another destination or user, or make room in a RUN before it"),
            Self::TimeLimit { .. } => Verdict::failed("step-time-limit")
                .hint("its log shows how far it came"),
            Self::Interrupted => {
                Verdict::ending("interrupted", ExitStatus::Interrupted)
                    .hint("nothing of the interrupted step was kept; finished steps are reused")
            }
            Self::Capture(error) => error.verdict(),
            Self::Log { source, .. } => Verdict::system("log-write", source),
            Self::Engine { source, .. } => engine(source.as_ref()),
        }
    }
}

impl Explain for FilesError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Read { source, .. } => Verdict::system("definition-read", source),
            Self::Refused { .. } => Verdict::usage("definition-files"),
            Self::Changed { .. } => Verdict::failed("definition-changed")
                .hint("nothing was made of it; run the same command again"),
        }
    }
}

impl Explain for AssembleError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Store(error) => error.verdict(),
            Self::Manifest(error) => error.verdict(),
            Self::Definition(error) => error.verdict(),
            Self::Dockerfile(error) => error.verdict(),
            Self::Files { source, .. } => source.verdict(),
            Self::Step { source, log, .. } => source.verdict().log(log),
        }
    }
}

impl Explain for DockerfileError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Refused { instead, .. } => Verdict::usage("dockerfile-refused").hint(instead),
            Self::TooLarge { .. } => Verdict::usage("dockerfile-too-large")
                .hint("a Dockerfile is text of a few lines; put data beside it and COPY it"),
            Self::Context(error) => error.verdict(),
            Self::Store(error) => error.verdict(),
            Self::Copy { source, .. } => source.verdict(),
            Self::Secret { source, .. } => Verdict::system("dockerfile-secret", source),
        }
    }
}

impl Explain for ContextError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Read { source, .. } => Verdict::system("context-read", source),
            Self::TooLarge { .. } => Verdict::usage("context-too-large")
                .hint("leave out in `.dockerignore` what the Dockerfile does not copy"),
            Self::Changed { .. } => Verdict::failed("context-changed")
                .hint("nothing was made of it; run the same command again"),
            Self::Special { .. } => {
                Verdict::usage("context-special").hint("leave it out in `.dockerignore`")
            }
            Self::Name(error) => error.verdict(),
            Self::Ignore { .. } => Verdict::usage("dockerignore-file")
                .hint("make it a file of the directory with one pattern a line"),
            Self::Pattern { .. } => Verdict::usage("dockerignore-pattern").hint(
                "a pattern is a path with `*`, `?`, `[a-z]` or `**`; `\\` takes the meaning away",
            ),
        }
    }
}

impl Explain for TreeError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Store(error) => error.verdict(),
            Self::Read(error) => error.verdict(),
            Self::Write(error) => error.verdict(),
            Self::Archive { .. } => Verdict::usage("dockerfile-archive")
                .hint("make the archive anew; COPY takes it as it is"),
            Self::Io(error) => Verdict::system("dockerfile-copy", error),
        }
    }
}

/// The engine's error comes through the sandbox's contract without its type.
fn engine(source: &(dyn std::error::Error + Send + Sync + 'static)) -> Verdict {
    if let Some(error) = source.downcast_ref::<crate::engine::docker::EngineError>() {
        return error.verdict();
    }
    match source.downcast_ref::<crate::engine::native::NativeError>() {
        Some(error) => error.verdict(),
        None => Verdict::system("engine", source),
    }
}
