//! `aicage image diff`: what differs between the filesystems of two images.

use assembler::inspect::{Cause, ChangeRow, diff as changes_of};
use clap::Args;
use serde::Serialize;

use crate::{
    aside::aside, context::Context, diagnostic::Diagnostic, exit_status::ExitStatus, image_source,
    printer::Role,
};

/// What `aicage image diff` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage image diff debian:12 debian:13\n  \
    aicage image diff aicage:codex-debian docker-daemon:mine:latest --exit-code\n\n\
    `+` is only in the second image, `-` only in the first, `~` in both but not the same. Content is compared by size\n\
    and time.")]
pub struct DiffArgs {
    /// The first image; everything that `aicage image inspect` takes.
    pub before: String,
    /// The second image.
    pub after: String,
    /// Exit with 5 if there is a difference.
    #[arg(long)]
    pub exit_code: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    before: String,
    after: String,
    changes: Vec<ChangeRow>,
}

/// Prints a line for each path that is not the same.
pub async fn diff(context: &Context, args: &DiffArgs) -> Result<ExitStatus, Diagnostic> {
    let mut before = image_source::open(context, &args.before).await?;
    let mut after = image_source::open(context, &args.after).await?;
    before.fetch(context).await?;
    after.fetch(context).await?;
    let (store, lock) = image_source::owned_store(context)?;
    let (old, new) = (before.image, after.image);
    let changes = aside(move || changes_of(&store, &lock, &old, &new)).await?;
    let status = if args.exit_code && !changes.is_empty() {
        ExitStatus::Difference
    } else {
        ExitStatus::Done
    };
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.image.diff/1",
            before: before.name,
            after: after.name,
            changes,
        })?;
        return Ok(status);
    }
    let mut counts = [0_usize; 3];
    for change in &changes {
        let (slot, mark, role) = match change.cause {
            Cause::Added => (0, "+", Role::Good),
            Cause::Removed => (1, "-", Role::Error),
            Cause::Changed => (2, "~", Role::Notable),
        };
        counts[slot] += 1;
        let line = format!(
            "{mark} /{}",
            if change.path == "." { "" } else { &change.path }
        );
        printer.line(&printer.paint(role, &line));
    }
    let [added, removed, changed] = counts;
    printer.talk(&format!(
        "{added} added, {removed} removed, {changed} changed"
    ));
    Ok(status)
}
