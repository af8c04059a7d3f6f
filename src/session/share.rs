//! One file or directory of this machine that a session is to see: `PATH` or `PATH:ro`.
//!
//! Invariant: it is mounted from where it really was when it was looked at, at the path that it was called by.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::guard;
use crate::{
    diagnostic::Diagnostic,
    engine::session::{Access, SessionMount},
    exit_status::ExitStatus,
    printer::printable,
    settings::Settings,
};

/// What is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Where it is to be seen.
    path: PathBuf,
    /// Where it really is.
    real: PathBuf,
    access: Access,
    whose: Whose,
}

/// Who wants it to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// `--share`.
    CommandLine,
    /// What is stored for the project whose file this is.
    Project(PathBuf),
    /// The team file of the repository.
    Team(PathBuf),
    /// An extension.
    Extension(String),
}

impl Share {
    /// Reads `PATH` or `PATH:ro`; `~` is the home directory, a relative path is meant from the project.
    pub fn parse(settings: &Settings, text: &str, whose: Whose) -> Result<Self, Diagnostic> {
        let (path, access) = match text.strip_suffix(":ro") {
            Some(path) => (path, Access::ReadOnly),
            None => (text, Access::ReadWrite),
        };
        if path.trim().is_empty() {
            let message = format!("{whose} names no path: `{}`", printable(text));
            return Err(Diagnostic::new("share-empty", ExitStatus::Usage, message)
                .hint(whose.hint().as_str()));
        }
        let path = settings.user_path(Path::new(path));
        let real = guard::real(&path);
        Ok(Self {
            path: if guard::climbs(&path) {
                real.clone()
            } else {
                guard::tidy(&path)
            },
            real,
            access,
            whose,
        })
    }

    /// Refuses what is never given away.
    pub fn refuse(&self, settings: &Settings) -> Result<(), Diagnostic> {
        let what = self.whose.to_string();
        guard::refuse_home(settings, &self.path, &what)
            .and_then(|()| guard::refuse_own(settings, &self.path, &what))
            .and_then(|()| guard::refuse_system(&self.path, &what))
            .map_err(|refused| match self.whose {
                Whose::CommandLine => refused,
                Whose::Project(_) | Whose::Team(_) | Whose::Extension(_) => {
                    refused.hint(self.whose.hint().as_str())
                }
            })
    }

    /// Tells whether it is there.
    pub fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Refuses what cannot be mounted.
    pub fn check(&self, settings: &Settings) -> Result<(), Diagnostic> {
        if !self.is_there() {
            let path = self.path.display();
            let message = match &self.whose {
                Whose::CommandLine => format!("cannot share {path}: there is nothing"),
                whose @ (Whose::Project(_) | Whose::Team(_) | Whose::Extension(_)) => {
                    format!("{whose} is {path}, and there is nothing")
                }
            };
            return Err(Diagnostic::new("share-missing", ExitStatus::Usage, message)
                .hint(self.whose.hint().as_str()));
        }
        self.refuse(settings)
    }

    /// Returns where it really is.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Tells who wants it to be seen.
    pub fn whose(&self) -> &Whose {
        &self.whose
    }

    /// Returns how one that was typed is stored: from the root, so that it means the same wherever it is read.
    pub fn to_keep(&self) -> Option<String> {
        let path = self
            .path
            .to_str()
            .filter(|_| self.whose == Whose::CommandLine)?;
        Some(match self.access {
            Access::ReadOnly => format!("{path}:ro"),
            Access::ReadWrite => path.to_owned(),
        })
    }

    /// Returns the mount.
    pub fn mount(&self) -> SessionMount {
        SessionMount {
            source: self.real.clone(),
            target: self.path.clone(),
            access: self.access,
        }
    }

    /// Returns what somebody agrees to who agrees to it: where it really is, and whether it can be changed. Nothing for what
    /// cannot be written down; then nobody has agreed.
    pub fn agreement(&self) -> Option<String> {
        let path = self.real.to_str()?;
        match self.access {
            Access::ReadOnly => Some(format!("{path}:ro")),
            Access::ReadWrite => (!path.ends_with(":ro")).then(|| path.to_owned()),
        }
    }

    /// Tells whether somebody who agreed to `agreed` has agreed to it. Who may change a file may read it, too.
    pub fn is_within(&self, agreed: &[String]) -> bool {
        let writable = Self {
            access: Access::ReadWrite,
            ..self.clone()
        };
        let enough = [self.agreement(), writable.agreement()];
        enough.iter().flatten().any(|text| agreed.contains(text))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        f.write_str(&printable(&path))?;
        if self.real != self.path {
            let real = self.real.display().to_string();
            write!(f, " (really {})", printable(&real))?;
        }
        f.write_str(match self.access {
            Access::ReadOnly => ", read only",
            Access::ReadWrite => ", writable",
        })
    }
}

impl Whose {
    fn hint(&self) -> String {
        match self {
            Self::CommandLine => {
                "`--share` takes a file or directory that exists, and `:ro` after it".to_owned()
            }
            Self::Project(file) => format!(
                "correct `shares` in {}, or in what it inherits from",
                file.display()
            ),
            Self::Team(file) => format!(
                "correct `shares` in {}, or start with `--trust never`",
                file.display()
            ),
            Self::Extension(id) => format!(
                "put right what `aicage extension show {id}` names, or start with `--no-extension-shares`"
            ),
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("a share"),
            Self::Project(_) => f.write_str("a share that is stored for this project"),
            Self::Team(_) => f.write_str("a share of the repository's team file"),
            Self::Extension(id) => write!(f, "a share of extension `{id}`"),
        }
    }
}
