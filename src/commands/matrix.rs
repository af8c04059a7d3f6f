//! `aicage matrix`: which agent × base combinations a publisher must build again, and why.

use std::{io::Read as _, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    matrix::{Entry, Place, Row, State, Wish, gather},
    printer::{Align, Table},
    selection::{find_agent, find_base},
};

/// What `aicage matrix` takes.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    aicage matrix --state matrix.json                    what must be built, and why\n  \
    aicage matrix --state matrix.json --format github    a matrix for a job's `strategy`\n  \
    aicage matrix record --state matrix.json --agent codex --base debian\n                                                       \
    after that image was built"
)]
pub struct MatrixArgs {
    #[command(subcommand)]
    verb: Option<MatrixVerb>,
    #[command(flatten)]
    which: Which,
    /// Where the last builds are recorded: a file, or `oci:REF` in a registry. Without one everything was never built.
    #[arg(long, value_name = "FILE|oci:REF")]
    state: Option<Place>,
    /// How it is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: MatrixFormat,
    /// Exit with 5 if anything must be built.
    #[arg(long)]
    check: bool,
}

/// The verbs of `aicage matrix`.
#[derive(Debug, Subcommand)]
pub enum MatrixVerb {
    /// Record what was built; after a good build.
    Record(RecordArgs),
}

/// What `aicage matrix record` takes.
#[derive(Debug, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    which: Which,
    /// Where it is recorded: a file, or `oci:REF` in a registry.
    #[arg(long, value_name = "FILE|oci:REF")]
    state: Place,
    /// What `aicage matrix --format json` printed before the build; without it versions and registries are asked again,
    /// and may say something newer than what was built.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct Which {
    /// Only this agent; may be given several times.
    #[arg(long = "agent", value_name = "AGENT")]
    agents: Vec<String>,
    /// Only this base; may be given several times.
    #[arg(long = "base", value_name = "BASE")]
    bases: Vec<String>,
    /// Run `version.sh` on this machine at once, so that no base is fetched.
    #[arg(long)]
    on_host: bool,
}

/// How the matrix is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MatrixFormat {
    /// For people.
    Text,
    /// For programs, and for `record --from`.
    Json,
    /// `{"include":[…]}` with what must be built, in one line.
    Github,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(expecting = "an object with `schema` and `images`")]
struct MatrixReport {
    schema: String,
    images: Vec<Row>,
}

const SCHEMA: &str = "aicage.matrix/1";
/// The largest report that is read, in bytes.
const REPORT_LIMIT: u64 = 16 << 20;

/// Does what the command says.
pub async fn matrix(context: &Context, args: &MatrixArgs) -> Result<ExitStatus, Diagnostic> {
    if let Some(MatrixVerb::Record(args)) = &args.verb {
        return record(context, args).await;
    }
    let state = match &args.state {
        Some(place) => place.read(context).await?,
        None => State::default(),
    };
    let rows = state.compare(gather(context, &wish(context, &args.which)?).await?);
    let format = if context.printer.is_json() {
        MatrixFormat::Json
    } else {
        args.format
    };
    let is_needed = rows.iter().any(|row| row.build);
    let problems = rows.iter().filter(|row| row.problem.is_some()).count();
    match format {
        MatrixFormat::Text => print(context, &rows),
        MatrixFormat::Github => {
            let include: Vec<_> = rows
                .iter()
                .filter(|row| row.build)
                .map(|row| {
                    json!({
                        "agent": row.agent,
                        "base": row.base,
                        "version": row.now.as_ref().map(|now| &now.version),
                        "reason": row.reasons.join("; "),
                    })
                })
                .collect();
            context
                .printer
                .line(&json!({"include": include}).to_string());
        }
        MatrixFormat::Json => {
            let report = MatrixReport {
                schema: SCHEMA.to_owned(),
                images: rows.clone(),
            };
            let text = serde_json::to_string_pretty(&report).expect("rows are plain data");
            text.lines().for_each(|line| context.printer.line(line));
        }
    }
    if problems > 0 {
        for row in &rows {
            if let Some(problem) = &row.problem {
                let message = format!(
                    "nothing can be said of {} on {}: {problem}",
                    row.agent, row.base
                );
                context.printer.warn(&message);
            }
        }
        return Ok(ExitStatus::Failed);
    }
    Ok(if args.check && is_needed {
        ExitStatus::Difference
    } else {
        ExitStatus::Done
    })
}

