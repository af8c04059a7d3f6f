//! Whether a base that was assembled here still is what its definition says. No network: only what is known is compared.

use assembler::{
    foresee::{foresee, is_result},
    recipe::Addition,
    store::{ImageRecord, StoreError},
};

use crate::{
    base_build::Root,
    base_image::BaseImage,
    compose::{self, Below},
    context::Context,
    definition::base::BaseDefinition,
    diagnostic::Diagnostic,
    dockerfiles::{self, Images},
    listing,
    plan::Want,
    root_image, root_memory,
};

/// Says why the base must be assembled again; `None` when its definition is the one it was made of. `want` says what counts
/// for the images that its Dockerfile names.
pub async fn changed(
    context: &Context,
    base: &BaseDefinition,
    (record, want): (&ImageRecord, Want),
) -> Result<Option<BaseImage>, Diagnostic> {
    let Some(root) = &record.base else {
        return Ok(None);
    };
    if base.is_custom()
        && let Some(before) = root_memory::named_before(context, base, root)
    {
        return Ok(Some(BaseImage::Outdated {
            root: Root::Defined,
            reason: format!(
                "base `{}`: `from_image` is {}, not {before} any more",
                base.id, base.settings.from_image
            ),
        }));
    }
    let (store, _) = context.store()?;
    let image = match store.image(&root.digest) {
        Ok(image) => image,
        // Nothing can be compared with what is lost; the base itself is still there.
        Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let below = Below {
        image: &image,
        record: root.clone(),
        origin: root_image::origin(&root.reference),
        // What the caller's environment says counts for what is made, and is no reason to make it.
        source_date: record.source_date,
    };
    let dockerfile = dockerfiles::of_base(context, base, Images::of(want, Some(record))).await?;
    let recipe = compose::base_image(below, base, dockerfile);
    let foreseen = foresee(store, &recipe)?;
    let held = match store.image(&record.manifest.digest) {
        Ok(held) => held,
        // It is made anew for that reason in any case.
        Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if is_result(&held, &recipe, (&image, &foreseen))? {
        return Ok(None);
    }
    let moved = recipe.steps.iter().find_map(|step| {
        let Addition::Dockerfile(build) = &step.addition else {
            return None;
        };
        dockerfiles::moved(build, dockerfiles::find(&record.dockerfiles, &step.origin)?)
    });
    let files = recipe.steps.iter().find_map(|step| {
        let before = record.layers.iter().find_map(|layer| {
            (layer.origin.kind == step.origin.kind && layer.origin.id == step.origin.id)
                .then_some(layer.script)?
        })?;
        listing::changes(context, &step.origin, (&step.addition, before))
    });
    let reason = files
        .or(moved)
        .unwrap_or_else(|| "its definition changed".to_owned());
    Ok(Some(BaseImage::Outdated {
        root: Root::Kept(root.clone()),
        reason: format!("base `{}`: {reason}", base.id),
    }))
}
