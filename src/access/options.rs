//! What the command line says of access: `--allow`, `--deny`, `--git`, `--docker`.

use clap::Args;

use super::kind::{Grant, Kind, Switch, Wish};
use crate::{diagnostic::Diagnostic, exit_status::ExitStatus};

/// What was typed.
#[derive(Clone, Debug, Default, Args)]
pub struct AccessOptions {
    /// Give the agent this kind of access, from now on in this project; may be given several times: gitconfig, gitroot,
    /// githooks, gnupg, sshagent, ssh, docker, and `gitroot:ro` for reading only.
    #[arg(long, value_name = "KIND")]
    pub allow: Vec<Wish>,
    /// Do not give the agent this kind of access, from now on in this project; may be given several times.
    #[arg(long, value_name = "KIND", hide_short_help = true)]
    pub deny: Vec<Kind>,
    /// Give all that git can make use of, or nothing of it, from now on in this project: configuration, repository, signing and
    /// the SSH agent; private SSH keys only with `--allow ssh`.
    #[arg(
        long,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        value_enum
    )]
    pub git: Option<Switch>,
    /// Give the engine's socket, from now on in this project; with it the agent can do on this machine what root can.
    #[arg(long, hide_short_help = true)]
    pub docker: bool,
    /// Store what `--share` gives, so that it is given from now on in this project.
    #[arg(long, requires = "shares", hide_short_help = true)]
    pub keep_shares: bool,
}

/// What was typed of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed {
    /// How much.
    pub grant: Grant,
    /// Whether it was named, and not one of several that were meant.
    pub is_named: bool,
}

impl AccessOptions {
    /// Lays the options after `run` over those before it.
    #[must_use]
    pub fn overridden_by(&self, after: Self) -> Self {
        Self {
            allow: [self.allow.clone(), after.allow].concat(),
            deny: [self.deny.clone(), after.deny].concat(),
            git: after.git.or(self.git),
            docker: self.docker || after.docker,
            keep_shares: self.keep_shares || after.keep_shares,
        }
    }

    /// Returns what was typed of a kind; what names it counts before what means several.
    pub fn of(&self, kind: Kind) -> Option<Typed> {
        let named = |grant| {
            Some(Typed {
                grant,
                is_named: true,
            })
        };
        if self.deny.contains(&kind) {
            return named(Grant::Nothing);
        }
        let allowed = self.allow.iter().rev().find(|wish| wish.kind == kind);
        if let Some(wish) = allowed {
            return named(wish.grant);
        }
        if kind == Kind::Docker && self.docker {
            return named(Grant::Full);
        }
        let grant = kind.by_git(self.git?)?;
        Some(Typed {
            grant,
            is_named: false,
        })
    }

    /// Returns what was typed, as on a command line.
    pub fn words(&self) -> Vec<String> {
        let allowed = self.allow.iter().map(|wish| match wish.grant {
            Grant::Read => format!("--allow={}:ro", wish.kind),
            Grant::Full | Grant::Nothing => format!("--allow={}", wish.kind),
        });
        let denied = self.deny.iter().map(|kind| format!("--deny={kind}"));
        let git = self.git.map(|switch| match switch {
            Switch::On => "--git=on".to_owned(),
            Switch::Off => "--git=off".to_owned(),
        });
        let docker = self.docker.then(|| "--docker".to_owned());
        allowed.chain(denied).chain(git).chain(docker).collect()
    }

    /// Refuses a kind that is both allowed and denied.
    pub fn check(&self) -> Result<(), Diagnostic> {
        let is_allowed = |kind: &Kind| {
            self.allow.iter().any(|wish| wish.kind == *kind) || *kind == Kind::Docker && self.docker
        };
        match self.deny.iter().find(|kind| is_allowed(kind)) {
            Some(kind) => Err(Diagnostic::new(
                "access-twice",
                ExitStatus::Usage,
                format!("access to `{kind}` is both allowed and denied"),
            )
            .hint("leave out the one that is not meant; `--docker` is short for `--allow docker`")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_named_counts_before_all_of_git() {
        let options = AccessOptions {
            allow: vec!["ssh".parse().unwrap()],
            deny: vec![Kind::GitRoot],
            git: Some(Switch::On),
            docker: false,
            keep_shares: false,
        };
        let grant = |kind| options.of(kind).map(|typed| typed.grant);
        assert_eq!(grant(Kind::GitRoot), Some(Grant::Nothing));
        assert_eq!(grant(Kind::Ssh), Some(Grant::Full));
        assert_eq!(grant(Kind::GitConfig), Some(Grant::Full));
        assert_eq!(grant(Kind::Docker), None);
    }
}
