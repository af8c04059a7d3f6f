//! Why an image must be assembled again, in sentences.

use assembler::{
    assemble::Foreseen,
    image::Image,
    provenance::{How, LayerRecord},
    recipe::{Addition, Recipe, Step},
    store::ImageRecord,
};

use super::draft::Draft;
use crate::{base_image, diagnostic::Diagnostic};

impl Draft<'_> {
    /// Says why the image must be assembled; nothing when what is there is what the recipe gives.
    pub(super) fn reasons(
        &self,
        recipe: &Recipe,
        foreseen: &[Foreseen],
        base: &Image,
    ) -> Result<Vec<String>, Diagnostic> {
        let (store, _) = self.context.store()?;
        let Some(held) = &self.held else {
            return Ok(vec![format!(
                "{} is not in the store",
                self.reference.familiar()
            )]);
        };
        let mut reasons = Vec::new();
        if held.base.as_ref().map(|base| base.digest) != Some(recipe.base_record.digest) {
            reasons.push(self.base_reason(held, base)?);
        }
        for (step, foreseen) in recipe.steps.iter().zip(foreseen) {
            let before = held.layers.iter().find(|layer| {
                layer.origin.kind == step.origin.kind && layer.origin.id == step.origin.id
            });
            reasons.extend(step_reason(step, foreseen, before));
        }
        if reasons.is_empty() {
            let image = store.image(&held.manifest.digest)?;
            let same_layers = image.diff_ids().iter().eq(base.diff_ids().iter().chain(
                foreseen
                    .iter()
                    .filter_map(|step| step.kept.as_ref().map(|kept| &kept.diff_id)),
            ));
            if base_image::missing_bytes(self.context, &image)? > 0 {
                reasons.push("layers of it are not in the store".to_owned());
            } else if !same_layers {
                reasons.push("aicage's own program in the image is another one".to_owned());
            }
        }
        Ok(reasons)
    }

    fn base_reason(&self, held: &ImageRecord, base: &Image) -> Result<String, Diagnostic> {
        let (store, _) = self.context.store()?;
        let name = &self.selection.base.id;
        let before = match &held.base {
            Some(before) => store.manifest(&before.digest)?,
            None => None,
        };
        let Some(before) = before else {
            return Ok(format!(
                "base `{name}` is another one than the image was built on"
            ));
        };
        let now: Vec<_> = base
            .layers()
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        Ok(format!(
            "base `{name}` changed: {}",
            base_image::new_layers(&before.value().layers, &now)
        ))
    }
}

fn step_reason(step: &Step, foreseen: &Foreseen, before: Option<&LayerRecord>) -> Option<String> {
    let origin = &step.origin;
    let name = format!("{} `{}`", origin.kind, origin.id);
    let Some(before) = before else {
        return Some(format!("the image has no layer of {name}"));
    };
    if before.origin.version != origin.version {
        let shown =
            |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".to_owned());
        return Some(format!(
            "{name}: version {} replaces {}",
            shown(&origin.version),
            shown(&before.origin.version)
        ));
    }
    match &step.addition {
        Addition::Scripts { files, .. } if before.script != Some(files.digest()) => {
            Some(format!("{name}: its scripts or files changed"))
        }
        Addition::Files(_) if foreseen.key.is_some() && before.key != foreseen.key => {
            // The glue follows every change below it; only its own change is a reason.
            (before.how != How::BuiltIn).then(|| format!("{name}: it changed"))
        }
        Addition::Scripts { .. } if foreseen.key.is_some() && foreseen.kept.is_none() => {
            Some(format!("{name}: its layer is not in the store"))
        }
        _ => None,
    }
}
