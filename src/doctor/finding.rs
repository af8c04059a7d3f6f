//! What a look at one thing came to: what was seen, why it matters, and what to do next.
//!
//! Format of `--json`: `aicage.doctor/1`; a check's name never changes its meaning, new ones are added.

use schemars::JsonSchema;
use serde::Serialize;

/// The schema of what `aicage doctor --json` prints.
pub const SCHEMA: &str = "aicage.doctor/1";

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Something to know; nothing fails for it.
    Note,
    /// Something fails, or will.
    Problem,
    /// Not looked at, for the reason that is given.
    Skipped,
}

/// What findings stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The container engine and what its containers can do.
    Engine,
    /// Registries, proxies, certificates.
    Network,
    /// This machine.
    Machine,
    /// What aicage keeps.
    Aicage,
    /// The project and the agent.
    Project,
}

impl Group {
    /// Returns what stands above its findings.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Engine => "Engine",
            Self::Network => "Network",
            Self::Machine => "Machine",
            Self::Aicage => "aicage",
            Self::Project => "Project",
        }
    }
}

/// What is looked at, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Which engine answers, and where.
    Engine,
    /// What the engine can limit.
    Limits,
    /// The engine's own disk.
    EngineDisk,
    /// Whether this machine can run containers by itself.
    Native,
    /// User and group ids for a rootless engine.
    SubIds,
    /// `SELinux` and `AppArmor`.
    Confinement,
    /// Names and connections in a container.
    ContainerNetwork,
    /// What a session may not do by default.
    SafeDefaults,
    /// Whether each registry and mirror answers.
    Registry,
    /// Who signed the registry's certificate.
    Certificate,
    /// Whether an image may be read.
    Access,
    /// This machine's clock, against the registries'.
    Clock,
    /// The variables that name proxies.
    Proxy,
    /// The files of `network.ca`.
    NetworkCa,
    /// The programs that keep credentials.
    Credentials,
    /// The disk of the store.
    Disk,
    /// The terminal.
    Terminal,
    /// The program itself.
    Version,
    /// `config.yml`.
    Settings,
    /// `~/.aicage`.
    Home,
    /// The store.
    Store,
    /// Images of ours that nobody needs.
    Images,
    /// What killed runs left.
    Leftovers,
    /// Definitions that cannot be used.
    Definitions,
    /// What the Python program left.
    OlderProgram,
    /// The project directory.
    Directory,
    /// The project's git repository.
    Git,
    /// The agent that was asked for.
    Agent,
}

impl Check {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 28] = [
        Self::Engine,
        Self::Limits,
        Self::EngineDisk,
        Self::Native,
        Self::SubIds,
        Self::Confinement,
        Self::ContainerNetwork,
        Self::SafeDefaults,
        Self::Registry,
        Self::Certificate,
        Self::Access,
        Self::Clock,
        Self::Proxy,
        Self::NetworkCa,
        Self::Credentials,
        Self::Disk,
        Self::Terminal,
        Self::Version,
        Self::Settings,
        Self::Home,
        Self::Store,
        Self::Images,
        Self::Leftovers,
        Self::Definitions,
        Self::OlderProgram,
        Self::Directory,
        Self::Git,
        Self::Agent,
    ];

    /// Returns the name by which scripts know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Limits => "limits",
            Self::EngineDisk => "engine-disk",
            Self::Native => "native",
            Self::SubIds => "sub-ids",
            Self::Confinement => "confinement",
            Self::ContainerNetwork => "container-network",
            Self::SafeDefaults => "safe-defaults",
            Self::Registry => "registry",
            Self::Certificate => "certificate",
            Self::Access => "access",
            Self::Clock => "clock",
            Self::Proxy => "proxy",
            Self::NetworkCa => "network-ca",
            Self::Credentials => "credentials",
            Self::Disk => "disk",
            Self::Terminal => "terminal",
            Self::Version => "version",
            Self::Settings => "settings",
            Self::Home => "home",
            Self::Store => "store",
            Self::Images => "images",
            Self::Leftovers => "leftovers",
            Self::Definitions => "definitions",
            Self::OlderProgram => "older-program",
            Self::Directory => "directory",
            Self::Git => "git",
            Self::Agent => "agent",
        }
    }

    /// Returns with what it stands.
    pub const fn group(self) -> Group {
        match self {
            Self::Engine
            | Self::Limits
            | Self::EngineDisk
            | Self::Native
            | Self::SubIds
            | Self::Confinement
            | Self::ContainerNetwork
            | Self::SafeDefaults => Group::Engine,
            Self::Registry
            | Self::Certificate
            | Self::Access
            | Self::Clock
            | Self::Proxy
            | Self::NetworkCa
            | Self::Credentials => Group::Network,
            Self::Disk | Self::Terminal => Group::Machine,
            Self::Version
            | Self::Settings
            | Self::Home
            | Self::Store
            | Self::Images
            | Self::Leftovers
            | Self::Definitions
            | Self::OlderProgram => Group::Aicage,
            Self::Directory | Self::Git | Self::Agent => Group::Project,
        }
    }
}

