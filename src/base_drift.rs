//! Whether a base that was assembled here still is what its definition says. No network: only what is known is compared.

use assembler::{
    assemble::foresee,
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
    listing, root_image,
};

/// Says why the base must be assembled again; `None` when its definition is the one it was made of.
pub fn changed(
    context: &Context,
    base: &BaseDefinition,
    record: &ImageRecord,
) -> Result<Option<BaseImage>, Diagnostic> {
    let Some(root) = &record.base else {
        return Ok(None);
    };
    let from = &base.settings.from_image;
    if base.is_custom() && !root_image::is_same(from, root) {
        return Ok(Some(BaseImage::Outdated {
            root: Root::Defined,
            reason: format!(
                "base `{}`: `from_image` is {from}, not {} any more",
                base.id, root.reference
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
        source_date: context.settings.environment.source_date,
    };
    let recipe = compose::base_image(below, base);
    let foreseen = foresee(store, &recipe)?;
    let made = record.layers.iter().skip(image.layers().len());
    let (mut made, mut steps) = (made, recipe.steps.iter().zip(&foreseen));
    loop {
        let reason = match (steps.next(), made.next()) {
            (None, None) => return Ok(None),
            (Some((step, foreseen)), Some(layer)) => {
                // Below a layer that changed, no key is known; that one was the reason.
                if foreseen.key.is_none() || foreseen.key == layer.key {
                    continue;
                }
                let files = match (&step.addition, layer.script) {
                    (Addition::Scripts { files, .. }, Some(before)) => {
                        listing::changes(context, &step.origin, (files, before))
                    }
                    _ => None,
                };
                files.unwrap_or_else(|| "its definition changed".to_owned())
            }
            (Some(_), None) | (None, Some(_)) => "its definition changed".to_owned(),
        };
        return Ok(Some(BaseImage::Outdated {
            root: Root::Kept(root.clone()),
            reason: format!("base `{}`: {reason}", base.id),
        }));
    }
}
