//! `aicage image inspect`: where each layer of an image came from.

use assembler::{
    inspect::{InspectLayer, InspectReport, Upstream, inspect as report_of},
    provenance::{How, Kind},
};
use clap::Args;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    image_source::{self, Opened},
    printer::{Align, Printer, Role, Table, bytes, day_and_minute, printable},
};

/// What `aicage image inspect` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage image inspect                           the image that was made last\n  \
    aicage image inspect aicage:codex-debian       an image of ours\n  \
    aicage image inspect ghcr.io/owner/name:tag    one in a registry; no layer is fetched\n  \
    aicage image inspect docker-daemon:name:tag    one that Docker has\n  \
    aicage image inspect oci:DIR --json            one in an OCI layout, for programs")]
pub struct InspectArgs {
    /// The image: a name, or `docker-daemon:REF`, `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE[:REF]`,
    /// `rootfs:FILE`. Without one, the image of ours that was made last.
    pub image: Option<String>,
}

/// Prints the layers of an image from bottom to top.
pub async fn inspect(context: &Context, args: &InspectArgs) -> Result<ExitStatus, Diagnostic> {
    let name = match &args.image {
        Some(name) => name.clone(),
        None => newest(context)?,
    };
    let opened = image_source::open(context, &name).await?;
    let report = report(context, &opened)?;
    if context.printer.is_json() {
        context.printer.json(&report)?;
    } else {
        print(&context.printer, &report);
    }
    Ok(ExitStatus::Done)
}

/// Makes the report of an opened image.
pub(super) fn report(context: &Context, opened: &Opened) -> Result<InspectReport, Diagnostic> {
    let (store, _lock) = context.store()?;
    Ok(report_of(
        store,
        &opened.name,
        &opened.image,
        opened.record.as_ref(),
    )?)
}

/// Names who contributed a layer, in few words.
pub(super) fn contributor(layer: &InspectLayer) -> String {
    let origin = &layer.origin;
    if origin.id.is_empty() {
        origin.kind.to_string()
    } else {
        format!("{} {}", origin.kind, origin.id)
    }
}

/// Returns the agent's image that was made last, else any that was; times of one form sort as text.
fn newest(context: &Context) -> Result<String, Diagnostic> {
    let (store, _lock) = context.store()?;
    let newest = store.tags()?.into_iter().max_by_key(|record| {
        let is_agent = record.parts.is_some() || record.reference.repository() == "library/aicage";
        (is_agent, record.made_at.clone())
    });
    newest.map(|record| record.reference.familiar()).ok_or_else(|| {
        Diagnostic::new("no-image", ExitStatus::Failed, "there is no image here yet")
            .hint("name one, for example `aicage image inspect debian:stable`, or build one with `aicage build AGENT`")
    })
}

fn print(printer: &Printer, report: &InspectReport) {
    let InspectReport {
        schema: _,
        reference,
        digest,
        platform,
        base,
        reason,
        layers,
    } = report;
    printer.line(&printer.paint(Role::Heading, &printable(reference)));
    printer.line(&format!("digest    {digest}"));
    let platform = format!("{}/{}", platform.os, platform.architecture);
    printer.line(&format!("platform  {}", printable(&platform)));
    if let Some(base) = base {
        let digest = base
            .digest
            .map(|digest| format!("@{digest}"))
            .unwrap_or_default();
        let checked = base
            .checked_at
            .as_deref()
            .map(|time| format!(", checked {}", day_and_minute(time)));
        let base = format!("{}{digest}{}", base.reference, checked.unwrap_or_default());
        printer.line(&format!("base      {}", printable(&base)));
    }
    if let Some(reason) = reason {
        printer.line(&format!("because   {}", printable(reason)));
    }
    let size: u64 = layers.iter().map(|layer| layer.size).sum();
    printer.line(&format!(
        "size      {} in {} {}",
        bytes(size),
        layers.len(),
        if layers.len() == 1 { "layer" } else { "layers" }
    ));
    printer.line("");
    printer.table(&table(layers));
}

fn table(layers: &[InspectLayer]) -> Table {
    // What its maker wrote is only worth its room where nothing better is known.
    let with_history = layers
        .iter()
        .any(|layer| layer.origin.kind == Kind::Unknown);
    let mut columns = vec![
        ("#", Align::Right),
        ("LAYER", Align::Left),
        ("SIZE", Align::Right),
        ("FROM", Align::Left),
        ("VERSION", Align::Left),
        ("HOW", Align::Left),
        ("MADE", Align::Left),
        ("UPSTREAM", Align::Left),
    ];
    if with_history {
        columns.push(("HISTORY", Align::Elastic));
    }
    let mut table = Table::new(columns);
    for layer in layers {
        let plain = |text: String| (text, None);
        let mut cells = vec![
            plain(layer.index.to_string()),
            plain(layer.digest.short()),
            plain(bytes(layer.size)),
            plain(contributor(layer)),
            plain(layer.origin.version.clone().unwrap_or_default()),
            (layer.how.to_string(), how_role(layer.how)),
            plain(
                layer
                    .made_at
                    .as_deref()
                    .map(day_and_minute)
                    .unwrap_or_default(),
            ),
            upstream(layer.upstream),
        ];
        if with_history {
            cells.push(plain(layer.history.clone().unwrap_or_default()));
        }
        table.painted_row(cells);
    }
    table
}

fn how_role(how: How) -> Option<Role> {
    match how {
        How::Executed => Some(Role::Notable),
        How::Pulled | How::Reused | How::BuiltIn => None,
    }
}

fn upstream(upstream: Upstream) -> (String, Option<Role>) {
    let (word, role) = match upstream {
        Upstream::Current => ("current", Role::Good),
        Upstream::Superseded => ("superseded", Role::Notable),
        Upstream::Gone => ("gone", Role::Notable),
        Upstream::Local => ("local", Role::Faint),
        Upstream::Unknown => ("unknown", Role::Faint),
    };
    (word.to_owned(), Some(role))
}
