//! Settings of the program: what forks, companies and users set once, in a file of any scope or a variable.
//!
//! Invariant: every constant that a fork or a company would want to change is here with its default; an unknown key is
//! an error with its line, so that a misspelt setting is not silently without effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::EngineChoice,
    proxy::{Address, ON_MACHINE},
};

/// The file's name below `~/.aicage`.
pub const FILE: &str = "config.yml";

/// The most processes that Linux lets a limit say.
const MOST_PIDS: i64 = 1 << 22;
/// The longest time span, a hundred years: clocks end somewhere.
const LONGEST: u64 = 36_500 * 86_400;

/// `config.yml`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "config.yml")]
pub struct Config {
    /// Where images come from.
    pub registry: RegistryConfig,
    /// The base that is used where nothing else decides.
    pub default_base: String,
    /// Where agents and bases are defined instead of in the program: a directory with `agents/` and `bases/`, or `oci:` and
    /// an image that holds them, by its name in a registry or the directory of an OCI image layout.
    pub definitions: String,
    /// What runs agents and the steps of images: Docker or Podman where one answers and else Linux itself, or the one that
    /// is named here.
    pub engine: EngineChoice,
    /// How this machine reaches the network.
    pub network: NetworkConfig,
    /// When registries are asked for something newer.
    pub update: UpdateConfig,
    /// What the containers of sessions are kept from.
    pub session: SessionConfig,
}

/// What the containers of sessions are kept from. Options of a run go before it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Whether nobody inside can become more than they are; then `sudo` and `su` do not work there.
    pub no_new_privileges: bool,
    /// Whether root inside has only those capabilities that aicage's init needs.
    pub drop_capabilities: bool,
    /// How many processes and threads there may be; 0 leaves it to the engine.
    pub pids_limit: i64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            no_new_privileges: true,
            drop_capabilities: true,
            pids_limit: 8192,
        }
    }
}

/// Where images come from.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// Repository of published final images; the tag is `<agent>-<base>`.
    pub final_repository: String,
    /// Repository of published base images; the tag is `<base>`.
    pub base_repository: String,
    /// For a registry's host, the URLs that are asked first, in this order.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries that are spoken to without TLS. Those on this machine always may be.
    pub plain_http: BTreeSet<String>,
}

/// How this machine reaches the network.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// PEM files with certificate authorities to trust besides the system's, here and in containers.
    pub ca: Vec<PathBuf>,
    /// The proxy for `http://` and `https://`, as `http://[USER:PASSWORD@]HOST:PORT`, where no variable such as
    /// `HTTPS_PROXY` names one.
    pub proxy: String,
    /// What is reached without a proxy, where the variable `NO_PROXY` says nothing: names with all below them, addresses,
    /// networks such as `10.0.0.0/8`, or `*` for everything.
    pub no_proxy: Vec<String>,
    /// The proxy as containers reach it, where that differs: `host` for the same one, listening on this machine, or
    /// another address.
    pub proxy_in_containers: String,
}

/// When registries are asked for something newer.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateConfig {
    /// What a start does about something newer.
    pub policy: UpdatePolicy,
    /// How long an answer of a registry is good for: a number and `s`, `m`, `h` or `d`.
    pub check_interval: String,
    /// How long a start waits for all registries together when an image is at hand.
    pub deadline: String,
    /// Whether an agent's `version.sh` may run on this machine when it failed in a container.
    pub version_on_host: bool,
    /// How long `version.sh` may take in a container.
    pub version_limit: String,
    /// How long `version.sh` may take on this machine.
    pub version_limit_on_host: String,
}

