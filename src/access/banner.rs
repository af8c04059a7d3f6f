//! What is told at a start: the agent, what it runs in, what it sees of this machine beyond the project, and how to change that.
//!
//! Invariant: pure, from data to lines without colours; the overview shows the same.

use std::path::{Path, PathBuf};

use super::{
    kind::{Grant, Kind},
    settle::{ENGINE_SOCKET, Settled, Settlement},
};
use crate::{
    container_options::{
        Flags,
        defaults::CAPABILITIES,
        mount::MountKind,
        security::{Capability, SecurityOption},
        text,
    },
    engine::session::{Access, SessionMount},
    printer::printable,
};

/// What a banner tells of.
#[derive(Clone, Debug)]
pub struct Banner<'a> {
    /// The agent, as people call it.
    pub agent: &'a str,
    /// The base, and the extensions on it.
    pub parts: Vec<&'a str>,
    /// The image.
    pub image: &'a str,
    /// What it runs in, and why in that.
    pub engine: String,
    /// The project.
    pub project: &'a Path,
    /// The home directory, which is shown as `~`.
    pub home: &'a Path,
    /// As whom it runs: name, user and group id.
    pub user: (&'a str, u32, u32),
    /// What it gets.
    pub access: &'a Settlement,
    /// What else it sees: its own state and what is shared.
    pub mounts: &'a [SessionMount],
    /// What was asked of the container, over the mounts.
    pub options: &'a Flags,
}

/// How a line begins, before what it says.
const LABEL: usize = 9;

