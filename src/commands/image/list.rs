//! `aicage image list`: the images that are here.

use assembler::{digest::Digest, image::Image, store::ImageRecord};
use serde::Serialize;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Align, Table, bytes, day_and_minute},
};

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    images: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    reference: String,
    digest: Digest,
    /// Bytes of the layers as they are stored; nothing where the image is damaged.
    size: Option<u64>,
    layers: Option<usize>,
    base: Option<String>,
    made_at: String,
    /// Why it was built or pulled, in words.
    reason: Option<String>,
}

/// Lists the images of the store, by name.
pub fn list(context: &Context) -> Result<ExitStatus, Diagnostic> {
    let (store, _lock) = context.store()?;
    let mut rows: Vec<Row> = store
        .tags()?
        .into_iter()
        .map(|record| {
            let image = store.image(&record.manifest.digest).ok();
            let layers = image.as_ref().map(Image::layers);
            let size = layers.map(|layers| layers.iter().map(|layer| layer.descriptor.size).sum());
            row(&record, size, layers.map(<[_]>::len))
        })
        .collect();
    rows.sort_by(|a, b| a.reference.cmp(&b.reference));
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.image.list/1",
            images: rows,
        })?;
        return Ok(ExitStatus::Done);
    }
    if rows.is_empty() {
        printer.talk("There are no images yet; `aicage image pull REFERENCE` and `aicage build AGENT` make some.");
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new([
        ("IMAGE", Align::Left),
        ("DIGEST", Align::Left),
        ("SIZE", Align::Right),
        ("LAYERS", Align::Right),
        ("MADE", Align::Left),
        ("BASE", Align::Elastic),
    ]);
    for row in rows {
        table.row([
            row.reference,
            row.digest.short(),
            row.size.map_or_else(|| "damaged".to_owned(), bytes),
            row.layers
                .map(|layers| layers.to_string())
                .unwrap_or_default(),
            day_and_minute(&row.made_at),
            row.base.unwrap_or_default(),
        ]);
    }
    printer.table(&table);
    Ok(ExitStatus::Done)
}

fn row(record: &ImageRecord, size: Option<u64>, layers: Option<usize>) -> Row {
    Row {
        reference: record.reference.familiar(),
        digest: record.manifest.digest,
        size,
        layers,
        base: record.base.as_ref().map(|base| base.reference.clone()),
        made_at: record.made_at.clone(),
        reason: record.reason.clone(),
    }
}
