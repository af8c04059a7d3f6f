//! Settings: what the environment, the configuration file and the account say, read once at the start.
//!
//! Invariant: nothing else in the program reads an environment variable, the account or the configuration file; flags
//! are laid over this by the commands.

pub mod account;
pub mod config;
pub mod edit;
pub mod environment;

use std::path::PathBuf;

pub use account::Account;
pub use config::Config;
pub use environment::Environment;

use crate::definition::catalogue::CustomRoots;
use crate::yaml::YamlError;

/// Everything that was said before the command line.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `~/.aicage`, or where `AICAGE_HOME` says.
    pub home: PathBuf,
    /// The caller's own home directory.
    pub user_home: PathBuf,
    /// The directory that the program was started in.
    pub directory: PathBuf,
    /// What `config.yml` says.
    pub config: Config,
    /// What the environment says.
    pub environment: Environment,
    /// Who the caller is.
    pub account: Account,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Neither `AICAGE_HOME` nor `HOME` is set.
    #[error("there is no home directory: neither `AICAGE_HOME` nor `HOME` is set")]
    NoHome,
    /// The current directory is gone or unreadable.
    #[error("cannot tell the current directory")]
    Directory(#[source] std::io::Error),
    /// The configuration file is not right.
    #[error(transparent)]
    Config(#[from] YamlError),
}

impl Settings {
    /// Reads everything.
    pub fn read() -> Result<Self, SettingsError> {
        let environment = Environment::read();
        let account = Account::read(environment.user.as_deref());
        let user_home = environment
            .home
            .clone()
            .or_else(|| account.home.clone())
            .or_else(|| environment.aicage_home.clone())
            .ok_or(SettingsError::NoHome)?;
        let home = environment
            .aicage_home
            .clone()
            .unwrap_or_else(|| user_home.join(".aicage"));
        let directory = std::env::current_dir().map_err(SettingsError::Directory)?;
        // The store's paths go into other processes' mounts; a relative `AICAGE_HOME` is meant from here.
        let home = directory.join(home);
        let config = Config::read(&home)?;
        Ok(Self {
            home,
            user_home,
            directory,
            config,
            environment,
            account,
        })
    }

    /// Returns where the store is.
    pub fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// Returns where logs of steps go.
    pub fn logs(&self) -> PathBuf {
        self.home.join("logs")
    }

    /// Returns where files of running work are, a directory a process.
    pub fn scratch(&self) -> PathBuf {
        self.home.join("scratch")
    }

    /// Returns where small records such as version checks are.
    pub fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    /// Returns where the user's own definitions are.
    pub fn custom_roots(&self) -> CustomRoots {
        CustomRoots {
            custom: self.home.join("custom"),
            older: self
                .home
                .parent()
                .unwrap_or(&self.user_home)
                .join(".aicage-custom"),
            state: Some(self.state()),
        }
    }
}

impl Settings {
    /// Resolves a path that a user wrote: `~` is the home directory, a relative one is meant from the current directory.
    pub fn user_path(&self, path: &std::path::Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.user_home.join(rest),
            Err(_) => self.directory.join(path),
        }
    }
}
