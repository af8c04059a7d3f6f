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
    let instead = spec.entrypoint();
    let given = spec.mounts.iter_mut();
    let Some(mount) = given
        .into_iter()
        .find(|mount| bundle::is_given(&mount.target))
    else {
        return Ok(());
    };
    let (id, entrypoint) = match engine {
        Engine::Docker(docker) => match docker.image(&spec.image).await? {
            Some(image) => (image.id, image.entrypoint),
            // Starting it will tell.
            None => return Ok(()),
        },
        Engine::Native(native) => native.image_facts(&spec.image)?,
    };
    let program = instead.unwrap_or(entrypoint);
    if program
        .first()
        .is_some_and(|program| program.trim_start_matches('/') == compose::INIT)
    {
        return Ok(());
    }
    let authorities = super::configured(context)?.unwrap_or_default();
    let name = Digest::of(format!("{id}\n{authorities}").as_bytes());
    mount.source = if let Some(path) = bundle::kept(context, &name) {
        path
    } else {
        let own = match engine {
            Engine::Docker(docker) => docker.file_of_image(&spec.image, &BUNDLES, BYTES).await?,
            Engine::Native(native) => native.file_of_image(&spec.image, &BUNDLES, BYTES)?,
        };
        bundle::keep(context, &name, own.unwrap_or_default(), &authorities)?
    };
    mount.target = bundle::BUNDLE.into();
    Ok(())
}
