//! Builds a Dockerfile step: what is kept is reused, the rest runs.

use super::{
    DockerfileBuild, Walk,
    build::{At, walk},
    make::{check_images, prepare},
    script::refuse,
    tree::Shelf,
};
use crate::{
    assemble::{self, AssembleError},
    digest::LayerKey,
    execution,
    image::Image,
    provenance::{How, LabelRecord, LayerRecord},
    recipe::{Recipe, Step},
    reporter::Event,
    sandbox::{StepRequest, Task, World},
    store::{KeptDockerfile, KeptLayer},
};

/// A Dockerfile's image.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) image: Image,
    /// Whether the image so far is below it.
    pub(crate) on_image_so_far: bool,
    /// What its groups gave, bottom first; they are the topmost of the image's layers.
    pub(crate) layers: Vec<(KeptLayer, How)>,
}

/// Builds `build`, the addition of `step` under its key, after `so_far` was assembled.
pub(crate) fn build(
    world: &World<'_>,
    (recipe, step, key): (&Recipe, &Step, &LayerKey),
    build: &DockerfileBuild,
    so_far: &Image,
) -> Result<Built, AssembleError> {
    let label = LabelRecord {
        origin: step.origin.clone(),
        script: Some(build.digest()),
    };
    let plan = Walk {
        store: world.store,
        build,
        so_far,
        so_far_name: &recipe.base_record.reference,
        origin: &step.origin,
        source_date: recipe.source_date,
        label: &label,
    };
    if let Some((kept, image)) = world.store.kept_dockerfile(key)? {
        world.store.use_kept_dockerfile(world.lock, key, &kept);
        world.reporter.event(Event::StepReused {
            origin: &step.origin,
        });
        let layers = kept.layers.into_iter().map(|kept| (kept, How::Reused));
        return Ok(Built {
            image,
            on_image_so_far: kept.on_image_so_far,
            layers: layers.collect(),
        });
    }
    let mut ran = false;
    let walked = walk(&plan, &mut |at| {
        if let Some(kept) = assemble::reusable(world, &at.key)? {
            return Ok(Some((kept, How::Reused)));
        }
        if !ran {
            let shelf = Shelf {
                store: world.store,
                lock: world.lock,
            };
            check_images(shelf, at)?;
        }
        ran = true;
        let kept = make(world, (recipe, step), &label, at)?;
        Ok(Some((kept, How::Executed)))
    })?;
    if !ran {
        world.reporter.event(Event::StepReused {
            origin: &step.origin,
        });
    }
    let Some(image) = walked.image else {
        let refusal = refuse(
            1,
            "a stage that the last one needs was not built",
            "this is a mistake of ours; please report it with the Dockerfile",
        );
        return Err(build.refused(refusal).into());
    };
    let layers = walked.layers.into_iter().map(|(kept, how)| {
        // What is kept may have been made from a file of which another line differed.
        let record = LayerRecord {
            script: label.script,
            ..kept.record
        };
        (KeptLayer { record, ..kept }, how)
    });
    let built = Built {
        image,
        on_image_so_far: walked.on_image_so_far,
        layers: layers.collect(),
    };
    assemble::write_documents(world, &built.image)?;
    let kept = KeptDockerfile {
        image: *built.image.digest(),
        on_image_so_far: built.on_image_so_far,
        layers: built.layers.iter().map(|(kept, _)| kept.clone()).collect(),
    };
    world.store.keep_dockerfile(world.lock, key, &kept)?;
    Ok(built)
}

fn make(
    world: &World<'_>,
    (recipe, step): (&Recipe, &Step),
    label: &LabelRecord,
    at: &At<'_>,
) -> Result<KeptLayer, AssembleError> {
    let shelf = Shelf {
        store: world.store,
        lock: world.lock,
    };
    let prepared = prepare(shelf, at)?;
    let below = at.below.without_volumes()?;
    assemble::write_documents(world, &below)?;
    let title = format!("{}: {}", step.origin, at.group.title(&at.build.file));
    let request = StepRequest {
        store: world.store,
        lock: world.lock,
        image: &below,
        task: Task::Instructions {
            instructions: &prepared.instructions,
            mounts: &prepared.mounts,
            secrets: &prepared.secrets,
        },
        network: at.group.network,
        env: &std::collections::BTreeMap::new(),
        source_date: recipe.source_date,
        title: &title,
    };
    let captured = execution::run(world, &request, &step.origin)?;
    let record = LayerRecord {
        origin: step.origin.clone(),
        script: label.script,
        key: Some(at.key),
        how: How::Executed,
        made_at: world.now.to_owned(),
    };
    execution::keep(world, &at.key, captured, record)
}
