//! Looks ahead: what assembling a recipe would reuse, and whether an image already is what it would give.
//!
//! Invariant: nothing runs and nothing is written; keys are those that assembling computes.

use crate::{
    append::NewLayer,
    assemble::{AssembleError, script_digest},
    digest::LayerKey,
    dockerfile::{self, DockerfileBuild, ForeseenGroup},
    image::Image,
    key::layer_key,
    provenance::{LabelRecord, Provenance},
    recipe::{Addition, Recipe, Step},
    store::{BlobStore, KeptLayer},
};

/// Computes what [`assemble`](crate::assemble::assemble) would reuse, without running or writing anything: a key for each step while the layers
/// below it are known, and whether its layer is kept. What is wrong with a Dockerfile that would run is found.
pub fn foresee(store: &BlobStore, recipe: &Recipe) -> Result<Vec<Foreseen>, AssembleError> {
    let base = store.image(&recipe.base)?;
    let platform = base.platform();
    let mut below = Some(base);
    let mut steps = Vec::new();
    for step in &recipe.steps {
        let foreseen = match below.take() {
            None => {
                if let Addition::Dockerfile(build) = &step.addition {
                    dockerfile::check_to_run(build, &platform)?;
                }
                Foreseen::default()
            }
            Some(image) => match &step.addition {
                Addition::Dockerfile(build) => {
                    foresee_dockerfile(store, (recipe, step), build, &image)?
                }
                _ => foresee_layer(store, (recipe, step), &image)?,
            },
        };
        below.clone_from(&foreseen.image);
        steps.push(foreseen);
    }
    Ok(steps)
}

fn foresee_layer(
    store: &BlobStore,
    (recipe, step): (&Recipe, &Step),
    below: &Image,
) -> Result<Foreseen, AssembleError> {
    let key = layer_key(recipe, step, below)?;
    let kept = store.kept_layer(&key)?;
    let mut image = None;
    if let Some(kept) = &kept {
        let label = LabelRecord {
            origin: step.origin.clone(),
            script: script_digest(step)?,
        };
        image = Some(below.append(&NewLayer {
            descriptor: &kept.layer,
            diff_id: kept.diff_id,
            label: &label,
        })?);
    }
    Ok(Foreseen {
        key: Some(key),
        kept,
        image,
        groups: Vec::new(),
    })
}

fn foresee_dockerfile(
    store: &BlobStore,
    (recipe, step): (&Recipe, &Step),
    build: &DockerfileBuild,
    below: &Image,
) -> Result<Foreseen, AssembleError> {
    let key = layer_key(recipe, step, below)?;
    if let Some((kept, image)) = store.kept_dockerfile(&key)? {
        return Ok(Foreseen {
            key: Some(key),
            kept: kept.layers.last().cloned(),
            image: Some(image),
            groups: Vec::new(),
        });
    }
    let label = LabelRecord {
        origin: step.origin.clone(),
        script: Some(build.digest()),
    };
    let walk = dockerfile::Walk {
        store,
        build,
        so_far: below,
        so_far_name: &recipe.base_record.reference,
        origin: &step.origin,
        source_date: recipe.source_date,
        label: &label,
    };
    let walked = dockerfile::walk(&walk, &mut |at| {
        Ok(store.kept_layer(&at.key)?.map(|kept| (kept, ())))
    })?;
    let kept = walked.layers.last().map(|(kept, ())| kept.clone());
    Ok(Foreseen {
        key: Some(key),
        kept: kept.filter(|_| walked.image.is_some()),
        image: walked.image,
        groups: walked.groups,
    })
}

/// What is known of a step before anything runs.
#[derive(Debug, Default)]
pub struct Foreseen {
    /// The step's key, when all layers below it are known.
    pub key: Option<LayerKey>,
    /// Its layer, when an earlier run left it; of a Dockerfile the topmost, when all of them are there.
    pub kept: Option<KeptLayer>,
    /// The image after the step, when nothing of it would run.
    pub image: Option<Image>,
    /// Of a Dockerfile what runs in one container each, in order; empty when all that it gave is kept as one.
    pub groups: Vec<ForeseenGroup>,
}

/// Tells whether `image` is what `recipe` gives, when every step of it was foreseen to be reused.
pub fn is_result(
    image: &Image,
    recipe: &Recipe,
    (base, foreseen): (&Image, &[Foreseen]),
) -> Result<bool, AssembleError> {
    let top = match foreseen.last() {
        None => Some(base),
        Some(last) => last.image.as_ref(),
    };
    let Some(top) = top else {
        return Ok(false);
    };
    // Who contributed what follows from the layers, which are compared; the record itself need not be made again.
    let provenance = Provenance::of(image.config().value());
    match provenance.filter(|provenance| provenance.base.as_ref() == Some(&recipe.base_record)) {
        Some(provenance) => {
            Ok(top.with_config(&recipe.config, &provenance)?.digest() == image.digest())
        }
        None => Ok(false),
    }
}
