//! `aicage ps`: the sessions of this user.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use crate::{
    clock,
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{EngineSession, SessionState},
    exit_status::ExitStatus,
    printer::{Align, Table, printable},
    session::{presence, which},
};

/// What `aicage ps` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage ps                 all your sessions, in whatever directory\n  \
    aicage ps --here          those of this directory\n  \
    aicage ps -q              only their names, for scripts\n  \
    aicage ps --json          for programs\n\n\
    A session that was started with `--detach` stays here with its log when it has ended, until `aicage stop` removes it.")]
pub struct PsArgs {
    /// Only the sessions of this directory.
    #[arg(long)]
    pub here: bool,
    /// Only names, one a line.
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    sessions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    id: String,
    agent: String,
    image: String,
    project: String,
    status: SessionState,
    /// Of one that has ended.
    exit_code: Option<i32>,
    /// When it was started.
    since: Option<String>,
    /// Whether anybody is at it.
    attached: bool,
    /// The version of aicage that started it.
    version: Option<String>,
}

/// Lists the sessions, the oldest first.
pub async fn ps(context: &Context, args: &PsArgs) -> Result<ExitStatus, Diagnostic> {
    let mut sessions = which::all(context).await?;
    if args.here {
        sessions.retain(|session| which::is_here(context, session));
    }
    let attended = presence::attended(&context.settings);
    let rows: Vec<Row> = sessions
        .into_iter()
        .map(|session| row(&attended, session))
        .collect();
    let printer = &context.printer;
    if args.quiet {
        for row in rows {
            printer.line(&printable(&row.name));
        }
        return Ok(ExitStatus::Done);
    }
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.ps/1",
            sessions: rows,
        })?;
        return Ok(ExitStatus::Done);
    }
    if rows.is_empty() {
        printer.talk("No session of yours runs; `aicage AGENT` starts one.");
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("AGENT", Align::Left),
        ("STATUS", Align::Left),
        ("STARTED", Align::Left),
        ("PROJECT", Align::Elastic),
        ("IMAGE", Align::Elastic),
    ]);
    for row in rows {
        let status = status(&row);
        let since = row.since.map(|since| clock::ago(&since, &context.now));
        table.row([
            row.name,
            row.agent,
            status,
            since.unwrap_or_default(),
            row.project,
            row.image,
        ]);
    }
    printer.table(&table);
    Ok(ExitStatus::Done)
}

fn row(attended: &BTreeSet<String>, session: EngineSession) -> Row {
    Row {
        attached: attended.contains(&session.id),
        since: clock::time_of(session.created),
        name: session.name,
        id: session.id,
        agent: session.agent,
        image: session.image,
        project: session.project,
        status: session.state,
        exit_code: session.exit,
        version: session.version,
    }
}

fn status(row: &Row) -> String {
    match (row.status, row.exit_code) {
        (SessionState::Running, _) if row.attached => "attached".to_owned(),
        (SessionState::Running, _) => "in background".to_owned(),
        (SessionState::Paused, _) => "paused".to_owned(),
        (SessionState::Starting, _) => "starting".to_owned(),
        (SessionState::Ended, Some(code)) => format!("ended ({code})"),
        (SessionState::Ended, None) => "ended".to_owned(),
    }
}
