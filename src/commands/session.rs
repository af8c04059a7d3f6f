//! The verbs about sessions: `ps`, `attach`, `logs`, `stop`, `exec`, `shell`.

use clap::Subcommand;

use super::{attach, exec, logs, ps, shell, stop};
use crate::{cli::RunOptions, context::Context, diagnostic::Diagnostic, exit_status::ExitStatus};

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List your sessions.
    Ps(ps::PsArgs),
    /// Join a session that runs.
    Attach(attach::AttachArgs),
    /// Print what a session printed.
    Logs(logs::LogsArgs),
    /// End sessions.
    Stop(stop::StopArgs),
    /// Run a command in a session, as you and in the project's directory.
    Exec(exec::ExecArgs),
    /// Open a shell in a session, or in a new container of an agent's image.
    Shell(Box<shell::ShellArgs>),
}

/// Does what the command says; `options` are those before the verb.
pub async fn session(
    context: &mut Context,
    options: &RunOptions,
    command: SessionCommand,
) -> Result<ExitStatus, Diagnostic> {
    match command {
        SessionCommand::Ps(args) => context.unless_interrupted(ps::ps(context, &args)).await,
        SessionCommand::Attach(args) => attach::attach(context, &args).await,
        SessionCommand::Logs(args) => context.unless_interrupted(logs::logs(context, &args)).await,
        SessionCommand::Stop(args) => context.unless_interrupted(stop::stop(context, &args)).await,
        SessionCommand::Exec(args) => exec::exec(context, &args).await,
        SessionCommand::Shell(args) => {
            let options = options.overridden_by(args.options);
            shell::shell(context, &options, args.which).await
        }
    }
}
