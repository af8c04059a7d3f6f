//! `aicage attach`: joins a session that runs.

use clap::Args;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{DetachKeys, EngineSession, SessionDetails, SessionInput},
    exit_status::ExitStatus,
    session::{
        talking,
        which::{self, Wanted},
    },
};

/// What `aicage attach` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage attach             the only session of this directory\n  \
    aicage attach codex-app   by name, from anywhere\n\n\
    ctrl-p ctrl-q leaves again and the session runs on, as does closing the terminal. The exit code is the agent's if it \
    ends meanwhile. A session without a terminal is only shown: its input is whoever started it.")]
pub struct AttachArgs {
    /// The session; the only one of this directory if left out.
    pub name: Option<String>,
    /// Keys that leave the session running, `none` for none; the usual are ctrl-p,ctrl-q.
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<DetachKeys>,
}

/// Joins the session until it ends or is left.
pub async fn attach(context: &Context, args: &AttachArgs) -> Result<ExitStatus, Diagnostic> {
    let found = async {
        let session = which::find(context, args.name.as_deref(), Wanted::Running).await?;
        let details = details(&session).await?;
        Ok((session, details))
    };
    let (session, details) = context.unless_interrupted(found).await?;
    let name = &session.name;
    let input = match (details.terminal, talking::our_input()) {
        (true, SessionInput::Terminal) => SessionInput::Terminal,
        (true, SessionInput::Pipe | SessionInput::Empty) => {
            return Err(Diagnostic::new(
                "attach-without-terminal",
                ExitStatus::Usage,
                format!("the session `{name}` is on a terminal, and there is none here"),
            )
            .hint(format!("`aicage logs --follow {name}` shows what it prints").as_str()));
        }
        (false, _) => SessionInput::Empty,
    };
    context.interrupt.give_away();
    context.printer.settle();
    talking::join(
        context,
        (&session, &details),
        (input, args.detach_keys.as_ref()),
    )
    .await
}

/// Asks what a session is like that was found a moment ago.
pub(crate) async fn details(session: &EngineSession) -> Result<SessionDetails, Diagnostic> {
    let details = session.engine.session_details(&session.id).await?;
    details.ok_or_else(|| {
        let name = &session.name;
        Diagnostic::new(
            "session-gone",
            ExitStatus::Failed,
            format!("the session `{name}` has just ended"),
        )
        .hint("`aicage ps` shows what runs")
    })
}
