//! `aicage image files`: the files of an image, or what one of its layers says.

use assembler::{
    image::Image,
    inspect::{FileRow, files as files_of, layer_files},
};
use clap::Args;
use serde::Serialize;

use super::{mode, place};
use crate::{
    aside::aside,
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    image_source,
    printer::{Align, Table, bytes},
};

/// What `aicage image files` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage image files aicage:codex-debian              the whole filesystem\n  \
    aicage image files aicage:codex-debian --layer 3    what layer 3 adds and removes\n  \
    aicage image files debian:stable --layer 1a2b3c4d   a layer by the start of its digest")]
pub struct FilesArgs {
    /// The image; everything that `aicage image inspect` takes.
    pub image: String,
    /// Only this layer: its number in `aicage image inspect`, or the start of its digest or diff id.
    #[arg(long, value_name = "LAYER")]
    pub layer: Option<String>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    reference: String,
    layer: Option<usize>,
    files: Vec<FileRow>,
}

/// Lists files.
pub async fn files(context: &Context, args: &FilesArgs) -> Result<ExitStatus, Diagnostic> {
    let mut opened = image_source::open(context, &args.image).await?;
    let layer = match &args.layer {
        Some(text) => Some(find_layer(&opened.image, text)?),
        None => None,
    };
    opened.fetch(context).await?;
    let (store, lock) = image_source::owned_store(context)?;
    let image = opened.image;
    let files = aside(
        move || match layer.and_then(|index| image.layers().get(index)) {
            Some(layer) => layer_files(&store, &lock, layer),
            None => files_of(&store, &lock, &image),
        },
    )
    .await?;
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&Report {
            schema: "aicage.image.files/1",
            reference: opened.name,
            layer,
            files,
        })?;
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new([
        ("MODE", Align::Left),
        ("OWNER", Align::Left),
        ("SIZE", Align::Right),
        ("PATH", Align::Left),
    ]);
    for file in &files {
        table.row([
            mode(file),
            format!("{}:{}", file.uid, file.gid),
            bytes(file.size),
            place(file),
        ]);
    }
    printer.table(&table);
    Ok(ExitStatus::Done)
}

/// Finds a layer by its number or by the start of its digest; a start that fits two is refused.
fn find_layer(image: &Image, text: &str) -> Result<usize, Diagnostic> {
    let layers = image.layers();
    if let Ok(index) = text.parse::<usize>()
        && index < layers.len()
    {
        return Ok(index);
    }
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let fits: Vec<usize> = layers
        .iter()
        .enumerate()
        .filter(|(_index, layer)| {
            let hexes = [layer.descriptor.digest.hex(), layer.diff_id.digest().hex()];
            digits.len() >= 4 && hexes.iter().any(|hex| hex.starts_with(digits))
        })
        .map(|(index, _layer)| index)
        .collect();
    if let [index] = fits.as_slice() {
        return Ok(*index);
    }
    let message = format!("the image has no layer `{text}`");
    let last = layers.len().saturating_sub(1);
    let hint =
        format!("give a number from 0 to {last}, or the start of a digest that no other layer has");
    Err(Diagnostic::new("no-such-layer", ExitStatus::Usage, message).hint(hint.as_str()))
}