/// What a start does about something newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpdatePolicy {
    /// It asks on a terminal, and else says so.
    #[default]
    Ask,
    /// It applies it before the agent starts.
    Auto,
    /// It neither asks registries nor says anything; `aicage plan` still tells.
    Never,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            registry: RegistryConfig::default(),
            default_base: "ubuntu".to_owned(),
            definitions: String::new(),
            engine: EngineChoice::default(),
            network: NetworkConfig::default(),
            update: UpdateConfig::default(),
            session: SessionConfig::default(),
        }
    }
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            final_repository: "ghcr.io/aicage/aicage".to_owned(),
            base_repository: "ghcr.io/aicage/aicage-image-base".to_owned(),
            mirrors: BTreeMap::new(),
            plain_http: BTreeSet::new(),
        }
    }
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            policy: UpdatePolicy::default(),
            check_interval: "1d".to_owned(),
            deadline: "2s".to_owned(),
            version_on_host: true,
            version_limit: "60s".to_owned(),
            version_limit_on_host: "15s".to_owned(),
        }
    }
}

impl Config {
    /// Returns it as data.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a configuration is plain data")
    }

    /// Makes it of data.
    pub fn of_value(value: serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(value)
    }

    /// Returns what is wrong with the values, if anything is.
    pub fn check(&self) -> Result<(), String> {
        for (key, text) in [
            ("check_interval", &self.update.check_interval),
            ("deadline", &self.update.deadline),
            ("version_limit", &self.update.version_limit),
            ("version_limit_on_host", &self.update.version_limit_on_host),
        ] {
            interval(text).map_err(|reason| format!("`update.{key}`: {reason}"))?;
        }
        let pids = self.session.pids_limit;
        if !(0..=MOST_PIDS).contains(&pids) {
            return Err(format!(
                "`session.pids_limit`: {pids} is not from 0 to {MOST_PIDS}; 0 leaves it to the engine"
            ));
        }
        for (host, urls) in &self.registry.mirrors {
            for url in urls {
                if !(url.starts_with("http://") || url.starts_with("https://")) {
                    return Err(format!(
                        "`registry.mirrors` of `{host}`: `{url}` starts with neither `http://` nor `https://`"
                    ));
                }
            }
        }
        let network = &self.network;
        for (key, proxy) in [
            ("proxy", network.proxy.as_str()),
            ("proxy_in_containers", network.proxy_in_containers.as_str()),
        ] {
            let is_word = proxy.is_empty() || (key != "proxy" && proxy == ON_MACHINE);
            if !is_word {
                Address::new(proxy)
                    .check()
                    .map_err(|reason| format!("`network.{key}`: {reason}"))?;
            }
        }
        for (key, repository) in [
            ("final_repository", &self.registry.final_repository),
            ("base_repository", &self.registry.base_repository),
        ] {
            format!("{repository}:tag")
                .parse::<assembler::reference::ImageReference>()
                .map_err(|error| format!("`registry.{key}`: {error}"))?;
        }
        Ok(())
    }

    /// Returns how long an answer of a registry is good for.
    pub fn check_interval(&self) -> Duration {
        span(&self.update.check_interval)
    }

    /// Returns how long a start waits for all registries together.
    pub fn deadline(&self) -> Duration {
        span(&self.update.deadline)
    }
}

impl UpdateConfig {
    /// Returns how long `version.sh` may take in a container, and on this machine.
    pub fn version_limits(&self) -> (Duration, Duration) {
        (span(&self.version_limit), span(&self.version_limit_on_host))
    }
}

fn span(checked: &str) -> Duration {
    interval(checked).expect("it was checked when it was read")
}

/// Reads `90s`, `15m`, `12h`, `30d`.
pub fn interval(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is not a time span such as `90s`, `15m`, `12h` or `1d`");
    let unit = text.chars().next_back().ok_or_else(error)?;
    let number: u64 = text
        .strip_suffix(unit)
        .and_then(|number| number.parse().ok())
        .ok_or_else(error)?;
    let seconds = match unit {
        's' => Some(number),
        'm' => number.checked_mul(60),
        'h' => number.checked_mul(3600),
        'd' => number.checked_mul(86_400),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds <= LONGEST => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(format!("`{text}` is longer than a hundred years")),
        None => Err(error()),
    }
}
