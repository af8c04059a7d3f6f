//! What aicage does when it was started by itself as a maker of cages: `aicage __native …`.
//!
//! `enter` is the first stage: it makes a user namespace, waits for its mapping, does one job in it and looks after what it
//! started. `cage` is the second stage: the first process of a cage, which builds the cage around itself and becomes the
//! program. `network` looks after the program that connects the cage's network, `keep` looks after a session, and `beside` runs
//! another program in its cage. All but `keep` make namespaces, cages and programs with one thread; a job that makes no cage
//! has a second one, which waits for the end of the channel. Nothing of the program proper (settings, terminal, runtime) is
//! there.
//!
//! **Invariant.** Whoever started the first stage holds a channel to it; when that ends, so does all that was started.

mod beside;
mod calls;
#[cfg(target_arch = "x86_64")]
mod calls_32;
mod confine;
mod copy;
mod devices;
mod enter;
mod filter;
mod kernel;
mod lifeline;
mod loopback;
mod mounts;
mod network;
mod place;
mod program;
mod root;
mod scratch;

use std::{ffi::OsString, io, process::ExitCode};

pub(super) use self::scratch::measure;

use super::{
    channel::{Channel, Message},
    job::Job,
};

/// The hidden first argument.
pub const NATIVE: &str = "__native";
/// The first stage.
pub(super) const ENTER: &str = "enter";
/// The second stage, for a program of ours.
const CAGE: &str = "cage";
/// The same for a program that the image has a say in.
const CAGE_FROM_COPY: &str = "cage-from-copy";
/// What keeps a session.
pub(super) const KEEP: &str = "keep";
/// What looks after the program that connects a network.
const NETWORK: &str = "network";
/// The first process of that program's namespace.
const NETWORK_FIRST: &str = "network-first";
/// What runs another program in a cage.
pub(super) const BESIDE: &str = "beside";

/// Why a cage could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub(super) struct StageError {
    /// What was tried.
    what: String,
    #[source]
    source: io::Error,
}

impl StageError {
    fn new(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl From<StageError> for Message {
    fn from(error: StageError) -> Self {
        let StageError { mut what, source } = error;
        let errno = source.raw_os_error().unwrap_or(0);
        // What has no number has words, if it says more than of what kind it is.
        if errno == 0
            && let Some(inner) = source.get_ref()
        {
            what = format!("{what}: {inner}");
        }
        Self::Failed { what, errno }
    }
}

impl StageError {
    /// Takes over what a library says, with its causes.
    fn told(error: &dyn std::error::Error) -> Self {
        let mut words = error.to_string();
        let (mut errno, mut cause) = (None, error.source());
        while let Some(inner) = cause {
            let system = inner.downcast_ref::<io::Error>();
            errno = system.and_then(io::Error::raw_os_error).or(errno);
            if errno.is_none() {
                words = format!("{words}: {inner}");
            }
            cause = inner.source();
        }
        let what = words.strip_prefix("cannot ").unwrap_or(&words).to_owned();
        let source = errno.map_or_else(
            || io::Error::from(io::ErrorKind::InvalidData),
            io::Error::from_raw_os_error,
        );
        Self { what, source }
    }
}

/// Says what was tried when the system refuses.
fn tried<T, E: Into<io::Error>>(
    outcome: Result<T, E>,
    what: impl FnOnce() -> String,
) -> Result<T, StageError> {
    outcome.map_err(|error| StageError::new(what(), error))
}

/// Runs a stage.
pub fn run(arguments: &[OsString]) -> ExitCode {
    if kernel::keep_to_streams().is_err() {
        return ExitCode::from(125);
    }
    let is_reachable = |stage: &OsString| stage == CAGE_FROM_COPY || stage == BESIDE;
    if arguments.first().is_some_and(is_reachable) && copy::become_it(arguments).is_err() {
        return ExitCode::from(125);
    }
    match arguments {
        [stage] if stage == ENTER => answer(enter::work),
        [stage] if stage == CAGE || stage == CAGE_FROM_COPY => root::run(),
        [stage, rest @ ..] if stage == NETWORK => network::look_after(rest),
        [stage, command @ ..] if stage == NETWORK_FIRST => network::run_it(command),
        [stage] if stage == KEEP => super::session::keeper::main(),
        [stage] if stage == BESIDE => answer(beside::work),
        _ => {
            use std::io::Write as _;
            drop(writeln!(
                io::stderr(),
                "aicage: this verb is for the program itself"
            ));
            ExitCode::from(2)
        }
    }
}

/// Runs a stage that tells whoever started it how its work ended.
fn answer(work: impl FnOnce(&Channel) -> Result<i32, StageError>) -> ExitCode {
    let Ok(channel) = Channel::of_stdin() else {
        return ExitCode::from(125);
    };
    let message = match work(&channel) {
        Ok(status) => Message::Ended { status },
        Err(error) => error.into(),
    };
    // Nobody may be there any more.
    channel.send(&message, &[]).unwrap_or_default();
    ExitCode::SUCCESS
}

/// Reads the job from the file that came with it.
fn read_job(file: std::os::fd::OwnedFd) -> Result<Job, StageError> {
    use std::io::{Read as _, Seek as _};
    let mut file = fs_err::File::from_parts(file.into(), "the job");
    let mut text = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut text));
    tried(read, || "read the job".to_owned())?;
    tried(serde_json::from_slice(&text), || {
        "understand the job".to_owned()
    })
}
