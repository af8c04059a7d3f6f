//! `aicage stop`: ends sessions.

use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{EngineSession, stop_session},
    exit_status::ExitStatus,
    session::{
        presence,
        which::{self, Wanted},
    },
};

/// What `aicage stop` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage stop                  the only session of this directory\n  \
    aicage stop codex-app codex-app-2\n  \
    aicage stop --all            all of yours, in whatever directory\n  \
    aicage stop -t 60 codex-app  give it a minute to end by itself\n\n\
    A session that has ended and was kept for its log is removed.")]
pub struct StopArgs {
    /// The sessions; the only one of this directory if left out.
    #[arg(conflicts_with = "all")]
    pub names: Vec<String>,
    /// All of yours.
    #[arg(long)]
    pub all: bool,
    /// How long an agent may take to end before it is killed.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    pub time: u32,
}

/// How long whoever talks with a session may take to see its end.
const THEIRS: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    stopped: Vec<String>,
}

/// Ends the sessions, side by side; names those that are gone.
pub async fn stop(context: &Context, args: &StopArgs) -> Result<ExitStatus, Diagnostic> {
    let sessions = meant(context, args).await?;
    let attended = presence::attended(&context.settings);
    let endings = sessions.iter().map(|session| {
        let theirs = if attended.contains(&session.id) {
            THEIRS
        } else {
            Duration::ZERO
        };
        async move {
            let outcome = stop_session(&session.engine, &session.id, (args.time, theirs)).await;
            (session, outcome)
        }
    });
    let mut stopped = Vec::new();
    let mut outcome = Ok(());
    for (session, ended) in join_all(endings).await {
        match ended {
            Ok(_) => stopped.push(session.name.clone()),
            Err(error) => outcome = outcome.and(Err(Diagnostic::from(error))),
        }
    }
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.stop/1",
            stopped,
        })?;
    } else {
        for name in &stopped {
            printer.line(name);
        }
        if sessions.is_empty() {
            printer.talk("No session of yours runs.");
        }
    }
    outcome.map(|()| ExitStatus::Done)
}

/// All that are named are there, or none is ended.
async fn meant(context: &Context, args: &StopArgs) -> Result<Vec<EngineSession>, Diagnostic> {
    if args.all {
        return which::all(context).await;
    }
    if args.names.is_empty() {
        return Ok(vec![which::find(context, None, Wanted::Any).await?]);
    }
    let sessions = which::all(context).await?;
    let mut meant: Vec<EngineSession> = Vec::new();
    for name in &args.names {
        let session = which::named(&sessions, name, Wanted::Any)?;
        if meant.iter().all(|other| other.id != session.id) {
            meant.push(session);
        }
    }
    Ok(meant)
}
