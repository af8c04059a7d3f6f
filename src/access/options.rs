//! What the command line says of access: `--allow`, `--deny`, `--git`, `--docker`.

use std::{collections::BTreeSet, ffi::OsString};

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
    #[arg(long, value_name = "KIND")]
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
    #[arg(long)]
    pub docker: bool,
    /// Store what `--share` gives, so that it is given from now on in this project.
    #[arg(long, requires = "shares")]
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
            )),
            None => Ok(()),
        }
    }
}

/// Joins `--git on` to one word, so that the agent after a bare `--git` is not taken for its value. `with_value` are the
/// options whose value is the next word.
pub fn join_git(arguments: Vec<OsString>, with_value: &BTreeSet<String>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(arguments.len());
    let mut rest = arguments.into_iter().peekable();
    joined.extend(rest.next());
    while let Some(word) = rest.next() {
        let text = word.to_str().unwrap_or_default();
        let value = match text {
            "--git" => rest.next_if(|value| value == "on" || value == "off"),
            option if with_value.contains(option) => {
                joined.push(word);
                joined.extend(rest.next());
                continue;
            }
            _ => None,
        };
        // After the agent's name everything is the agent's.
        let is_agents = text != "run" && !text.starts_with('-');
        match value.as_deref().and_then(|value| value.to_str()) {
            Some(value) => joined.push(format!("--git={value}").into()),
            None => joined.push(word),
        }
        if is_agents {
            break;
        }
    }
    joined.extend(rest);
    joined
}

/// Returns the options of a command line whose value is the next word, as they are typed.
pub fn with_value(command: &clap::Command) -> BTreeSet<String> {
    let takes = |argument: &&clap::Arg| {
        argument.get_action().takes_values() && !argument.is_require_equals_set()
    };
    command
        .get_arguments()
        .filter(takes)
        .flat_map(|argument| {
            let long = argument.get_long().map(|long| format!("--{long}"));
            let short = argument.get_short().map(|short| format!("-{short}"));
            long.into_iter().chain(short)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, joined: &str) {
        let words = typed.split(' ').map(OsString::from).collect();
        let with_value = ["--base".to_owned()].into();
        let found: Vec<String> = join_git(words, &with_value)
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        assert_eq!(found.join(" "), joined);
    }

    #[test]
    fn a_bare_git_does_not_swallow_the_agent() {
        check("aicage --git codex on", "aicage --git codex on");
        check("aicage --git off codex", "aicage --git=off codex");
        check(
            "aicage --base on --git off codex",
            "aicage --base on --git=off codex",
        );
        check("aicage run --git on codex", "aicage run --git=on codex");
        check("aicage codex --git off", "aicage codex --git off");
        check("aicage --git off -- codex", "aicage --git=off -- codex");
    }

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
