//! Assembles an image from a recipe: reuse what the store has, run what it lacks.
//!
//! Invariant: no clock, host or iteration order reaches the bytes. What a step itself wrote is recorded as observed,
//! never assumed.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    append::NewLayer,
    capture::store_files,
    definition_files::FilesError,
    digest::{Digest, LayerKey},
    dockerfile::{self, DockerfileBuild, DockerfileError},
    execution,
    foresee::foresee,
    image::Image,
    key::layer_key,
    manifest::ManifestError,
    provenance::{How, Kind, LabelRecord, LayerRecord, Origin, Provenance},
    recipe::{Addition, Recipe, Step},
    reporter::Event,
    sandbox::{CaptureError, SandboxError, StepNetwork, StepRequest, Task, World},
    store::{DockerfileRecord, ImageRecord, KeptLayer, StoreError},
};

/// An assembled image and how each of its layers came to be.
#[derive(Debug)]
pub struct Assembled {
    /// The image; all its blobs are in the store.
    pub image: Image,
    /// One record a layer, bottom first.
    pub records: Vec<LayerRecord>,
    /// One record a Dockerfile, in the order of the steps.
    pub dockerfiles: Vec<DockerfileRecord>,
}

/// Why an image could not be assembled.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The store failed or lacks the base.
    #[error("the store cannot serve the image")]
    Store(#[from] StoreError),
    /// A document is not valid.
    #[error("the image's documents do not fit together")]
    Manifest(#[from] ManifestError),
    /// A definition's files cannot be used.
    #[error(transparent)]
    Definition(#[from] FilesError),
    /// A Dockerfile is not taken, or what it copies cannot be gathered.
    #[error(transparent)]
    Dockerfile(#[from] DockerfileError),
    /// A layer of files could not be stored.
    #[error("cannot build layer `{origin}`")]
    Files {
        /// Whose layer.
        origin: Origin,
        /// What went wrong.
        #[source]
        source: CaptureError,
    },
    /// A step did not give a layer.
    #[error("cannot build layer `{origin}`")]
    Step {
        /// Whose step.
        origin: Origin,
        /// Where its output is.
        log: PathBuf,
        /// What went wrong.
        #[source]
        source: SandboxError,
    },
}

/// Assembles the image that `recipe` describes; `names` gives each step's log its name.
pub fn assemble(world: &World<'_>, recipe: &Recipe) -> Result<Assembled, AssembleError> {
    // What cannot be built is refused before anything runs.
    foresee(world.store, recipe)?;
    let base = world.store.image(&recipe.base)?;
    let mut records = base_records(world, recipe, &base);
    let mut labels = Provenance::of(base.config().value())
        .map(|provenance| provenance.layers)
        .unwrap_or_default();
    for layer in base.layers() {
        labels.entry(layer.diff_id).or_insert_with(|| LabelRecord {
            origin: recipe.base_origin.clone(),
            script: None,
        });
    }

    let mut image = base;
    let mut dockerfiles = Vec::new();
    for step in &recipe.steps {
        let key = layer_key(recipe, step, &image)?;
        if let Addition::Dockerfile(build) = &step.addition {
            dockerfiles.push(DockerfileRecord {
                origin: step.origin.clone(),
                digest: build.digest(),
                images: build.images.clone(),
                key,
            });
            image = add_dockerfile(
                world,
                (recipe, step, &key),
                build,
                (&image, &mut records, &mut labels),
            )?;
            continue;
        }
        let (kept, how) = match reusable(world, &key)? {
            Some(kept) => {
                world.reporter.event(Event::StepReused {
                    origin: &step.origin,
                });
                (kept, reused_how(step))
            }
            None => (make(world, recipe, step, (&key, &image))?, made_how(step)),
        };
        let label = LabelRecord {
            origin: step.origin.clone(),
            script: script_digest(step)?,
        };
        image = image.append(&NewLayer {
            descriptor: &kept.layer,
            diff_id: kept.diff_id,
            label: &label,
        })?;
        records.push(LayerRecord { how, ..kept.record });
        labels.insert(kept.diff_id, label);
    }

    let provenance = Provenance {
        v: 1,
        base: Some(recipe.base_record.clone()),
        layers: labels,
    };
    let image = image.with_config(&recipe.config, &provenance)?;
    write_documents(world, &image)?;
    Ok(Assembled {
        image,
        records,
        dockerfiles,
    })
}

/// Builds a Dockerfile; one that is not built on the image so far puts its own image in its place.
fn add_dockerfile(
    world: &World<'_>,
    step: (&Recipe, &Step, &LayerKey),
    build: &DockerfileBuild,
    (so_far, records, labels): (
        &Image,
        &mut Vec<LayerRecord>,
        &mut BTreeMap<crate::digest::DiffId, LabelRecord>,
    ),
) -> Result<Image, AssembleError> {
    let built = dockerfile::build(world, step, build, so_far)?;
    let below = built.image.layers().len() - built.layers.len();
    if !built.on_image_so_far {
        let known = Provenance::of(built.image.config().value())
            .map(|provenance| provenance.layers)
            .unwrap_or_default();
        records.clear();
        labels.clear();
        for layer in built.image.layers().iter().take(below) {
            let label = known.get(&layer.diff_id).cloned().unwrap_or(LabelRecord {
                origin: Origin {
                    kind: Kind::Unknown,
                    id: String::new(),
                    version: None,
                },
                script: None,
            });
            records.push(LayerRecord {
                origin: label.origin.clone(),
                script: label.script,
                key: None,
                how: How::Pulled,
                made_at: world.now.to_owned(),
            });
            labels.insert(layer.diff_id, label);
        }
    }
    for (kept, how) in built.layers {
        let label = LabelRecord {
            origin: kept.record.origin.clone(),
            script: kept.record.script,
        };
        labels.insert(kept.diff_id, label);
        records.push(LayerRecord { how, ..kept.record });
    }
    Ok(built.image)
}

pub(crate) fn reusable(
    world: &World<'_>,
    key: &LayerKey,
) -> Result<Option<KeptLayer>, AssembleError> {
    let kept = world.store.kept_layer(key)?;
    if kept.is_some() {
        world.store.use_kept_layer(world.lock, key);
    }
    Ok(kept)
}

fn make(
    world: &World<'_>,
    recipe: &Recipe,
    step: &Step,
    (key, below): (&LayerKey, &Image),
) -> Result<KeptLayer, AssembleError> {
    let captured = match &step.addition {
        Addition::Dockerfile(_) => unreachable!("a Dockerfile makes its own layers"),
        Addition::Files(files) => {
            let below = world.store.image_index(world.lock, below)?;
            store_files(world.store, world.lock, (files, &below)).map_err(|source| {
                AssembleError::Files {
                    origin: step.origin.clone(),
                    source,
                }
            })?
        }
        Addition::Scripts { files, run, env } => {
            write_documents(world, below)?;
            let files = &files.load()?;
            let title = step.origin.to_string();
            let request = StepRequest {
                store: world.store,
                lock: world.lock,
                image: below,
                task: Task::Scripts { files, run },
                network: StepNetwork::Configured,
                env,
                source_date: recipe.source_date,
                title: &title,
            };
            execution::run(world, &request, &step.origin)?
        }
    };
    let record = LayerRecord {
        origin: step.origin.clone(),
        script: script_digest(step)?,
        key: Some(*key),
        how: made_how(step),
        made_at: world.now.to_owned(),
    };
    execution::keep(world, key, captured, record)
}

/// What this machine knows of the base's layers: its own record of the image, else what its label says.
fn base_records(world: &World<'_>, recipe: &Recipe, base: &Image) -> Vec<LayerRecord> {
    let tags = world.store.tags().unwrap_or_default();
    let count = base.layers().len();
    // The base under its own name, else another image on it: both know when its layers came.
    let known = tags
        .iter()
        .find(|tag| tag.manifest.digest == *base.digest())
        .or_else(|| {
            let on_it = |tag: &&ImageRecord| {
                tag.base
                    .as_ref()
                    .is_some_and(|known| known.digest == *base.digest())
            };
            tags.iter().find(on_it)
        })
        .and_then(|tag| tag.layers.get(..count));
    if let Some(known) = known {
        return known
            .iter()
            .cloned()
            .map(|record| LayerRecord {
                origin: match record.origin.kind {
                    // It was pulled by name before anybody knew that it is a base.
                    Kind::Unknown => recipe.base_origin.clone(),
                    _ => record.origin,
                },
                how: match record.how {
                    How::Executed => How::Reused,
                    how => how,
                },
                ..record
            })
            .collect();
    }
    let labels: BTreeMap<_, _> = Provenance::of(base.config().value())
        .map(|provenance| provenance.layers)
        .unwrap_or_default();
    base.layers()
        .iter()
        .map(|layer| {
            let label = labels.get(&layer.diff_id);
            LayerRecord {
                origin: label
                    .map_or_else(|| recipe.base_origin.clone(), |label| label.origin.clone()),
                script: label.and_then(|label| label.script),
                key: None,
                how: How::Pulled,
                made_at: world.now.to_owned(),
            }
        })
        .collect()
}

pub(crate) fn write_documents(world: &World<'_>, image: &Image) -> Result<(), AssembleError> {
    let manifest = image.manifest();
    let config = &manifest.value().config.media_type;
    world
        .store
        .write_bytes(world.lock, config, image.config().bytes())?;
    world
        .store
        .write_bytes(world.lock, &manifest.value().media_type, manifest.bytes())?;
    Ok(())
}

pub(crate) fn script_digest(step: &Step) -> Result<Option<Digest>, FilesError> {
    match &step.addition {
        Addition::Scripts { files, .. } => files.digest().map(Some),
        Addition::Dockerfile(build) => Ok(Some(build.digest())),
        Addition::Files(_) => Ok(None),
    }
}

fn made_how(step: &Step) -> How {
    match &step.addition {
        Addition::Scripts { .. } | Addition::Dockerfile(_) => How::Executed,
        Addition::Files(_) => How::BuiltIn,
    }
}

fn reused_how(step: &Step) -> How {
    match &step.addition {
        Addition::Scripts { .. } | Addition::Dockerfile(_) => How::Reused,
        Addition::Files(_) => How::BuiltIn,
    }
}
