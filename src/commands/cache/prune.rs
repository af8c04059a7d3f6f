//! `aicage cache prune`: removes what nothing needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use assembler::store::{PruneKind, PrunePlan, PrunePolicy};
use clap::Args;
use serde::Serialize;

use super::with_unpacked;
use crate::{
    aside::aside,
    clock,
    context::Context,
    diagnostic::Diagnostic,
    engine::{Kept, KeptKind, UnusedCaches, native},
    exit_status::ExitStatus,
    leftovers::{self, Leftover, LeftoverKind, LogLimits},
    printer::{Align, Answer, Printer, Table, bytes},
};

/// How long others may go on using the store before we give up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);
/// How long a step's layer stays after its last use, if nothing else is said.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// What `aicage cache prune` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage cache prune --dry-run           what would go\n  \
    aicage cache prune                     what no image has and no step used for 30 days\n  \
    aicage cache prune --older-than 7d -y  sooner, without asking\n  \
    aicage cache prune --all --yes         all that no image has\n\n\
    Images that have a name stay; `aicage image rm` takes the name away.\n\
    Caches of `RUN --mount=type=cache` go as layers of steps do: after 30 days without use, sooner with --older-than, all with --all. \
    Those that Docker or Podman keeps are volumes of theirs: `docker volume ls --filter label=io.github.aicage.cache` lists them.")]
pub struct PruneArgs {
    /// How long a layer stays after its last use, such as `30d`, `12h` or `2w`.
    #[arg(long, value_name = "TIME", value_parser = parse_age, conflicts_with = "all")]
    pub older_than: Option<Duration>,
    /// Remove all that no image has, however young.
    #[arg(long)]
    pub all: bool,
    /// Only say what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    dry_run: bool,
    bytes: u64,
    items: Vec<Item>,
}

/// What became of a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Planned,
    Removed,
}

/// What a file that goes is, in the store or beside it.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Kind {
    Stored(PruneKind),
    Beside(LeftoverKind),
    Kept(KeptKind),
}

#[derive(Serialize)]
struct Item {
    kind: Kind,
    path: PathBuf,
    bytes: u64,
}

/// Removes what nothing needs, after asking.
pub async fn prune(context: &Context, args: &PruneArgs) -> Result<ExitStatus, Diagnostic> {
    let policy = policy(context, args)?;
    // Not the context's store: its shared lock would keep us from having the store to ourselves.
    let store = context.open_store()?;
    let planner = store.clone();
    let (native, locks) = (context.settings.native(), context.settings.cache_locks());
    let (here, at) = (native.clone(), locks.clone());
    let (plan, kept, policy) = aside(move || {
        let _lock = planner.share()?;
        let plan = planner.prune_plan(&policy)?;
        let kept = match native::here(&here) {
            Some(native) => native.unneeded(unused(&at, &policy))?,
            None => Vec::new(),
        };
        Ok::<_, Diagnostic>((plan, kept, policy))
    })
    .await?;
    let limits = if args.all {
        LogLimits::NONE
    } else {
        LogLimits::default()
    };
    let beside = leftovers::find(&context.settings, now(context)?, limits);
    let printer = &context.printer;
    let going = items(&plan, &beside, &kept);
    if going.is_empty() || args.dry_run {
        return report(printer, going, Outcome::Planned);
    }
    if !args.yes {
        let total = going.iter().map(|item| item.bytes).sum();
        let question = format!("Remove {} files, {}?", going.len(), bytes(total));
        match printer.ask(&question) {
            Answer::Yes => {}
            Answer::No => return Ok(ExitStatus::Done),
            Answer::NobodyThere => return Err(unconfirmed(&question)),
        }
    }
    let now = now(context)?;
    let done = aside(move || {
        let lock = store.exclusive(PATIENCE)?;
        let done = with_unpacked(&native, |inside| store.prune_apply(&lock, &plan, inside))?;
        let kept = match native::here(&native) {
            Some(native) => native.remove_unneeded(kept, unused(&locks, &policy)),
            None => Ok(kept),
        };
        drop(lock);
        let beside = leftovers::remove(beside, now);
        let (kept, failed) = match kept {
            Ok(kept) => (kept, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok::<_, Diagnostic>((items(&done, &beside, &kept), failed))
    })
    .await?;
    let (done, failed) = done;
    let status = report(printer, done, Outcome::Removed)?;
    // What was removed before is told all the same.
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(status),
    }
}

fn items(plan: &PrunePlan, beside: &[Leftover], kept: &[Kept]) -> Vec<Item> {
    let stored = plan.items.iter().map(|item| Item {
        kind: Kind::Stored(item.kind),
        path: item.path.clone(),
        bytes: item.bytes,
    });
    let beside = beside.iter().map(|leftover| Item {
        kind: Kind::Beside(leftover.kind),
        path: leftover.path.clone(),
        bytes: leftover.bytes,
    });
    let kept = kept.iter().map(|kept| Item {
        kind: Kind::Kept(kept.kind),
        path: kept.path.clone(),
        bytes: kept.bytes,
    });
    stored.chain(beside).chain(kept).collect()
}

/// Which caches of steps the policy lets go: they are kept as layers of steps are.
pub(super) fn unused<'a>(locks: &'a Path, policy: &PrunePolicy) -> UnusedCaches<'a> {
    UnusedCaches {
        locks,
        now: policy.now,
        unused: policy.keep_layers,
    }
}

