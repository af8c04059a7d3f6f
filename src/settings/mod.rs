//! Settings: what files, the environment, the command line and the account say, read once at the start.
//!
//! Each key is taken from the strongest place that sets it: `--set`, a variable `AICAGE_…`, the project's file, as much of
//! the repository's team file as counts, the files of the directories above, nearest first, `~/.aicage/config.yml`,
//! `/etc/aicage/config.yml`, the program.
//!
//! Invariant: nothing else in the program reads an environment variable or the account. A run works by one reading of each
//! file; commands that change a file or look after it, such as `config set` and `trust`, read it again.

pub mod account;
pub mod config;
pub mod edit;
pub mod environment;
mod flags;
pub mod keys;
pub mod layers;
mod origin;
mod variables;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use account::Account;
pub use config::Config;
pub use environment::Environment;
pub use flags::SetOption;
pub use layers::{Layer, Origins, SETTINGS};
pub use origin::{Origin, Scope};

use crate::{
    definition::catalogue::CustomRoots,
    diagnostic::Diagnostic,
    engine::{
        EngineChoice, NativeSettings,
        docker::{EngineKind, EngineSettings},
    },
    project::{ProjectError, Projects},
    trust::{self, Consent, Homes, Team},
    yaml::{self, YamlError},
};

/// Where the settings of all users of a machine are.
const SYSTEM: &str = "/etc/aicage/config.yml";

/// Everything that was said before the command line, and `--set`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `~/.aicage`, or where `AICAGE_HOME` says.
    pub home: PathBuf,
    /// The caller's own home directory.
    pub user_home: PathBuf,
    /// The directory that the program was started in.
    pub directory: PathBuf,
    /// What is in force.
    pub config: Config,
    /// Where it comes from; what is not there is a default.
    pub origins: Origins,
    /// What the projects of this user say.
    pub projects: Projects,
    /// What is wrong with files and variables that were left out, where [`Faults::LeftOut`] was asked for.
    pub faults: Vec<SettingsFault>,
    /// The team file of the repository, with what of it counts.
    pub team: Option<Arc<Team>>,
    /// Why there is none, though there is a file.
    pub team_fault: Option<Diagnostic>,
    /// What each place sets, the weakest first, without the team file, and how many of them are weaker than that.
    layers: (Vec<Layer>, usize),
    /// What is to be told at the start.
    pub warnings: Vec<String>,
    /// What the environment says.
    pub environment: Environment,
    /// Who the caller is.
    pub account: Account,
}

/// What happens if settings are not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nothing else happens.
    Refused,
    /// They count as absent, for commands that help to put them right and those that look after what is there.
    LeftOut,
}

