//! A session: makes the container's user the caller's, then runs the agent and looks after its processes.
//!
//! Honours the environment of `entrypoint.sh` in images of older versions: `AICAGE_WORKSPACE`,
//! `AICAGE_ENTRYPOINT_CMD`, `AICAGE_UID`, `AICAGE_GID`, `AICAGE_HOST_USER` (or `AICAGE_USERNAME`), `AICAGE_HOME`,
//! `AICAGE_MOUNT_HOME` and `TZ`; and, of ours, `AICAGE_LOCALE`. Nothing of the image is needed for that, neither a shell nor `useradd`.

mod certificates;
mod command;
mod contract;
mod home;
mod identity;
mod locale;
mod supervise;
mod terminal;
mod timezone;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use layer::capture::mountpoints;

use self::contract::Contract;

/// Why a session could not begin.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("{name} is {value}, which is no number")]
    Number { name: &'static str, value: String },
    #[error("something is mounted at {path}: mount below the home directory, not over it")]
    Mounted { path: PathBuf },
    #[error("cannot prepare the container's user")]
    File(#[from] io::Error),
    #[error("{command} is not in this image: no such program in PATH")]
    NotFound { command: String },
    #[error("{command} cannot be run: {path} is not executable")]
    NotExecutable { command: String, path: PathBuf },
    #[error("cannot look after the session's processes")]
    Supervise(#[source] io::Error),
}

impl SessionError {
    /// The codes that shells give for a command that cannot be run.
    const fn code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 1,
        }
    }
}

/// Prepares the container and runs the agent in it.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    match prepared(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            crate::say(&crate::explain(&error));
            ExitCode::from(error.code())
        }
    }
}

fn prepared(arguments: &[OsString]) -> Result<u8, SessionError> {
    let mut contract = Contract::new(std::env::vars_os())?;
    let mounted = Mounted::read();
    let mut groups = Vec::new();
    if rustix::process::geteuid().is_root() {
        for directory in ["/home", "/root"].map(Path::new) {
            mounted.refuse_at_or_above(directory)?;
        }
        mounted.refuse_at_or_above(&contract.home)?;
        mounted.refuse_at_or_above(&contract.mount_home)?;
        if contract.is_root() {
            unless_read_only(home::link_mounts(&contract, &mounted))?;
        } else {
            groups = unless_read_only(identity::install(&contract, &mounted))?;
            unless_read_only(home::prepare(&contract, &mounted))?;
        }
        timezone::install(&contract);
    } else {
        contract.stay_who_we_are();
    }
    home::workspace(&contract, &mounted)?;
    let mut environment = contract.environment();
    certificates::install(&mut environment, &mounted);
    terminal::adapt(&mut environment);
    locale::install(&mut environment);
    let program = command::find(contract.command.as_deref(), &environment)?;
    supervise::run(&supervise::Agent {
        contract: &contract,
        groups,
        environment,
        program,
        arguments,
    })
}

/// What a program beside the agent has in common with it.
pub(crate) struct Beside {
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// All groups besides its first; nothing for those that the engine gave.
    pub(crate) groups: Option<Vec<u32>>,
}

/// Finds out what the agent was given, in a container whose user is prepared.
pub(crate) fn beside() -> Beside {
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    terminal::adapt(&mut environment);
    locale::install(&mut environment);
    // Numbers that are none kept the session itself from beginning.
    let contract = Contract::new(std::env::vars_os()).ok();
    let contract = contract.filter(|contract| contract.uid != 0);
    Beside {
        environment,
        groups: contract.map(|contract| identity::groups(&contract)),
    }
}

/// Goes on where the image's files cannot be changed, as `--read-only` has it: then the user has no entry and no home but
/// what is mounted.
fn unless_read_only<T: Default>(done: io::Result<T>) -> io::Result<T> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(T::default()),
        other => other,
    }
}

/// Where something is mounted.
struct Mounted(BTreeSet<PathBuf>);

impl Mounted {
    fn read() -> Self {
        use std::os::unix::ffi::OsStringExt as _;
        let text = fs_err::read("/proc/self/mountinfo").unwrap_or_default();
        let absolute = |path: &layer::LayerPath| {
            Path::new("/").join(OsString::from_vec(path.as_bytes().to_vec()))
        };
        Self(mountpoints(&text).iter().map(absolute).collect())
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }

    fn contains(&self, path: &Path) -> bool {
        self.0.contains(path)
    }

    /// Tells whether a path is in what is mounted, and not the container's own.
    fn leads_to(&self, path: &Path) -> bool {
        let mut places = path.ancestors().filter(|place| place.parent().is_some());
        places.any(|place| self.contains(place))
    }

    /// Returns the mountpoints below a directory that are not below another one of them.
    fn tops_below(&self, directory: &Path) -> Vec<&Path> {
        let mut tops: Vec<&Path> = Vec::new();
        for path in self
            .0
            .iter()
            .filter(|path| path.starts_with(directory) && path.as_path() != directory)
        {
            if !tops.iter().any(|top| path.starts_with(top)) {
                tops.push(path);
            }
        }
        tops
    }

    /// A whole home that is mounted would be the caller's own, open to all that we change in it.
    fn refuse_at_or_above(&self, path: &Path) -> Result<(), SessionError> {
        match path.ancestors().find(|place| self.contains(place)) {
            Some(place) => Err(SessionError::Mounted {
                path: place.to_owned(),
            }),
            None => Ok(()),
        }
    }
}
