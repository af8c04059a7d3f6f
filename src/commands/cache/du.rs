//! `aicage cache du`: what takes how much room, by kind of file (logs, scratch files, unpacked definitions, caches of steps and cages too), by image and by contributor.

use assembler::store::{Usage, UsageKind, UsageRow};
use serde::Serialize;

use super::prune;
use crate::{
    aside::aside,
    context::Context,
    definition_bundle,
    diagnostic::Diagnostic,
    engine::native,
    exit_status::ExitStatus,
    image_source::owned_store,
    leftovers::{self, LogLimits},
    printer::{Align, Role, Table, bytes},
};

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(flatten)]
    usage: Usage,
    /// What `aicage cache prune --all` makes free.
    reclaimable: u64,
}

/// Adds up what the store holds, and what lies beside it.
pub async fn du(context: &Context) -> Result<ExitStatus, Diagnostic> {
    let (store, lock) = owned_store(context)?;
    let policy = prune::everything(context)?;
    let policy_now = policy.now;
    let settings = &context.settings;
    let (native, locks) = (settings.native(), settings.cache_locks());
    let (mut usage, plan, kept) = aside(move || {
        let _lock = lock;
        let (usage, plan) = (store.usage()?, store.prune_plan(&policy)?);
        let unused = prune::unused(&locks, &policy);
        let kept = match native::here(&native) {
            Some(native) => Some((native.kept_room()?, native.unneeded(unused)?)),
            None => None,
        };
        Ok::<_, Diagnostic>((usage, plan, kept))
    })
    .await?;
    let (room, unneeded) = kept
        .map(|(room, unneeded)| (room.to_vec(), unneeded))
        .unwrap_or_default();
    let beside = leftovers::find(&context.settings, policy_now, LogLimits::NONE);
    let reclaimable = plan.bytes()
        + beside.iter().map(|leftover| leftover.bytes).sum::<u64>()
        + unneeded.iter().map(|kept| kept.bytes).sum::<u64>();
    for (kind, files, bytes) in room {
        usage.kinds.push(UsageKind { kind, files, bytes });
        usage.total += bytes;
    }
    for (kind, directory) in [
        ("logs", settings.logs()),
        ("scratch", settings.scratch()),
        (
            "definitions",
            definition_bundle::directory(&settings.state()),
        ),
    ] {
        let (files, bytes) = leftovers::usage(&directory);
        usage.kinds.push(UsageKind { kind, files, bytes });
        usage.total += bytes;
    }
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.cache.du/1",
            usage,
            reclaimable,
        })?;
        return Ok(ExitStatus::Done);
    }
    let mut kinds = Table::new([
        ("KIND", Align::Left),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
    ]);
    for kind in &usage.kinds {
        kinds.row([
            kind.kind.to_owned(),
            kind.files.to_string(),
            bytes(kind.bytes),
        ]);
    }
    printer.table(&kinds);
    for (head, rows) in [
        ("IMAGE", &usage.images),
        ("CONTRIBUTOR", &usage.contributors),
    ] {
        if !rows.is_empty() {
            printer.line("");
            printer.table(&table(head, rows));
        }
    }
    printer.line("");
    printer.line(&format!(
        "total        {}",
        printer.paint(Role::Heading, &bytes(usage.total))
    ));
    printer.line(&format!("reclaimable  {}", bytes(reclaimable)));
    Ok(ExitStatus::Done)
}

fn table(head: &'static str, rows: &[UsageRow]) -> Table {
    let mut table = Table::new([
        (head, Align::Left),
        ("SIZE", Align::Right),
        ("SHARED", Align::Right),
        ("UNIQUE", Align::Right),
    ]);
    for row in rows {
        table.row([
            row.name.clone(),
            bytes(row.bytes),
            bytes(row.shared),
            bytes(row.unique),
        ]);
    }
    table
}
