//! `aicage image rm`: forgets images by name.

use assembler::reference::ImageReference;
use clap::Args;
use serde::Serialize;

use crate::{
    context::Context, diagnostic::Diagnostic, exit_status::ExitStatus, image_source::not_here,
};

/// What `aicage image rm` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage image rm aicage:codex-debian\n  \
    aicage image rm aicage:codex-debian --from-engine    remove it from Docker as well\n\n\
    Layers stay until `aicage cache prune`, so that building the image again costs nothing.")]
pub struct RmArgs {
    /// Names of images, as `aicage image list` shows them.
    #[arg(required = true)]
    pub images: Vec<ImageReference>,
    /// Remove them from Docker as well.
    #[arg(long)]
    pub from_engine: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    removed: Vec<String>,
}

/// Forgets all of the images, or none if one of them is not there.
pub async fn rm(context: &Context, args: &RmArgs) -> Result<ExitStatus, Diagnostic> {
    let (store, lock) = context.store()?;
    for reference in &args.images {
        if store.tagged(reference)?.is_none() {
            return Err(not_here(context, &reference.familiar()));
        }
    }
    let mut removed = Vec::new();
    for reference in &args.images {
        let name = reference.familiar();
        if args.from_engine {
            context.docker().await?.remove_image(&name).await?;
        }
        store.untag(lock, reference)?;
        if !context.printer.is_json() {
            context.printer.line(&format!("removed {name}"));
        }
        removed.push(name);
    }
    if context.printer.is_json() {
        context.printer.json(&Report {
            schema: "aicage.image.rm/1",
            removed,
        })?;
    }
    Ok(ExitStatus::Done)
}