/// The policy of `--all`: all that no image has.
pub(super) fn everything(context: &Context) -> Result<PrunePolicy, Diagnostic> {
    Ok(PrunePolicy {
        now: now(context)?,
        older_than: Duration::ZERO,
        keep_layers: Duration::ZERO,
        keep: BTreeSet::new(),
    })
}

fn policy(context: &Context, args: &PruneArgs) -> Result<PrunePolicy, Diagnostic> {
    let everything = everything(context)?;
    if args.all {
        return Ok(everything);
    }
    let keep_layers = args.older_than.unwrap_or(KEPT);
    Ok(PrunePolicy {
        // What is a day old and needed by nothing is not about to be needed.
        older_than: keep_layers.min(DAY),
        keep_layers,
        ..everything
    })
}

fn now(context: &Context) -> Result<SystemTime, Diagnostic> {
    let time = clock::system(&context.now)
        .map_err(|error| Diagnostic::of("clock", ExitStatus::Failed, &error))?;
    // Our time is cut to the second; what was written within that second is no younger than now.
    Ok(time + Duration::from_secs(1))
}

fn unconfirmed(question: &str) -> Diagnostic {
    Diagnostic::new(
        "not-confirmed",
        ExitStatus::Usage,
        format!("nobody is there to answer: {question}"),
    )
    .hint("add `--yes`, or `--dry-run` to see what would go")
}

fn report(printer: &Printer, items: Vec<Item>, outcome: Outcome) -> Result<ExitStatus, Diagnostic> {
    let total = items.iter().map(|item| item.bytes).sum();
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.cache.prune/1",
            dry_run: outcome == Outcome::Planned,
            bytes: total,
            items,
        })?;
        return Ok(ExitStatus::Done);
    }
    if items.is_empty() {
        printer.talk("There is nothing to remove.");
        return Ok(ExitStatus::Done);
    }
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for item in &items {
        let (files, size) = kinds.entry(name(item.kind)).or_default();
        *files += 1;
        *size += item.bytes;
    }
    let mut table = Table::new([
        ("KIND", Align::Left),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
    ]);
    for (kind, (files, size)) in kinds {
        table.row([kind.to_owned(), files.to_string(), bytes(size)]);
    }
    printer.table(&table);
    let verb = match outcome {
        Outcome::Planned => "would free",
        Outcome::Removed => "freed",
    };
    printer.line(&format!("{verb} {}", bytes(total)));
    Ok(ExitStatus::Done)
}

fn name(kind: Kind) -> &'static str {
    let kind = match kind {
        Kind::Stored(kind) => kind,
        Kind::Beside(LeftoverKind::Log) => return "logs",
        Kind::Beside(LeftoverKind::Scratch) => return "files of killed runs",
        Kind::Beside(LeftoverKind::Bundle) => return "old definitions",
        Kind::Kept(KeptKind::Cache) => return "caches of steps",
        Kind::Kept(KeptKind::Cage) => return "cages of killed runs",
        Kind::Beside(LeftoverKind::Certificates) => return "old certificate authorities",
    };
    match kind {
        PruneKind::KeptDockerfile => "results of Dockerfiles",
        PruneKind::KeptLayer => "layers of steps",
        PruneKind::Remote => "answers of registries",
        PruneKind::Facts => "facts",
        PruneKind::Tree => "path indexes",
        PruneKind::Part => "broken-off downloads",
        PruneKind::Temporary => "temporary files",
        PruneKind::Damaged => "damaged records",
        PruneKind::Unpacked => "unpacked layers",
        PruneKind::Blob => "blobs",
    }
}

/// Reads `30d`, `12h`, `90m`, `45s` or `2w`.
fn parse_age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as `30d`, `12h` or `2w`");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let unit: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
    number
        .checked_mul(unit)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_number_and_a_unit() {
        assert_eq!(parse_age("30d"), Ok(30 * DAY));
        assert_eq!(parse_age("2w"), Ok(14 * DAY));
        for wrong in [
            "",
            "30",
            "d",
            "-1d",
            "1.5h",
            "1 d",
            "99999999999999999999d",
            "9999999999999999999w",
        ] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}