async fn record(context: &Context, args: &RecordArgs) -> Result<ExitStatus, Diagnostic> {
    let wish = wish(context, &args.which)?;
    let rows = match &args.from {
        Some(path) => {
            let rows = read_report(&context.settings.user_path(path))?;
            let chosen = |names: &[String], id: &String| names.is_empty() || names.contains(id);
            rows.into_iter()
                .filter(|row| chosen(&wish.agents, &row.agent) && chosen(&wish.bases, &row.base))
                .collect()
        }
        None => State::default().compare(gather(context, &wish).await?),
    };
    let mut entries: Vec<Entry> = Vec::new();
    for row in rows {
        match (row.now, row.problem) {
            (Some(now), _) => entries.push(Entry {
                recorded_at: context.now.clone(),
                ..now
            }),
            (None, problem) => {
                return Err(Diagnostic::new(
                    "matrix-record",
                    ExitStatus::Failed,
                    format!("{} on {} cannot be recorded", row.agent, row.base),
                )
                .caused_by_words(problem.unwrap_or_else(|| "nothing is known of it".to_owned()))
                .hint("nothing was recorded; name what was built with `--agent` and `--base`"));
            }
        }
    }
    if entries.is_empty() {
        return Err(Diagnostic::new(
            "matrix-record",
            ExitStatus::Usage,
            "there is nothing to record: no such agent on no such base",
        )
        .hint("see `aicage matrix`"));
    }
    args.state.record(context, &entries).await?;
    for entry in &entries {
        let line = format!(
            "recorded {} {} on {}",
            entry.agent, entry.version, entry.base
        );
        context.printer.talk(&line);
    }
    Ok(ExitStatus::Done)
}

const WRITE_REPORT: &str = "write it with `aicage matrix --format json > FILE`, and name FILE";

fn read_report(path: &std::path::Path) -> Result<Vec<Row>, Diagnostic> {
    let refused = |reason: String| {
        Diagnostic::new(
            "matrix-from",
            ExitStatus::Usage,
            format!(
                "{} is not what `aicage matrix --format json` printed",
                path.display()
            ),
        )
        .caused_by_words(reason)
        .hint(WRITE_REPORT)
    };
    let mut bytes = Vec::new();
    // It may be a pipe from another command.
    fs_err::File::open(path)
        .and_then(|file| file.take(REPORT_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let message = format!("cannot read {}", path.display());
            Diagnostic::new("matrix-from", ExitStatus::Usage, message)
                .caused_by(Some(&error))
                .hint(WRITE_REPORT)
        })?;
    if bytes.len() as u64 > REPORT_LIMIT {
        return Err(refused("it is larger than 16 MiB".to_owned()));
    }
    let report: MatrixReport =
        serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
    if report.schema != SCHEMA {
        return Err(refused(format!("its schema is {}", report.schema)));
    }
    Ok(report.images)
}

fn wish(context: &Context, which: &Which) -> Result<Wish, Diagnostic> {
    if which.on_host && context.options.offline {
        return Err(Diagnostic::new(
            "offline-on-host",
            ExitStatus::Usage,
            "`--offline` and `--on-host` exclude each other",
        )
        .caused_by_words("the network cannot be kept from a script on this machine")
        .hint("leave one of them out"));
    }
    for agent in &which.agents {
        find_agent(context, agent)?;
    }
    for base in &which.bases {
        find_base(context, base)?;
    }
    Ok(Wish {
        agents: which.agents.clone(),
        bases: which.bases.clone(),
        on_host: which.on_host,
    })
}

fn print(context: &Context, rows: &[Row]) {
    let mut table = Table::new([
        ("AGENT", Align::Left),
        ("BASE", Align::Left),
        ("VERSION", Align::Left),
        ("BUILD", Align::Left),
        ("WHY", Align::Elastic),
    ]);
    for row in rows {
        let version = row.now.as_ref().map(|now| now.version.clone());
        let build = match (&row.problem, row.build) {
            (Some(_), _) => "unknown",
            (None, true) => "yes",
            (None, false) => "no",
        };
        table.row([
            row.agent.clone(),
            row.base.clone(),
            version.unwrap_or_default(),
            build.to_owned(),
            row.reasons.join("; "),
        ]);
    }
    context.printer.table(&table);
    let needed = rows.iter().filter(|row| row.build).count();
    context
        .printer
        .line(&format!("{needed} of {} must be built", rows.len()));
}
