//! `aicage logs`: prints what a session printed.

use clap::Args;

use crate::{
    commands::attach::details,
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{LogsWanted, SessionLog, session_logs},
    exit_status::ExitStatus,
    session::which::{self, Wanted},
};

/// What `aicage logs` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage logs                        of the only session of this directory\n  \
    aicage logs -f --tail 20 codex-app the last 20 lines, and what comes\n\n\
    Engines keep the last 20 MB of a session, as long as the session is there. What an agent drew on a terminal is \
    printed as it drew it.")]
pub struct LogsArgs {
    /// The session; the only one of this directory if left out.
    pub name: Option<String>,
    /// Go on with what is printed from now on, until the session ends.
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<u64>,
    /// The time before each line.
    #[arg(short, long)]
    pub timestamps: bool,
}

/// Prints a session's log.
pub async fn logs(context: &Context, args: &LogsArgs) -> Result<ExitStatus, Diagnostic> {
    let session = which::find(context, args.name.as_deref(), Wanted::Any).await?;
    let details = details(&session).await?;
    if details.log == SessionLog::None {
        return Err(Diagnostic::new(
            "session-without-log",
            ExitStatus::Failed,
            format!("the engine keeps no log of the session `{}`", session.name),
        )
        .hint(format!("`aicage attach {}` shows what it prints", session.name).as_str()));
    }
    let wanted = LogsWanted {
        follow: args.follow,
        tail: args.tail,
        timestamps: args.timestamps,
    };
    session_logs(&session.engine, &details, wanted).await?;
    Ok(ExitStatus::Done)
}