/// What a look at one thing came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// With what it stands.
    pub group: Group,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// Why it matters; always there for a problem.
    pub why: Option<String>,
    /// What to do next, mostly a command to type; nothing where there is nothing to do.
    pub next: Option<String>,
}

impl Finding {
    /// Begins a finding.
    pub fn new(check: Check, state: State, seen: impl Into<String>) -> Self {
        Self {
            check,
            group: check.group(),
            state,
            seen: seen.into(),
            why: None,
            next: None,
        }
    }

    /// It is as it should be.
    pub fn ok(check: Check, seen: impl Into<String>) -> Self {
        Self::new(check, State::Ok, seen)
    }

    /// It is something to know.
    pub fn note(check: Check, seen: impl Into<String>) -> Self {
        Self::new(check, State::Note, seen)
    }

    /// It makes something fail.
    pub fn problem(check: Check, seen: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(check, State::Problem, seen).why(why)
    }

    /// It was not looked at.
    pub fn skipped(check: Check, reason: impl Into<String>) -> Self {
        Self::new(check, State::Skipped, reason)
    }

    /// Says why it matters.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Says what to type next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "aicage doctor --json")]
pub struct Report {
    /// `aicage.doctor/1`
    pub schema: &'static str,
    /// The version of aicage.
    pub version: &'static str,
    /// How many problems there are; the exit code is 1 if there is one.
    pub problems: usize,
    /// How many notes there are.
    pub notes: usize,
    /// How many things were not looked at.
    pub skipped: usize,
    /// What was found, in the order of the report.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Orders and counts findings.
    pub fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (finding.group, finding.check));
        let count = |state| findings.iter().filter(|one| one.state == state).count();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            problems: count(State::Problem),
            notes: count(State::Note),
            skipped: count(State::Skipped),
            findings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_listed_once_in_its_order_under_the_name_that_json_has() {
        let mut sorted = Check::ALL;
        sorted.sort();
        assert_eq!(sorted, Check::ALL);
        for check in Check::ALL {
            let name = serde_json::to_value(check).unwrap();
            assert_eq!(name, check.name());
        }
    }

    #[test]
    fn a_report_counts_and_puts_together_what_belongs_together() {
        let report = Report::of(vec![
            Finding::note(Check::Git, "a"),
            Finding::problem(Check::Disk, "b", "c"),
            Finding::ok(Check::Engine, "d"),
            Finding::skipped(Check::SubIds, "e"),
        ]);
        assert_eq!((report.problems, report.notes, report.skipped), (1, 1, 1));
        let order: Vec<_> = report.findings.iter().map(|one| one.check).collect();
        assert_eq!(
            order,
            [Check::Engine, Check::SubIds, Check::Disk, Check::Git]
        );
    }
}
