//! Credentials for a registry, from the files that Docker and Podman keep and the programs these name.
//!
//! Invariants: a credential is looked up only once a registry asks for one, and only by that registry's own host; its
//! `Debug` shows no secret. Files are Docker's `config.json` (`auths`, `credHelpers`, `credsStore`) and Podman's
//! `auth.json` (the same, with keys that may name a repository); the first file that knows the registry wins.

mod file;
mod helper;

use std::{fmt, io, path::PathBuf, time::Duration};

use assembler::digest::Digest;
use assembler::reference::DOCKER_HUB;

/// Where credentials are looked for.
#[derive(Clone, Debug, Default)]
pub struct CredentialSources {
    /// Docker's `config.json` and Podman's `auth.json` files in the order of preference; those that do not exist are
    /// passed over.
    pub files: Vec<PathBuf>,
    /// Directories in which `docker-credential-*` programs are looked for, in order: the entries of `PATH`.
    pub helper_path: Vec<PathBuf>,
}

/// What proves to a registry who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A refresh token, which a token server exchanges (`docker login` with a browser).
    Identity {
        /// The token.
        token: String,
    },
}

/// Why configured credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read the credentials file")]
    Read {
        /// Names the path.
        #[source]
        source: io::Error,
    },
    /// The file is not what Docker and Podman write.
    #[error("{} is not a file of credentials", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The file is larger than any honest one.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// An entry's `auth` is not base64 of `user:password`.
    #[error("the entry `{key}` in {} is not base64 of `user:password`", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
    },
    /// The program that keeps the credentials does not exist.
    #[error("the credential helper `{program}`, which {} names, is not installed", file.display())]
    NoHelper {
        /// The program.
        program: String,
        /// The file that names it.
        file: PathBuf,
    },
    /// The program that keeps the credentials does not run.
    #[error("the credential helper `{program}` does not run")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program that keeps the credentials did not answer.
    #[error("the credential helper `{program}` did not answer within {} s", after.as_secs())]
    HelperTimeout {
        /// The program.
        program: String,
        /// How long we waited.
        after: Duration,
    },
    /// The program that keeps the credentials failed.
    #[error("the credential helper `{program}` failed: {message}")]
    HelperFailed {
        /// The program.
        program: String,
        /// What it said, cut.
        message: String,
    },
    /// The program that keeps the credentials answered something else.
    #[error("the credential helper `{program}` did not answer with `Username` and `Secret`")]
    HelperAnswer {
        /// The program.
        program: String,
    },
}

/// Where a registry's credential is, found without running anything.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Nowhere: the registry is asked anonymously.
    Nowhere,
    /// In a file.
    Here(Credential),
    /// With a program.
    Helper(Helper),
}

/// A program that keeps credentials, as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Helper {
    /// What stands after `docker-credential-`.
    name: String,
    /// The name under which it keeps this registry.
    server: String,
    /// The file that names it.
    file: PathBuf,
    /// Named for this registry (`credHelpers`), not for all (`credsStore`).
    pub(crate) specific: bool,
}

/// A program that a file of credentials names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedHelper {
    /// The program: `docker-credential-NAME`.
    pub program: String,
    /// The file that names it.
    pub file: PathBuf,
    /// The registry it is named for; `None` for all.
    pub registry: Option<String>,
    /// Where the program is; `None` where it is not.
    pub found: Option<PathBuf>,
}

impl CredentialSources {
    /// Lists the programs that the files name, and which of them are there; nothing is run.
    pub fn helpers(&self) -> Result<Vec<NamedHelper>, CredentialError> {
        let mut helpers = Vec::new();
        for path in &self.files {
            for (registry, name) in file::read(path)?.iter().flat_map(file::AuthFile::programs) {
                helpers.push(NamedHelper {
                    program: helper::program(name),
                    file: path.clone(),
                    registry: registry.map(str::to_owned),
                    found: helper::find(name, &self.helper_path),
                });
            }
        }
        Ok(helpers)
    }

    /// Finds where the credential for `repository` at `registry` is.
    pub(crate) fn place(&self, registry: &str, repository: &str) -> Result<Place, CredentialError> {
        for path in &self.files {
            let Some(file) = file::read(path)? else {
                continue;
            };
            match file.place(path, registry, repository)? {
                Place::Nowhere => {}
                place => return Ok(place),
            }
        }
        Ok(Place::Nowhere)
    }

    /// Gets the credential from where it is; `None` if the program there knows none.
    pub(crate) async fn get(&self, place: &Place) -> Result<Option<Credential>, CredentialError> {
        match place {
            Place::Nowhere => Ok(None),
            Place::Here(credential) => Ok(Some(credential.clone())),
            Place::Helper(helper) => helper::get(helper, &self.helper_path).await,
        }
    }
}

impl Place {
    /// Names the place, so that a token is not used for somebody else; no secret can be read from it.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Nowhere => "anonymous".to_owned(),
            Self::Here(Credential::Password { user, password }) => {
                let digest = Digest::of(format!("{user}:{password}").as_bytes());
                format!("password {}", digest.hex())
            }
            Self::Here(Credential::Identity { token }) => {
                format!("identity {}", Digest::of(token.as_bytes()).hex())
            }
            Self::Helper(helper) => format!("helper {} {}", helper.name, helper.server),
        }
    }
}

/// The names under which files and programs keep `registry`, the usual one first.
fn names_of(registry: &str) -> Vec<&str> {
    if registry == DOCKER_HUB {
        vec![
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
        ]
    } else {
        vec![registry]
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, password: _ } => f
                .debug_struct("Password")
                .field("user", user)
                .finish_non_exhaustive(),
            Self::Identity { token: _ } => f.debug_struct("Identity").finish_non_exhaustive(),
        }
    }
}
