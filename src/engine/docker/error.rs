//! Why an engine did not do what was asked.

use std::{io, path::PathBuf};

/// Why an engine could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no socket at any of the usual places.
    #[error("no container engine was found; looked at {}", tried.join(", "))]
    Absent {
        /// Where we looked.
        tried: Vec<String>,
        /// Podman is installed, so that only its socket is missing.
        podman: bool,
    },
    /// Another kind of engine answers than was asked for.
    #[error("the container engine at {endpoint} is {}, and {} was asked for", kind(found).0, kind(found).1)]
    OtherKind {
        /// Where it is.
        endpoint: String,
        /// What it is: `docker` or `podman`.
        found: &'static str,
    },
    /// Only a container engine can do it, and none is used.
    #[error("this needs Docker or Podman, and the engine is `native`: {why}")]
    NativeChosen {
        /// Why it is.
        why: String,
    },
    /// Only Linux can run its containers by itself.
    #[error("only Linux is an engine by itself; here, containers need Docker or Podman")]
    NativeElsewhere,
    /// Only engines can do what was asked for.
    #[error("without an engine there is no {}", options.join(", no "))]
    OptionsOfEngines {
        /// The options, some with their values.
        options: Vec<String>,
    },
    /// This machine could not do it by itself.
    #[error(transparent)]
    Native(#[from] crate::engine::native::NativeError),
    /// The socket is there, but nobody listens.
    #[error("the container engine at {endpoint} is not running")]
    Stopped {
        /// Where it should listen.
        endpoint: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket may not be used.
    #[error("you may not use the container engine at {}: {}", socket.display(), permission(group))]
    NotPermitted {
        /// The socket.
        socket: PathBuf,
        /// The group that may.
        group: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The engine could not be reached, or broke off.
    #[error("the container engine at {endpoint} cannot be reached")]
    Unreachable {
        /// Where it should be.
        endpoint: String,
        /// What went wrong.
        #[source]
        source: WireError,
    },
    /// The context that was asked for does not exist.
    #[error("there is no Docker context `{name}`: {} cannot be read", path.display())]
    UnknownContext {
        /// Its name.
        name: String,
        /// The file that should describe it.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of Docker's configuration is not what it should be.
    #[error("{} is not valid: {reason}", path.display())]
    BadConfiguration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The address is of a kind that we cannot speak to.
    #[error("cannot use a container engine at `{endpoint}`: {reason}")]
    UnsupportedEndpoint {
        /// The address as it was given.
        endpoint: String,
        /// What can be done instead.
        reason: &'static str,
    },
    /// The engine's interface is older than what we use.
    #[error(
        "the container engine at {endpoint} is too old: it speaks version {api} of Docker's interface, 1.41 (Docker 20.10) is needed"
    )]
    TooOld {
        /// Where it is.
        endpoint: String,
        /// What it speaks.
        api: String,
    },
    /// Something failed, and then the container could not be removed either.
    #[error("container {container} is left in the engine: {removal}")]
    Left {
        /// Its id.
        container: String,
        /// Why it could not be removed.
        removal: Box<Self>,
        /// What had failed before.
        #[source]
        source: Box<Self>,
    },
    /// The engine refused or failed a call.
    #[error("the container engine could not {what}: {message}")]
    Refused {
        /// What it was asked to do.
        what: String,
        /// What it answered.
        message: String,
    },
    /// A call broke off, or its answer could not be read.
    #[error("the container engine did not {what}")]
    Call {
        /// What it was asked to do.
        what: String,
        /// What went wrong.
        #[source]
        source: bollard::errors::Error,
    },
    /// The image could not be put into an archive.
    #[error("cannot write the archive for the container engine")]
    Archive {
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Another image has the name, and we did not make it.
    #[error("the container engine has another image `{reference}`, which aicage did not make")]
    Foreign {
        /// The name.
        reference: String,
    },
    /// The engine took an image, but not as it was sent.
    #[error("the container engine did not take image {reference}: {reason}")]
    Load {
        /// The image's name.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What the engine has was noted, but could not be read or kept.
    #[error("the record of what the engine has cannot be kept")]
    Memory {
        /// What the store said.
        #[source]
        source: assembler::store::StoreError,
    },
    /// A port that was to be published belongs to somebody else.
    #[error("port {port} of this machine is in use")]
    PortInUse {
        /// Which.
        port: String,
        /// What the engine said.
        message: String,
    },
    /// Podman's interface has no words for this path.
    #[error(
        "Podman cannot mount {}: its name has a comma, and it or the place it is seen at has a colon", path.display()
    )]
    Unmountable {
        /// What was to be mounted.
        path: PathBuf,
    },
    /// The container could not be started.
    #[error("the container could not be started: {message}")]
    Start {
        /// What the engine said.
        message: String,
        /// What a shell would return: 127 if the program is not there, 126 if it is no program, else 125.
        status: i32,
    },
    /// Another container has the name that was asked for.
    #[error("another container has the name `{name}`")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// Something on this machine went wrong.
    #[error("cannot {what}")]
    Host {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Names the kind of engine that was found, and the one that was not.
fn kind(found: &str) -> (&'static str, &'static str) {
    match found {
        "podman" => ("Podman", "Docker"),
        _ => ("Docker", "Podman"),
    }
}

/// Says how to get permission.
fn permission(group: &str) -> String {
    if group == "root" {
        // Nobody is to join that one.
        "it is root's only; with Podman, `systemctl --user start podman.socket` gives you one of your own".to_owned()
    } else {
        format!(
            "add yourself to the group `{group}` (`sudo usermod -aG {group} $USER`) and log in again"
        )
    }
}

/// Why a request did not reach the engine or gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No connection.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("the conversation broke off")]
    Http(#[source] hyper::Error),
    /// The engine answered, with an error.
    #[error("it answered {status}: {message}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The answer is not what was expected.
    #[error("its answer cannot be read")]
    Json(#[source] serde_json::Error),
    /// No answer came in time.
    #[error("it did not answer within {seconds} s")]
    Silent {
        /// How long we waited.
        seconds: u64,
    },
}

impl EngineError {
    /// Joins how something went with how its container was removed; neither failure hides the other.
    pub(crate) fn and_removed<T>(
        container: &str,
        outcome: Result<T, Self>,
        removed: Result<(), Self>,
    ) -> Result<T, Self> {
        match (outcome, removed) {
            (Err(source), Err(removal)) => Err(Self::Left {
                container: container.chars().take(12).collect(),
                removal: Box::new(removal),
                source: Box::new(source),
            }),
            (outcome, removed) => {
                let value = outcome?;
                removed?;
                Ok(value)
            }
        }
    }

    /// Names a failed call of bollard.
    pub(crate) fn call(what: impl Into<String>, source: bollard::errors::Error) -> Self {
        let what = what.into();
        match source {
            bollard::errors::Error::DockerResponseServerError { message, .. } => Self::Refused {
                what,
                message: message.trim().to_owned(),
            },
            source => Self::Call { what, source },
        }
    }

    /// Tells by the engine's words which exit status a shell would have given.
    pub(crate) fn not_started(message: &str) -> Self {
        let says = |words: &str| message.contains(words);
        // Only the program counts: a mount's source that is not there is no missing program. Docker's runtime says
        // `exec: …`, Podman's names the program first.
        let program = says("exec:")
            || says("executable file")
            || says("exec user process")
            || says("open executable");
        let missing = says("executable file not found")
            || says("no such file or directory")
            || says("No such file or directory");
        let unfit = says("permission denied")
            || says("Permission denied")
            || says("Operation not permitted")
            || says("is a directory")
            || says("exec format error")
            || says("Exec format error");
        let status = match (program, missing, unfit) {
            (true, true, _) => 127,
            (true, false, true) => 126,
            _ => 125,
        };
        Self::Start {
            message: message.trim().to_owned(),
            status,
        }
    }

    /// Names something that failed on this machine.
    pub(crate) fn host(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Host { what, source }
    }
}

/// Tells whether `error` says that something else still uses what was to be removed.
pub(crate) fn is_in_use(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 409,
            ..
        }
    )
}

/// Tells whether `error` says that what was asked for is not there.
pub(crate) fn is_missing(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_and_a_failed_removal_are_both_told() {
        let refused = |message: &str| EngineError::Refused {
            what: "remove the container".to_owned(),
            message: message.to_owned(),
        };
        let joined =
            |outcome, removed| EngineError::and_removed("0123456789abcdef", outcome, removed);
        assert!(matches!(joined(Ok(7), Ok(())), Ok(7)));
        let only = joined(Ok(7), Err(refused("busy"))).unwrap_err();
        assert!(matches!(only, EngineError::Refused { .. }), "{only}");
        let first = joined(Err(EngineError::Interrupted), Ok(())).unwrap_err();
        assert!(matches!(first, EngineError::Interrupted), "{first}");
        let both = joined(Err(EngineError::Interrupted), Err(refused("busy"))).unwrap_err();
        let text = both.to_string();
        assert!(
            text.contains("0123456789ab ") && text.contains("busy"),
            "{text}"
        );
        let source = std::error::Error::source(&both).unwrap().to_string();
        assert_eq!(source, EngineError::Interrupted.to_string());
    }
}