impl Banner<'_> {
    /// Returns the lines: a first one, and then a label and what it is about.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} on {} ({})",
            printable(self.agent),
            self.parts.join(" + "),
            self.image
        )];
        let mut labelled = |label: &str, texts: Vec<String>| {
            for (at, text) in texts.into_iter().enumerate() {
                let label = if at == 0 { label } else { "" };
                lines.push(format!("  {label:LABEL$}{text}"));
            }
        };
        let (name, uid, gid) = self.user;
        let author = self.access.author.as_ref();
        let author = author.map(|author| format!(", commits as {}", printable(author)));
        labelled(
            "runs as",
            vec![format!(
                "{} ({uid}:{gid}) in {}{}",
                printable(name),
                self.shown(self.project),
                author.unwrap_or_default()
            )],
        );
        labelled("in", vec![printable(&self.engine)]);
        labelled("sees", self.seen());
        labelled("may", self.loosened().into_iter().collect());
        labelled("not", self.withheld());
        labelled(
            "change",
            vec!["with `--allow KIND`, `--deny KIND`, `--share PATH`; they are remembered, but for `--share`".to_owned()],
        );
        lines
    }

    fn seen(&self) -> Vec<String> {
        let given = self.access.kinds.iter().filter(|one| self.is_told(one));
        let mut texts: Vec<String> = given.map(|one| self.given(one)).collect();
        let covered: Vec<&PathBuf> = self
            .access
            .kinds
            .iter()
            .flat_map(|one| one.offer.mounts(one.grant).iter())
            .map(|mount| &mount.target)
            .collect();
        let has_socket = self.access.grant(Kind::Docker) != Grant::Nothing;
        let others = self.mounts.iter().filter(|mount| {
            mount.target != self.project
                && !covered.contains(&&mount.target)
                && !mount.target.starts_with("/run/aicage")
                && (!has_socket || mount.target != Path::new(ENGINE_SOCKET))
        });
        texts.extend(others.map(|mount| {
            let access = match mount.access {
                Access::ReadOnly => "read only",
                Access::ReadWrite => "writable",
            };
            format!("{} ({access})", self.shown(&mount.target))
        }));
        texts.extend(self.mounted_by_options());
        texts
    }

    /// What `-v` and `--mount` show; what is in memory only is nothing of this machine.
    fn mounted_by_options(&self) -> Vec<String> {
        let volumes = self.options.volume.iter().map(|volume| {
            let access = if volume.is_writable() {
                Access::ReadWrite
            } else {
                Access::ReadOnly
            };
            (volume.source.as_deref(), volume.target.as_str(), access)
        });
        let mounts = self.options.mount.iter();
        let mounts = mounts
            .filter(|mount| mount.kind != MountKind::Tmpfs)
            .map(|mount| {
                let access = if mount.read_only {
                    Access::ReadOnly
                } else {
                    Access::ReadWrite
                };
                (mount.source.as_deref(), mount.target.as_str(), access)
            });
        volumes
            .chain(mounts)
            .filter_map(|(source, target, access)| {
                let source = source?;
                let access = match access {
                    Access::ReadOnly => "read only",
                    Access::ReadWrite => "writable",
                };
                let what = self.shown(Path::new(source));
                Some(if source == target {
                    format!("{what} ({access})")
                } else {
                    format!("{what} at {} ({access})", printable(target))
                })
            })
            .collect()
    }

    /// What the container may do or reach more than others, as it is typed.
    fn loosened(&self) -> Option<String> {
        let options = self.options;
        let needed =
            |capability: &Capability| CAPABILITIES.contains(&capability.to_string().as_str());
        let is_bound =
            |option: &SecurityOption| matches!(option, SecurityOption::NoNewPrivileges(true));
        let more = Flags {
            device: options.device.clone(),
            gpus: options.gpus.clone(),
            privileged: options.privileged,
            cap_add: options
                .cap_add
                .iter()
                .filter(|&one| !needed(one))
                .cloned()
                .collect(),
            security_opt: options
                .security_opt
                .iter()
                .filter(|&one| !is_bound(one))
                .cloned()
                .collect(),
            network: options
                .network
                .clone()
                .filter(|network| network.to_string() == "host"),
            ..Flags::default()
        };
        let words = more.words();
        (!words.is_empty()).then(|| printable(&text::join(&words)))
    }

    fn given(&self, one: &Settled) -> String {
        let what = self.tilde(&one.offer.what);
        match (one.offer.kind, one.grant) {
            (Kind::GitConfig, _) => format!("git's configuration: {what} (read only)"),
            (Kind::GitRoot, Grant::Full) => match self.written(one) {
                written if written == what => {
                    let hooks = match self.access.grant(Kind::GitHooks) {
                        Grant::Nothing => ", but for hooks and config",
                        Grant::Read | Grant::Full => "",
                    };
                    format!("the repository {what} (writable{hooks})")
                }
                written => format!("the repository {what} (read only; writable: {written})"),
            },
            (Kind::GitRoot, _) => format!(
                "the repository {what} (read only, so that nothing can be committed; `--allow gitroot`)"
            ),
            (Kind::GitHooks, _) if self.access.grant(Kind::GitRoot) == Grant::Full => {
                format!("{what} (writable, and git on this machine runs them)")
            }
            (Kind::GitHooks, _) => format!("{what} (read only, but with `--allow gitroot`)"),
            (Kind::Ssh, _) => format!("{what} (read only)"),
            (Kind::Docker, _) => format!("{what}: root on this machine"),
            (Kind::SshAgent | Kind::GnuPg, _) => what,
        }
    }

    fn written(&self, one: &Settled) -> String {
        let mut written = one.offer.full.iter();
        let written = written.find(|mount| mount.access == Access::ReadWrite);
        written.map_or_else(String::new, |mount| self.shown(&mount.target))
    }

    /// What would be of use here and is not given.
    fn withheld(&self) -> Vec<String> {
        let kinds = self.access.kinds.iter();
        let of_use = kinds.filter(|one| {
            one.grant == Grant::Nothing
                && (one.offer.question.is_some() || one.offer.kind == Kind::GitConfig)
        });
        of_use
            .map(|one| {
                format!(
                    "{} (`--allow {}`)",
                    self.tilde(&one.offer.what),
                    one.offer.kind
                )
            })
            .collect()
    }

    /// Whether it is worth a line: hooks in the project itself are the project's, and those of what is not seen are not seen.
    fn is_told(&self, one: &Settled) -> bool {
        let is_seen = self.access.grant(Kind::GitRoot) != Grant::Nothing;
        one.grant != Grant::Nothing
            && (one.offer.kind != Kind::GitHooks || is_seen && one.offer.usual == Grant::Nothing)
    }

    fn shown(&self, path: &Path) -> String {
        self.tilde(&printable(&path.display().to_string()))
    }

    fn tilde(&self, text: &str) -> String {
        let home = self.home.display().to_string();
        match text.strip_prefix(&home) {
            Some(rest) if home.len() > 1 && rest.starts_with('/') => format!("~{rest}"),
            Some(_) | None => text.to_owned(),
        }
    }
}
