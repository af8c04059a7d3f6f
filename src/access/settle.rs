//! Settles what an agent gets: flags, what is stored, questions, what is usual; in this order, each kind for itself.
//!
//! Invariant: an answer is stored before anything is built or started. What is typed and cannot be given is an error; what
//! is only stored and cannot be given is told, and not given.

use std::{collections::BTreeMap, os::unix::fs::FileTypeExt as _, path::Path};

use super::{
    detect::{Detected, detect},
    gnupg,
    kind::{Grant, Kind},
    offer::{AccessOffer, writable},
    options::{AccessOptions, Typed},
};
use crate::{
    cli::RunOptions,
    context::Context,
    definition::agent::AgentDefinition,
    diagnostic::Diagnostic,
    engine::{Engine, docker::Endpoint, session::SessionMount},
    exit_status::ExitStatus,
    printer::printable,
    project::Projects,
    prompt::{self, Usually},
    selection::Choice,
};

/// The path at which every client looks for the engine.
pub(super) const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// What is given of each kind that there is.
#[derive(Clone, Debug, Default)]
pub struct Settlement {
    /// The kinds, in their order.
    pub kinds: Vec<Settled>,
    /// Who git says commits here.
    pub author: Option<String>,
}

/// What is given of one kind.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What there is.
    pub offer: AccessOffer,
    /// How much of it is given.
    pub grant: Grant,
}

/// Settles what the agent gets in this project; asks where nothing was said yet.
pub async fn settle(
    context: &Context,
    agent: &AgentDefinition,
    options: &RunOptions,
) -> Result<Settlement, Diagnostic> {
    let typed = &options.access;
    typed.check()?;
    let Detected {
        mut offers,
        notes,
        author,
        missing,
    } = detect(context, &agent.id, typed).await?;
    for note in notes {
        context.warn_once(note);
    }
    refuse_missing(&offers, typed)?;
    for kind in missing.into_iter().filter(|kind| typed.of(*kind).is_none()) {
        tell_missing(context, kind);
    }
    refuse_without_socket(context, &mut offers, typed).await;
    let mut kept = Vec::new();
    let mut kinds = Vec::new();
    for offer in offers {
        let flag = typed.of(offer.kind);
        let grant = if let Some(flag) = flag {
            of_flag(&offer, flag)?
        } else if is_asked(context, &offer, &options.choice) {
            let grant = ask(context, agent, &offer).await?;
            kept.push((offer.kind, grant));
            grant
        } else {
            tell_refused(context, &offer);
            offer.unasked()
        };
        let grant = if offer.kind == Kind::GnuPg && grant == Grant::Full && !context.is_dry() {
            listening(context, &offer, flag)?
        } else {
            grant
        };
        kinds.push(Settled { offer, grant });
    }
    let flags = Kind::ALL.into_iter();
    kept.extend(flags.filter_map(|kind| Some((kind, typed.of(kind)?.grant))));
    keep(context, &agent.id, &kept)?;
    Ok(Settlement { kinds, author })
}

/// Stores what was said, for an agent in this project.
pub fn keep(context: &Context, agent: &str, answers: &[(Kind, Grant)]) -> Result<(), Diagnostic> {
    let keys: BTreeMap<&str, Option<bool>> = answers
        .iter()
        .flat_map(|(kind, grant)| kind.to_store(*grant))
        .collect();
    if !keys.is_empty() && !context.is_dry() {
        let settings = &context.settings;
        Projects::open(settings).set_mounts((&settings.directory, agent), &keys)?;
    }
    Ok(())
}

/// Says why a kind is not there, and what would help; nothing for what is always there, or is of no use without.
fn absence(kind: Kind) -> Option<(&'static str, &'static str)> {
    match kind {
        Kind::SshAgent => Some((
            "there is no SSH agent: `SSH_AUTH_SOCK` names no socket",
            "`eval \"$(ssh-agent)\"; ssh-add` starts one; `--allow ssh` gives the private keys themselves",
        )),
        Kind::Ssh => Some((
            "there is no directory `~/.ssh`",
            "`--allow sshagent` gives the keys of an SSH agent",
        )),
        Kind::GnuPg => Some((
            "there are no keys of gpg: `gpgconf` cannot be run, or there is no `~/.gnupg`",
            "`gpg --gen-key` makes one",
        )),
        Kind::GitConfig | Kind::GitRoot | Kind::GitHooks | Kind::Docker => None,
    }
}

/// Refuses what was named and is not there.
fn refuse_missing(offers: &[AccessOffer], typed: &AccessOptions) -> Result<(), Diagnostic> {
    let is_wanted = |kind: &Kind| {
        let typed = typed.of(*kind);
        typed.is_some_and(|typed| typed.is_named && typed.grant == Grant::Full)
    };
    for kind in Kind::ALL.into_iter().filter(is_wanted) {
        if let Some((why, hint)) = absence(kind)
            && !offers.iter().any(|offer| offer.kind == kind)
        {
            return Err(Diagnostic::new("access-missing", ExitStatus::Usage, why).hint(hint));
        }
    }
    Ok(())
}

/// Tells of what was agreed to and is not there.
fn tell_missing(context: &Context, kind: Kind) {
    if let Some((why, hint)) = absence(kind) {
        context.printer.warn(&format!(
            "{why}; {hint}; `--deny {kind}` has it so without a word"
        ));
    }
}

/// Refuses the engine's socket where the engine has none on this machine, before anybody's yes to it is stored.
async fn refuse_without_socket(
    context: &Context,
    offers: &mut [AccessOffer],
    typed: &AccessOptions,
) {
    let docker = offers.iter_mut().find(|offer| offer.kind == Kind::Docker);
    let Some(offer) = docker else { return };
    let wanted = typed.of(Kind::Docker).map(|typed| typed.grant);
    if wanted.or(offer.stored).unwrap_or(offer.usual) == Grant::Nothing {
        return;
    }
    offer.refused = refuse_absent_socket(context).await.err();
}

