//! `aicage cache …`: what the store holds, what may go, and whether it is whole.

pub mod du;
pub mod prune;
pub mod verify;

use assembler::store::rootfs::{Directly, InMapping};
use clap::Subcommand;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    engine::{
        NativeSettings,
        native::{self, Upkeep},
    },
    exit_status::ExitStatus,
};

/// What `aicage cache` can do.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show what takes how much room.
    Du,
    /// Remove what nothing needs.
    Prune(prune::PruneArgs),
    /// Read everything and say what is broken.
    Verify(verify::VerifyArgs),
}

/// Does what the command says.
pub async fn cache(context: &Context, command: CacheCommand) -> Result<ExitStatus, Diagnostic> {
    match command {
        CacheCommand::Du => du::du(context).await,
        CacheCommand::Prune(args) => prune::prune(context, &args).await,
        CacheCommand::Verify(args) => verify::verify(context, &args).await,
    }
}

/// Does something for which unpacked layers may have to be removed or looked into, whoever owns their files.
fn with_unpacked<T>(settings: &NativeSettings, does: impl FnOnce(&dyn InMapping) -> T) -> T {
    match native::here(settings) {
        Some(native) => does(&Upkeep::new(&native)),
        None => does(&Directly),
    }
}
