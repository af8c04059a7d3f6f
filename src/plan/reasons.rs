//! Why an image must be assembled again, in sentences.

use assembler::{
    foresee::{Foreseen, is_result},
    image::Image,
    provenance::{How, Kind, LayerRecord, Origin},
    recipe::{Addition, Recipe, Step},
    store::ImageRecord,
};

use super::draft::Draft;
use crate::{base_image, diagnostic::Diagnostic, dockerfiles, listing};

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
        if let Some(other) = self.other_choice(held)? {
            return Ok(vec![other]);
        }
        let mut reasons = Vec::new();
        if held.base.as_ref().map(|base| base.digest) != Some(recipe.base_record.digest) {
            reasons.push(self.base_reason(held, base)?);
        }
        for (step, foreseen) in recipe.steps.iter().zip(foreseen) {
            let before = held.layers.iter().find(|layer| {
                layer.origin.kind == step.origin.kind && layer.origin.id == step.origin.id
            });
            // What is made anew on something new was never kept: that alone says nothing.
            let lost = reasons.is_empty() && foreseen.key.is_some() && foreseen.image.is_none();
            let reason = self
                .dockerfile_reason(step, held)
                .or_else(|| self.step_reason((step, foreseen, lost), before));
            reasons.extend(reason);
        }
        reasons.extend(extension_reason(held, recipe));
        if reasons.is_empty() && !self.has_same_parts(held) {
            // Some of them add no layer.
            reasons.push("the extensions are others".to_owned());
        }
        if reasons.is_empty() {
            let image = store.image(&held.manifest.digest)?;
            if base_image::missing_bytes(self.context, &image)? > 0 {
                reasons.push("layers of it are not in the store".to_owned());
            } else if !is_result(&image, recipe, (base, foreseen))? {
                reasons.push(changed_settings(recipe));
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

    /// Says what is new about a Dockerfile, whether it gives layers or not.
    fn dockerfile_reason(&self, step: &Step, held: &ImageRecord) -> Option<String> {
        let Addition::Dockerfile(build) = &step.addition else {
            return None;
        };
        let before = dockerfiles::find(&held.dockerfiles, &step.origin)?;
        let change = if before.digest == build.digest() {
            dockerfiles::moved(build, before)?
        } else {
            let files = (&step.addition, before.digest);
            listing::changes(self.context, &step.origin, files)?
        };
        let Origin { kind, id, .. } = &step.origin;
        Some(format!("{kind} `{id}`: {change}"))
    }

    fn step_reason(
        &self,
        (step, foreseen, lost): (&Step, &Foreseen, bool),
        before: Option<&LayerRecord>,
    ) -> Option<String> {
        let origin = &step.origin;
        let name = format!("{} `{}`", origin.kind, origin.id);
        let Some(before) = before else {
            // A Dockerfile may change nothing but the config.
            let none = foreseen.image.is_some() && foreseen.kept.is_none();
            return (!none).then(|| format!("the image has no layer of {name}"));
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
        if let Addition::Files(_) = &step.addition {
            // The glue follows every change below it; only its own change is a reason.
            let changed = foreseen.key.is_some() && before.key != foreseen.key;
            return (changed && before.how != How::BuiltIn).then(|| format!("{name}: it changed"));
        }
        if before.script != listing::digest(&step.addition).unwrap_or_default() {
            let changes = before.script.and_then(|script| {
                listing::changes(self.context, origin, (&step.addition, script))
            });
            let changes = changes.unwrap_or_else(|| "its scripts or files changed".to_owned());
            return Some(format!("{name}: {changes}"));
        }
        lost.then(|| format!("{name}: its layer is not in the store"))
    }
}

/// Says what else can be different when all layers are the same.
fn changed_settings(recipe: &Recipe) -> String {
    let has_dockerfile = recipe
        .steps
        .iter()
        .any(|step| matches!(step.addition, Addition::Dockerfile(_)));
    if has_dockerfile {
        "settings that a Dockerfile makes, or aicage's own part of the image, changed".to_owned()
    } else {
        "aicage's own part of the image is another one".to_owned()
    }
}

/// Says that extensions of the image are no longer asked for, or are asked for in another order.
fn extension_reason(held: &ImageRecord, recipe: &Recipe) -> Option<String> {
    let wanted: Vec<&str> = ids(recipe.steps.iter().map(|step| &step.origin));
    let had: Vec<&str> = ids(held.layers.iter().map(|layer| &layer.origin));
    if let Some(gone) = had.iter().find(|id| !wanted.contains(id)) {
        return Some(format!("extension `{gone}` is not to be in it any more"));
    }
    let same = wanted.iter().filter(|id| had.contains(id)).eq(had.iter());
    (!same).then(|| "the extensions are in another order".to_owned())
}

/// Returns the extensions among `origins`, each once.
fn ids<'a>(origins: impl Iterator<Item = &'a Origin>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = Vec::new();
    for origin in origins {
        if origin.kind == Kind::Extension && !ids.contains(&origin.id.as_str()) {
            ids.push(&origin.id);
        }
    }
    ids
}