/// What is wrong with some settings.
pub type SettingsFault = std::sync::Arc<SettingsError>;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Neither `AICAGE_HOME` nor `HOME` is set.
    #[error("there is no home directory: neither `AICAGE_HOME` nor `HOME` is set")]
    NoHome,
    /// The current directory is gone or unreadable.
    #[error("cannot tell the current directory")]
    Directory(#[source] std::io::Error),
    /// A configuration file is not right.
    #[error(transparent)]
    Config(#[from] YamlError),
    /// A file with what is stored for a project is not right.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A variable is not right.
    #[error("the variable `{name}` is not right: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An option is not right.
    #[error("`--set {key}=…` is not right: {reason}")]
    Flag {
        /// The setting.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl Settings {
    /// Reads everything; `options` are laid over it.
    pub fn read(options: &[SetOption], faults: Faults) -> Result<Self, SettingsError> {
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
        let projects = Projects::below(&home);
        let mut settings = Self {
            home,
            user_home,
            directory,
            config: Config::default(),
            origins: Origins::new(),
            projects,
            faults: Vec::new(),
            team: None,
            team_fault: None,
            layers: (Vec::new(), 0),
            warnings: Vec::new(),
            environment,
            account,
        };
        settings.lay_over_each_other(options, faults)?;
        Ok(settings)
    }

    fn lay_over_each_other(
        &mut self,
        options: &[SetOption],
        faults: Faults,
    ) -> Result<(), SettingsError> {
        let mut left_out = Vec::new();
        let mut kept = |read: Result<Vec<Layer>, SettingsError>| match read {
            Err(error) if faults == Faults::LeftOut => {
                left_out.push(SettingsFault::new(error));
                Ok(Vec::new())
            }
            other => other,
        };
        let mut layers = kept(of_file(&self.system_file(), &Scope::System))?;
        layers.extend(kept(of_file(&self.user_file(), &Scope::User))?);
        let mut own = Vec::new();
        for (scope, read) in self.projects.settings(&self.directory) {
            let read = kept(read.map(|layer| vec![layer]))?;
            if scope == Scope::Project {
                own = read;
            } else {
                layers.extend(read);
            }
        }
        let before_team = layers.len();
        layers.extend(own);
        let variables = variables::layer(&self.environment.aicage);
        layers.extend(kept(variables.map(|(layer, told)| {
            self.warnings = told;
            vec![layer]
        }))?);
        // What is typed is put right where it is typed.
        layers.push(flags::layer(options, &self.directory)?);
        self.faults = left_out;
        self.layers = (layers, before_team);
        let homes = Homes {
            user: &self.user_home,
            aicage: &self.home,
            uid: self.account.uid,
        };
        match trust::find(&self.directory, homes) {
            Ok(team) => self.team = team.map(Arc::new),
            // Only those who work by it need it.
            Err(error) => self.team_fault = Some(error.into()),
        }
        self.merge();
        Ok(())
    }

    /// Lays all places over each other.
    fn merge(&mut self) {
        let (layers, before_team) = &self.layers;
        let (weaker, stronger) = layers.split_at(*before_team);
        let team = self.team.as_ref().map(|team| team.settings_in_force());
        (self.config, self.origins) = layers::merged(weaker.iter().chain(&team).chain(stronger));
        self.projects.set_team(self.team.clone());
    }

    /// Says what the user said to the team file, for this run.
    pub fn set_consent(&mut self, consent: Consent) {
        if let Some(team) = &self.team {
            let mut team = Team::clone(team);
            team.consent = consent;
            self.team = Some(Arc::new(team));
            self.merge();
        }
    }

    /// Returns the file with the settings of all users of this machine.
    pub fn system_file(&self) -> PathBuf {
        let named = self.environment.system_config.as_deref();
        self.directory.join(named.unwrap_or(Path::new(SYSTEM)))
    }

    /// Returns the file with the settings of this user.
    pub fn user_file(&self) -> PathBuf {
        self.home.join(config::FILE)
    }

    /// Returns where the value of a key comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
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

    /// Returns where the locks of steps' caches are.
    pub fn cache_locks(&self) -> PathBuf {
        self.state().join("caches")
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

fn of_file(path: &Path, scope: &Scope) -> Result<Vec<Layer>, SettingsError> {
    match yaml::read_bytes(path)? {
        Some(bytes) => Ok(vec![Layer::of_file(&bytes, path, scope)?]),
        None => Ok(Vec::new()),
    }
}

impl Settings {
    /// Returns where Docker keeps its settings.
    pub fn docker_config(&self) -> PathBuf {
        let named = self.environment.docker_config.clone();
        named.unwrap_or_else(|| self.user_home.join(".docker"))
    }

    /// Returns how the container engine is found.
    pub fn engine(&self) -> EngineSettings {
        let environment = &self.environment;
        EngineSettings {
            kind: match self.config.engine {
                EngineChoice::Docker => EngineKind::Docker,
                EngineChoice::Podman => EngineKind::Podman,
                EngineChoice::Auto | EngineChoice::Native => EngineKind::Any,
            },
            host: environment.docker_host.clone(),
            container_host: environment.container_host.clone(),
            context: environment.docker_context.clone(),
            config_dir: Some(self.docker_config()),
            runtime_dir: environment.runtime_directory.clone(),
            home: Some(self.user_home.clone()),
            cert_path: environment.docker_cert_path.clone(),
            tls_verify: environment.docker_tls_verify,
        }
    }

    /// Returns what this machine needs to be an engine by itself.
    pub fn native(&self) -> NativeSettings {
        NativeSettings {
            store: self.store(),
            name: self.account.name.clone(),
            ids: (self.account.uid, self.account.gid),
        }
    }

    /// Resolves a path that a user wrote: `~` is the home directory, a relative one is meant from the current directory.
    pub fn user_path(&self, path: &std::path::Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.user_home.join(rest),
            Err(_) => self.directory.join(path),
        }
    }
}
