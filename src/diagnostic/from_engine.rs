//! Words for the errors of container engines.

use std::{io, path::Path};

use super::verdict::{Explain, Verdict};
use crate::{
    engine::{docker::EngineError, native::NativeError},
    exit_status::ExitStatus,
};

/// What helps when the engine does not answer as it should.
const ENGINE: &str =
    "look at the engine's own log, for example `journalctl -u docker`, and try again";

/// What helps when this machine does not run containers by itself as it should.
const NATIVE: &str =
    "`aicage doctor` tells what keeps this machine from it; `--engine docker` uses an engine";

impl Explain for EngineError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::OtherKind { found, .. } => not_started("engine-other-kind").hint(format!(
                "`--engine {found}` takes it, `--engine auto` takes whichever answers",
            )),
            Self::NativeChosen { .. } => not_started("engine-native-chosen")
                .hint("name another engine for this run: `--engine docker` or `--engine podman`"),
            Self::NativeElsewhere => Verdict::usage("engine-native-elsewhere")
                .hint("leave `--engine` and the setting `engine` at `auto`"),
            Self::Absent { podman: true, .. } => not_started("engine-absent").hint(
                "Podman is installed: open its socket with `systemctl --user enable --now podman.socket` (on a Mac: `podman machine start`)",
            ),
            Self::Absent { .. } => not_started("engine-absent").hint(
                "install Docker (on Debian or Ubuntu: `sudo apt-get install docker.io`) or Podman, or set `DOCKER_HOST`",
            ),
            Self::Stopped { endpoint, .. } => not_started("engine-stopped").hint(starting(endpoint)),
            Self::NotPermitted { .. } => not_started("engine-not-permitted")
                .hint("`newgrp` takes a new group into the shell you are in; until then `sudo` helps"),
            Self::Unreachable { .. } => not_started("engine-unreachable")
                .hint("check `DOCKER_HOST` and `docker context ls`"),
            Self::UnknownContext { .. } => Verdict::usage("engine-context")
                .hint("`docker context ls` shows the contexts there are; see also `DOCKER_CONTEXT`"),
            Self::BadConfiguration { .. } => Verdict::usage("engine-configuration")
                .hint("correct that file; it is Docker's own configuration"),
            Self::UnsupportedEndpoint { .. } => Verdict::usage("engine-endpoint"),
            Self::TooOld { .. } => {
                not_started("engine-too-old").hint("upgrade Docker to 20.10 or newer")
            }
            Self::Left {
                container, source, ..
            } => source.verdict().hint(format!(
                "remove it when the engine answers again: docker rm --force {container}"
            )),
            Self::Refused { .. } => Verdict::failed("engine-refused").hint(ENGINE),
            Self::Call { .. } => Verdict::failed("engine-broke-off").hint(ENGINE),
            Self::Archive { source } => Verdict::system("engine-archive", source),
            Self::Foreign { reference } => Verdict::ending("image-name-foreign", ExitStatus::Refused)
                .hint(format!(
                    "give the image with the extensions another name with `--image-name`; if nobody needs that one: docker image rm {reference}"
                )),
            Self::Load { .. } => Verdict::failed("engine-load").hint(
                "check the space on the engine's disk with `docker system df`, and try again",
            ),
            Self::Memory { source } => source.verdict(),
            Self::Unmountable { .. } => Verdict::ending("mount-name", ExitStatus::Refused)
                .hint("give the directory another name, or use Docker, which takes every name"),
            Self::Start { status, .. } => started(*status),
            Self::NameTaken { .. } => Verdict::usage("session-name-taken").hint(
                "choose another with `--name`, or end that one: `aicage ps` shows your sessions, `docker ps -a` all containers",
            ),
            Self::PortInUse { port, .. } => not_started("port-in-use").hint(format!(
                "publish another one: `--publish OTHER:{port}`, or any that is free: `--publish PORT` of the container alone; `ss -ltnp` shows who has it"
            )),
            Self::OptionsOfEngines { .. } => Verdict::ending("option-of-engines", ExitStatus::Refused)
                .hint("start without them, or with an engine: `--engine docker`"),
            Self::Native(error) => error.verdict(),
            Self::Interrupted => Verdict::ending("interrupted", ExitStatus::Interrupted),
            Self::Host { source, .. } => Verdict::system("host", source),
        }
    }
}

