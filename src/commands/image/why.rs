//! `aicage image why`: which layers put, change or remove a path, and which one wins.

use assembler::inspect::{Cause, WhyRow, why as causes};
use clap::Args;
use layer::LayerPath;
use serde::Serialize;

use super::{inspect, mode};
use crate::{
    aside::aside,
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    image_source,
    printer::{Align, Role, Table, bytes, printable},
};

/// What `aicage image why` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage image why aicage:codex-debian /usr/local/bin/codex\n  \
    aicage image why debian:stable etc/os-release --json")]
pub struct WhyArgs {
    /// The image; everything that `aicage image inspect` takes.
    pub image: String,
    /// The path in it.
    pub path: String,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    reference: String,
    path: String,
    /// The layer whose word counts; nothing where the path is not in the image.
    layer: Option<usize>,
    history: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    origin: String,
    #[serde(flatten)]
    row: WhyRow,
}

/// Prints what each layer does to the path; exits with 1 if it is not in the image.
pub async fn why(context: &Context, args: &WhyArgs) -> Result<ExitStatus, Diagnostic> {
    let path = LayerPath::new(args.path.trim_start_matches('/'))?;
    let mut opened = image_source::open(context, &args.image).await?;
    opened.fetch(context).await?;
    let layers = inspect::report(context, &opened)?.layers;
    let (store, lock) = image_source::owned_store(context)?;
    let (image, looked_for) = (opened.image.clone(), path.clone());
    let rows = aside(move || causes(&store, &lock, &image, &looked_for)).await?;
    let history: Vec<Row> = rows
        .into_iter()
        .map(|row| Row {
            origin: layers
                .get(row.index)
                .map(inspect::contributor)
                .unwrap_or_default(),
            row,
        })
        .collect();
    let last = history
        .last()
        .filter(|last| last.row.cause != Cause::Removed);
    let report = Report {
        schema: "aicage.image.why/1",
        reference: opened.name,
        path: format!(
            "/{}",
            if path.is_root() {
                String::new()
            } else {
                path.to_string()
            }
        ),
        layer: last.map(|last| last.row.index),
        history,
    };
    let is_there = report.layer.is_some();
    if context.printer.is_json() {
        context.printer.json(&report)?;
    } else {
        print(context, &report);
    }
    Ok(if is_there {
        ExitStatus::Done
    } else {
        ExitStatus::Failed
    })
}

fn print(context: &Context, report: &Report) {
    let printer = &context.printer;
    let path = printable(&report.path);
    let Some(last) = report.history.last() else {
        printer.talk(&format!(
            "No layer of {} has `{path}`.",
            printable(&report.reference)
        ));
        return;
    };
    let mut table = Table::new([
        ("#", Align::Right),
        ("FROM", Align::Left),
        ("DOES", Align::Left),
        ("MODE", Align::Left),
        ("OWNER", Align::Left),
        ("SIZE", Align::Right),
        ("THROUGH", Align::Elastic),
    ]);
    for Row { origin, row } in &report.history {
        let file = row.file.as_ref();
        let (does, role) = match row.cause {
            Cause::Added => ("adds", Role::Good),
            Cause::Changed => ("replaces", Role::Notable),
            Cause::Removed => ("removes", Role::Notable),
        };
        table.painted_row([
            (row.index.to_string(), None),
            (origin.clone(), None),
            (does.to_owned(), Some(role)),
            (file.map(mode).unwrap_or_default(), None),
            (
                file.map(|file| format!("{}:{}", file.uid, file.gid))
                    .unwrap_or_default(),
                None,
            ),
            (file.map(|file| bytes(file.size)).unwrap_or_default(), None),
            (
                row.through
                    .as_ref()
                    .map(|through| format!("/{through}"))
                    .unwrap_or_default(),
                None,
            ),
        ]);
    }
    printer.table(&table);
    let verdict = match report.layer {
        Some(index) => format!("`{path}` is there from layer {index} ({}).", last.origin),
        None => format!(
            "`{path}` is not there: layer {} ({}) removes it.",
            last.row.index, last.origin
        ),
    };
    printer.line("");
    printer.line(&printable(&verdict));
}
