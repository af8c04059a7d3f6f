//! Images whose entrypoint is not ours: nothing inside puts the authorities together, so it is done here.

use assembler::digest::Digest;

use super::bundle::{self, BUNDLES};
use crate::{
    compose,
    context::Context,
    diagnostic::Diagnostic,
    engine::{Engine, session::SessionSpec},
};

/// Most bytes of one.
const BYTES: u64 = 16 << 20;

/// Gives a session whose first process is not our own a whole bundle; any other is as it was.
pub async fn settle(
    context: &Context,
    engine: &Engine,
    spec: &mut SessionSpec,
) -> Result<(), Diagnostic> {
    let given = spec.mounts.iter_mut();
    let Some(mount) = given
        .into_iter()
        .find(|mount| bundle::is_given(&mount.target))
    else {
        return Ok(());
    };
    let Some(docker) = engine.docker() else {
        return Ok(());
    };
    let Some(image) = docker.image(&spec.image).await? else {
        // Starting it will tell.
        return Ok(());
    };
    let first = spec
        .entrypoint
        .as_ref()
        .unwrap_or(&image.entrypoint)
        .first();
    if first.is_some_and(|program| program.trim_start_matches('/') == compose::INIT) {
        return Ok(());
    }
    let authorities = super::configured(context)?.unwrap_or_default();
    let name = Digest::of(format!("{}\n{authorities}", image.id).as_bytes());
    mount.source = if let Some(path) = bundle::kept(context, &name) {
        path
    } else {
        let own = docker.file_of_image(&spec.image, &BUNDLES, BYTES).await?;
        bundle::keep(context, &name, own.unwrap_or_default(), &authorities)?
    };
    mount.target = bundle::BUNDLE.into();
    Ok(())
}