impl Explain for NativeError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::SubIds { user, .. } => not_started("native-sub-ids").hint(format!(
                "`aicage doctor` shows the `usermod` command that gives {user} ids that are nobody else's; or use an engine: `--engine docker`"
            )),
            Self::Tool { .. } => not_started("native-tool")
                .hint("install it (on Debian or Ubuntu: `sudo apt-get install uidmap`), or use an engine: `--engine docker`"),
            Self::NoPasta => not_started("native-pasta").hint(
                "install it: most distributions have it in the package `passt` (`sudo apt-get install passt`)",
            ),
            Self::Mapping { .. } => not_started("native-mapping").hint(NATIVE),
            Self::Host { source, .. } => {
                let verdict = Verdict::system("native-host", source);
                if verdict.has_hint() { verdict } else { verdict.hint(NATIVE) }
            }
            Self::Ground { .. } => not_started("native-ground").hint(
                "give aicage a directory on a local disk: export AICAGE_HOME=DIRECTORY; or use an engine: `--engine docker`",
            ),
            Self::TreeOwner { directory, .. } => Verdict::usage("root-owner").hint(packing(directory)),
            Self::TreeInside { directory, .. } => {
                Verdict::failed("root-directory").hint(packing(directory))
            }
            #[cfg(target_os = "linux")]
            Self::Tree { directory, .. } => {
                Verdict::failed("root-directory").hint(packing(directory))
            }
            Self::Cage { source, .. } if is_full(source) => Verdict::system("native-cage", source),
            Self::Cage { .. } | Self::Job { .. } => not_started("native-cage").hint(NATIVE),
            Self::Vanished => not_started("native-vanished").hint(NATIVE),
            Self::Store(error) => error.verdict(),
            Self::Unsupported { .. } => Verdict::ending("native-unsupported", ExitStatus::Refused)
                .hint("use an engine: `--engine docker`"),
            Self::TimeLimit { .. } => Verdict::failed("native-time-limit")
                .hint("try again when the machine has less to do; `aicage doctor` tells whether it can make containers at all"),
            Self::Interrupted => Verdict::ending("interrupted", ExitStatus::Interrupted),
        }
    }
}

/// The command that packs a tree of somebody else's with its owners.
fn packing(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "have root pack it, and import that: sudo tar -C {directory} --one-file-system --numeric-owner --xattrs -cf root.tar ."
    )
}

fn is_full(source: &io::Error) -> bool {
    matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Says how an engine that is installed is started.
fn starting(endpoint: &str) -> String {
    let command = start_command(endpoint);
    format!("start it, for example with `{command}`")
}

/// Returns the command that starts the engine of a place.
pub(crate) fn start_command(endpoint: &str) -> &'static str {
    let of_user = endpoint.contains("/run/user/");
    match (endpoint.contains("podman"), of_user) {
        (true, true) => "systemctl --user start podman.socket",
        (true, false) => "sudo systemctl start podman.socket",
        (false, true) => "systemctl --user start docker",
        (false, false) => "sudo systemctl start docker",
    }
}

fn not_started(code: &'static str) -> Verdict {
    Verdict::ending(code, ExitStatus::NotStarted)
}

/// Shells tell a program that is missing from one that is none by 127 and 126; so do we.
fn started(status: i32) -> Verdict {
    match u8::try_from(status) {
        Ok(status @ (126 | 127)) => Verdict::ending("agent-not-started", ExitStatus::Agent(status))
            .hint("the agent's program is not in the image as its definition says; rebuild with `aicage build`"),
        _ => not_started("container-not-started").hint(ENGINE),
    }
}
