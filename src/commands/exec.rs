//! `aicage exec`: runs a command in a session.

use std::ffi::OsString;

use clap::Args;

use crate::{
    commands::attach::details,
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{EngineSession, exec_session},
    exit_status::ExitStatus,
    session::{
        inside, talking,
        which::{self, Wanted},
    },
};

/// What `aicage exec` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage exec -- npm test             in the only session of this directory\n  \
    aicage exec codex-app -- git status by name, from anywhere\n  \
    aicage exec codex-app -- cat <file  stdin and stdout are the command's\n\n\
    The command runs as you, in the project's directory, with the agent's variables. On a terminal it gets one. The exit \
    code is the command's.")]
pub struct ExecArgs {
    /// The session; the only one of this directory if left out.
    pub name: Option<String>,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Runs the command and ends as it ends.
pub async fn exec(context: &Context, args: &ExecArgs) -> Result<ExitStatus, Diagnostic> {
    let command = args
        .command
        .iter()
        .cloned()
        .map(super::run::text)
        .collect::<Result<Vec<String>, Diagnostic>>()?;
    let session = which::find(context, args.name.as_deref(), Wanted::Running);
    let session = context.unless_interrupted(session).await?;
    run(context, &session, command).await
}

/// Runs a command in a session.
pub(crate) async fn run(
    context: &Context,
    session: &EngineSession,
    command: Vec<String>,
) -> Result<ExitStatus, Diagnostic> {
    let details = details(session);
    let details = context.unless_interrupted(details).await?;
    let input = talking::our_input();
    let spec = inside::program(&context.settings, &details, (command, input));
    context.interrupt.give_away();
    context.printer.settle();
    let status = exec_session(&session.engine, &session.id, &spec).await?;
    Ok(ExitStatus::Agent(u8::try_from(status).unwrap_or(1)))
}
