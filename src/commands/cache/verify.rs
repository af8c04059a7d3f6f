//! `aicage cache verify`: reads everything and names what is broken.

use assembler::store::{Problem, StoreError, VerifyReport};
use clap::Args;
use serde::Serialize;

use super::{prune::PATIENCE, with_unpacked};
use crate::{
    aside::aside,
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Printer, Role, bytes, printable},
};

/// What `aicage cache verify` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage cache verify          exit code 1 if anything is broken\n  \
    aicage cache verify --fix    remove what is broken; the next run fetches or makes it again")]
pub struct VerifyArgs {
    /// Remove what is broken, so that it is fetched or made again.
    #[arg(long)]
    pub fix: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    fixed: bool,
    #[serde(flatten)]
    found: VerifyReport,
}

/// Reads everything; exits with 1 if something is broken and was not put right.
pub async fn verify(context: &Context, args: &VerifyArgs) -> Result<ExitStatus, Diagnostic> {
    // Not the context's store: its shared lock would keep us from having the store to ourselves.
    let store = context.open_store()?;
    let fix = args.fix;
    let native = context.settings.native();
    let printer = context.printer.clone();
    let meter = printer.meter("verifying");
    let found = aside(move || {
        let lock = store.share()?;
        let mut found = store.verify(&lock, &|so_far| meter.set(so_far.done, so_far.total))?;
        let unpacked = with_unpacked(&native, |inside| store.verify_rootfs(&lock, inside))?;
        found.problems.extend(unpacked);
        drop(lock);
        if fix && found.problems.iter().any(is_repaired) {
            // Whoever uses the store may be reading what goes, and may be writing it anew.
            let lock = store.exclusive(PATIENCE)?;
            store.repair(&lock, &found)?;
            with_unpacked(&native, |inside| {
                store.repair_rootfs(&lock, &found.problems, inside)
            })?;
        }
        Ok::<_, StoreError>(found)
    })
    .await?;
    let left = found
        .problems
        .iter()
        .any(|problem| !args.fix || !is_repaired(problem));
    let status = if left {
        ExitStatus::Failed
    } else {
        ExitStatus::Done
    };
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.cache.verify/1",
            fixed: args.fix,
            found,
        })?;
        return Ok(status);
    }
    for problem in &found.problems {
        let word = if args.fix && is_repaired(problem) {
            printer.paint(Role::Notable, "repaired:")
        } else {
            printer.paint(Role::Error, "broken:")
        };
        printer.line(&format!("{word} {}", printable(&words(problem))));
    }
    sum_up(&printer, &found, args);
    Ok(status)
}

fn sum_up(printer: &Printer, found: &VerifyReport, args: &VerifyArgs) {
    let VerifyReport {
        blobs,
        bytes: size,
        problems,
    } = found;
    let read = format!("{blobs} blobs, {}", bytes(*size));
    if problems.is_empty() {
        printer.line(&format!("{read}: all as they should be"));
        return;
    }
    printer.line(&format!("{read}: {} broken", problems.len()));
    printer.talk(if args.fix {
        "What was removed is fetched or made again when it is needed."
    } else {
        "`aicage cache verify --fix` removes what is broken, so that it is fetched or made again."
    });
}

/// Tells whether `--fix` puts this right; the rest comes right when the image is pulled or built again.
fn is_repaired(problem: &Problem) -> bool {
    match problem {
        Problem::Corrupt { .. }
        | Problem::Record { .. }
        | Problem::Tree { .. }
        | Problem::Unpacked { .. }
        | Problem::Layout { .. } => true,
        Problem::Stray { .. }
        | Problem::Unreadable { .. }
        | Problem::Missing { .. }
        | Problem::Image { .. } => false,
    }
}

fn words(problem: &Problem) -> String {
    match problem {
        Problem::Corrupt {
            digest,
            found,
            size,
            images,
        } => format!(
            "blob {digest} ({}) hashes to {found}{}",
            bytes(*size),
            of(images)
        ),
        Problem::Unreadable {
            digest,
            reason,
            images,
        } => format!("blob {digest} cannot be read: {reason}{}", of(images)),
        Problem::Missing { digest, images } => format!("blob {digest} is not there{}", of(images)),
        Problem::Stray { path } => format!("{} is no blob", path.display()),
        Problem::Image { image, reason } => format!("image {image} cannot be used: {reason}"),
        Problem::Record { path } => format!("the record {} cannot be read", path.display()),
        Problem::Tree { path } => format!("the path index {} cannot be read", path.display()),
        Problem::Unpacked { path, differences } => {
            let first = differences.first().map(String::as_str).unwrap_or_default();
            let more = match differences.len() {
                0 | 1 => String::new(),
                count => format!(", and {} more", count - 1),
            };
            format!("the unpacked layer {}: {first}{more}", path.display())
        }
        Problem::Layout { path } => format!("{} is not what it should be", path.display()),
    }
}

fn of(images: &[String]) -> String {
    if images.is_empty() {
        "; no image has it".to_owned()
    } else {
        format!("; part of {}", images.join(", "))
    }
}