/// Refuses the engine's socket where the engine has none on this machine.
pub async fn refuse_absent_socket(context: &Context) -> Result<(), Diagnostic> {
    match context.engine().await {
        Ok(engine) => engine_socket(engine).map(drop),
        // Without an engine nothing starts at all, which is told then.
        Err(_) => Ok(()),
    }
}

fn of_flag(offer: &AccessOffer, flag: Typed) -> Result<Grant, Diagnostic> {
    match &offer.refused {
        Some(refused) if flag.grant != Grant::Nothing && flag.is_named => Err(refused.clone()),
        Some(_) => Ok(Grant::Nothing),
        None => Ok(flag.grant),
    }
}

/// Makes sure that gpg's agent listens; who did not name it starts without.
fn listening(
    context: &Context,
    offer: &AccessOffer,
    flag: Option<Typed>,
) -> Result<Grant, Diagnostic> {
    match gnupg::start(offer) {
        Ok(()) => Ok(Grant::Full),
        Err(diagnostic) if flag.is_some_and(|flag| flag.is_named) => Err(diagnostic),
        Err(diagnostic) => {
            context.printer.warn(&diagnostic.sentence());
            Ok(Grant::Nothing)
        }
    }
}

fn is_asked(context: &Context, offer: &AccessOffer, wanted: &Choice) -> bool {
    let is_open = offer.stored.is_none() || wanted.choose;
    is_open && offer.question.is_some() && offer.refused.is_none() && prompt::can_ask(context)
}

fn tell_refused(context: &Context, offer: &AccessOffer) {
    if let Some(refused) = &offer.refused
        && offer.stored != Some(Grant::Nothing)
    {
        let words = format!(
            "{}; it is not mounted, and `--deny {}` has it so without a word",
            refused.sentence(),
            offer.kind
        );
        context.printer.warn(&words);
    }
}

/// Asks for one kind. Enter alone gives nothing away that was not given before.
async fn ask(
    context: &Context,
    agent: &AgentDefinition,
    offer: &AccessOffer,
) -> Result<Grant, Diagnostic> {
    let name = printable(&agent.settings.agent_full_name);
    let printer = &context.printer;
    printer.ask_about(offer.question.as_deref().unwrap_or_default());
    let (question, no) = match offer.kind {
        Kind::GitRoot => {
            printer.ask_about(
                "  Its hooks and configuration stay read only, and so does all the rest of it.",
            );
            (format!("Let {name} write there?"), Grant::Read)
        }
        Kind::SshAgent | Kind::GnuPg => {
            printer.ask_about(
                "  All keys in it can be used while the session runs, none can be read or kept.",
            );
            (format!("Let {name} use them?"), Grant::Nothing)
        }
        Kind::GitConfig | Kind::GitHooks | Kind::Ssh | Kind::Docker => {
            (format!("Let {name} have {}?", offer.what), Grant::Nothing)
        }
    };
    let usually = if offer.stored == Some(Grant::Full) {
        Usually::Yes
    } else {
        Usually::No
    };
    if prompt::confirm(context, &question, usually).await? {
        return Ok(Grant::Full);
    }
    // Who never saw the repository is not shown it for having been asked.
    Ok(no.min(offer.stored.unwrap_or(no)))
}

/// What goes into a session.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// What is mounted.
    pub mounts: Vec<SessionMount>,
    /// What is read only where a mount around it shows it, and is not mounted otherwise.
    pub withheld: Vec<SessionMount>,
    /// The variables that go with it.
    pub variables: BTreeMap<String, String>,
}

impl Settlement {
    /// Returns what is mounted, and the variables that go with it.
    pub fn given(&self, engine: &Engine) -> Result<Given, Diagnostic> {
        let mut given = Given::default();
        for Settled { offer, grant } in &self.kinds {
            if *grant == Grant::Nothing {
                given.withheld.extend_from_slice(&offer.withheld);
                continue;
            }
            given.mounts.extend_from_slice(offer.mounts(*grant));
            given.variables.extend(offer.variables.clone());
            if offer.kind == Kind::Docker {
                given.mounts.push(engine_socket(engine)?);
            }
        }
        Ok(given)
    }

    /// Returns how much is given of a kind.
    pub fn grant(&self, kind: Kind) -> Grant {
        let found = self.kinds.iter().find(|settled| settled.offer.kind == kind);
        found.map_or(Grant::Nothing, |settled| settled.grant)
    }
}

/// The engine's socket, where every client looks for it, so that no variable need name it.
fn engine_socket(engine: &Engine) -> Result<SessionMount, Diagnostic> {
    let Some(docker) = engine.docker() else {
        return Err(Diagnostic::new(
            "docker-socket",
            ExitStatus::Refused,
            "there is no engine's socket: the session runs on this machine itself, without Docker or Podman",
        )
        .hint("`--deny docker` starts without; `--engine docker` or `--engine podman` runs it in an engine"));
    };
    let endpoint = docker.endpoint();
    if let Endpoint::Unix(path) = endpoint {
        let is_socket = fs_err::metadata(path).is_ok_and(|there| there.file_type().is_socket());
        if is_socket {
            return Ok(SessionMount {
                target: Path::new(ENGINE_SOCKET).to_owned(),
                ..writable(path)
            });
        }
    }
    Err(Diagnostic::new(
        "docker-socket",
        ExitStatus::Refused,
        format!("the engine at {endpoint} has no socket on this machine that could be mounted"),
    )
    .hint("`--deny docker` starts without; `-e DOCKER_HOST=…` names an address that is reached from inside"))
}
