//! What is told at a start: the agent, what it runs in, what it sees of this machine beyond the project, and how to change that.
//!
//! Invariant: pure, from data to lines without colours; the overview shows the same.

use std::path::{Path, PathBuf};

use super::{
    kind::{Grant, Kind},
    settle::{Settled, Settlement},
};
use crate::{
    engine::docker::{Access, SessionMount},
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
        labelled("sees", self.seen());
        labelled("not", self.withheld());
        labelled(
            "change",
            vec!["with `--allow KIND`, `--deny KIND`, `--share PATH`; they are remembered, but for `--share`".to_owned()],
        );
        lines
    }

    fn seen(&self) -> Vec<String> {
        let given = self.access.kinds.iter().filter(|one| one.is_told());
        let mut texts: Vec<String> = given.map(|one| self.given(one)).collect();
        let covered: Vec<&PathBuf> = self
            .access
            .kinds
            .iter()
            .flat_map(|one| one.offer.mounts(one.grant).iter())
            .map(|mount| &mount.target)
            .collect();
        let others = self.mounts.iter().filter(|mount| {
            mount.target != self.project
                && !covered.contains(&&mount.target)
                && !mount.target.starts_with("/run/aicage")
                && mount.target != Path::new("/var/run/docker.sock")
        });
        texts.extend(others.map(|mount| {
            let access = match mount.access {
                Access::ReadOnly => "read only",
                Access::ReadWrite => "writable",
            };
            format!("{} ({access})", self.shown(&mount.target))
        }));
        texts
    }

    fn given(&self, one: &Settled) -> String {
        let what = self.tilde(&one.offer.what);
        match (one.offer.kind, one.grant) {
            (Kind::GitConfig, _) => format!("git's configuration: {what} (read only)"),
            (Kind::GitRoot, Grant::Full) => match self.written(one) {
                written if written == what => {
                    format!("the repository {what} (writable, but for hooks and config)")
                }
                written => format!("the repository {what} (read only; writable: {written})"),
            },
            (Kind::GitRoot, _) => format!(
                "the repository {what} (read only, so that nothing can be committed; `--allow gitroot`)"
            ),
            (Kind::GitHooks, _) => format!("{what} (writable, and git on this machine runs them)"),
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

impl Settled {
    /// Whether it is worth a line: hooks in the project itself are the project's.
    fn is_told(&self) -> bool {
        self.grant != Grant::Nothing
            && (self.offer.kind != Kind::GitHooks || self.offer.usual == Grant::Nothing)
    }
}
