//! `aicage shell`: a shell in a session that runs, or in a new container like the one that an agent gets.

use clap::Args;

use crate::{
    cli::RunOptions,
    commands::{exec, run},
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{EngineSession, SessionState},
    exit_status::ExitStatus,
    session::{
        inside,
        which::{self, Wanted},
    },
};

/// What `aicage shell` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage shell                in the only session of this directory\n  \
    aicage shell codex-app      in this session\n  \
    aicage shell codex          in the session of this agent in this directory; a new container if there is none\n  \
    aicage shell --new codex    in a new container, whatever runs\n\n\
    A new container has everything that a start of the agent has: image, mounts, variables. Both shells are you, in the \
    project's directory.")]
pub struct ShellArgs {
    /// Which.
    #[command(flatten)]
    pub which: WhichShell,
    /// Options of a new container.
    #[command(flatten)]
    pub options: RunOptions,
}

/// Where the shell is to be.
#[derive(Debug, Args)]
pub struct WhichShell {
    /// In a new container of the agent's image, whatever runs.
    #[arg(long, requires = "which")]
    pub new: bool,
    /// A session or an agent; the only session of this directory if left out.
    #[arg(value_name = "AGENT|NAME")]
    pub which: Option<String>,
}

/// Opens a shell and ends as it ends.
pub async fn shell(
    context: &mut Context,
    options: &RunOptions,
    wanted: WhichShell,
) -> Result<ExitStatus, Diagnostic> {
    let found = match (&wanted.which, wanted.new) {
        (None, _) => {
            let only = which::find(context, None, Wanted::Running);
            Some(context.unless_interrupted(only).await?)
        }
        (Some(_), true) => None,
        (Some(name), false) => {
            let sessions = context.unless_interrupted(which::all(context)).await?;
            meant(context, sessions, name)?
        }
    };
    match (found, wanted.which) {
        (Some(session), _) => {
            refuse_options(options, &session)?;
            exec::run(context, &session, inside::shell()).await
        }
        (None, name) => {
            let name = name.unwrap_or_default();
            run::start(context, options, (&name, run::Program::Shell)).await
        }
    }
}

/// A container that is there already cannot be given anything any more.
fn refuse_options(options: &RunOptions, session: &EngineSession) -> Result<(), Diagnostic> {
    let Some(option) = options.typed.first() else {
        return Ok(());
    };
    let (name, agent) = (&session.name, &session.agent);
    let message = format!("`{option}` is for a new container, and `{name}` runs already");
    let hint = format!("`aicage shell --new {agent}` starts a container with it");
    Err(Diagnostic::new("shell-option", ExitStatus::Usage, message).hint(hint.as_str()))
}

/// The session of that name, or the only one here of that agent; `None` where the name is an agent's that runs nowhere
/// here.
fn meant(
    context: &Context,
    sessions: Vec<EngineSession>,
    name: &str,
) -> Result<Option<EngineSession>, Diagnostic> {
    if sessions.iter().any(|session| session.name == name)
        || !context.catalogue().agents.contains_key(name)
    {
        return which::named(&sessions, name, Wanted::Running).map(Some);
    }
    let mut here: Vec<EngineSession> = sessions
        .into_iter()
        .filter(|session| {
            session.agent == name
                && session.state == SessionState::Running
                && which::is_here(context, session)
        })
        .collect();
    if here.len() > 1 {
        let names: Vec<&str> = here.iter().map(|session| session.name.as_str()).collect();
        return Err(Diagnostic::new(
            "session-ambiguous",
            ExitStatus::Usage,
            format!(
                "{name} runs here {} times: {}",
                here.len(),
                names.join(", ")
            ),
        )
        .hint("say which session by its name, or `--new` for a new container"));
    }
    Ok(here.pop())
}
