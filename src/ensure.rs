//! Carries a plan out: fetches and assembles until the image is in the store under its name.
//!
//! Invariant: the name is moved last; a run that is killed leaves the image as it was, and what was fetched or executed
//! is found again by the next run.

use assembler::{
    assemble::{Assembled, assemble},
    image::Image,
    provenance::{How, LayerRecord, Origin, Provenance},
    recipe::Recipe,
    reference::ImageReference,
    sandbox::World,
    store::{ImageRecord, Parts, RemoteRecord},
};

use crate::{
    base_build::{self, Root},
    base_image::{self, BaseImage},
    compose::{self, Additions, Below, Install},
    context::Context,
    definition::base::BaseDefinition,
    diagnostic::Diagnostic,
    dockerfiles::{self, Dockerfiles},
    init_program, listing,
    plan::{AgentVersion, Plan, Work},
    runner::Runner,
    selection::Selection,
    supply::{self, Ask},
    version,
};

/// Makes the planned image and returns it.
pub async fn carry_out(
    context: &Context,
    selection: &Selection<'_>,
    plan: &Plan,
) -> Result<Image, Diagnostic> {
    let (store, _) = context.store()?;
    match &plan.work {
        Work::Nothing => {
            let held = plan
                .held
                .as_ref()
                .expect("nothing is to be done for an image that is there");
            Ok(store.image(&held.manifest.digest)?)
        }
        Work::Pull(offered) => pull(context, selection, plan, offered).await,
        Work::Build {
            base,
            version,
            dockerfiles,
        } => {
            let base_image = base_ready(context, selection.base, base).await?;
            let version = match version {
                AgentVersion::Known(version) => version.clone(),
                AgentVersion::Asked(ask) => {
                    version::newest(context, selection, &base_image.image, *ask)?
                }
            };
            let init = init_program::init_for(&base_image.image.platform().architecture)?;
            let below = Below {
                image: &base_image.image,
                record: base_image.record,
                origin: base.origin(&selection.base.id),
                source_date: context.settings.environment.source_date,
            };
            let additions = Additions {
                agent: selection.agent,
                install: base.install(version.as_deref()),
                extensions: &selection.extensions,
                dockerfiles,
            };
            let recipe = compose::agent_image(below, additions, init);
            dockerfiles::fetch(context, &recipe).await?;
            let name = Name::of(selection);
            build(context, &recipe, &name, &plan.reasons)
        }
    }
}

/// What an image is called, and what was chosen for it.
#[derive(Clone, Debug)]
pub struct Name {
    reference: ImageReference,
    parts: Option<Parts>,
}

impl Name {
    /// Returns the name of a selection's image.
    pub fn of(selection: &Selection<'_>) -> Self {
        let extensions = selection.extensions.iter();
        Self {
            reference: selection.reference.clone(),
            parts: Some(Parts {
                agent: selection.agent.id.clone(),
                base: selection.base.id.clone(),
                extensions: extensions.map(|extension| extension.id.clone()).collect(),
            }),
        }
    }
}

impl From<ImageReference> for Name {
    /// Names an image that nobody chose the parts of, such as a base.
    fn from(reference: ImageReference) -> Self {
        Self {
            reference,
            parts: None,
        }
    }
}

/// Assembles a recipe and gives the image its name.
pub fn build(
    context: &Context,
    recipe: &Recipe,
    name: &Name,
    reasons: &[String],
) -> Result<Image, Diagnostic> {
    let (store, lock) = context.store()?;
    let logs = context.settings.logs();
    let runner = Runner::new(context);
    let world = World {
        store,
        lock,
        sandbox: &runner,
        reporter: context.reporter.as_ref(),
        logs: &logs,
        now: &context.now,
    };
    let Assembled {
        image,
        records,
        dockerfiles,
    } = tokio::task::block_in_place(|| assemble(&world, recipe)).map_err(|error| {
        let diagnostic = Diagnostic::from(error);
        if context.options.offline && diagnostic.code() == "script-failed" {
            return diagnostic.hint(
                "with `--offline` scripts have no network; if this one needs it, run the same command once without",
            );
        }
        diagnostic
    })?;
    let record = ImageRecord {
        reference: name.reference.clone(),
        parts: name.parts.clone(),
        manifest: descriptor_of(&image),
        made_at: context.now.clone(),
        base: Some(recipe.base_record.clone()),
        layers: records,
        dockerfiles,
        reason: Some(reasons.join("; ")).filter(|reason| !reason.is_empty()),
        source_date: recipe.source_date,
    };
    store.tag(lock, &record)?;
    listing::remember(context, recipe);
    Ok(image)
}

/// Gives a fetched image a name; nothing is known of its layers but what its label says.
pub fn name_fetched(
    context: &Context,
    image: &Image,
    name: &Name,
    unlabelled: &Origin,
) -> Result<(), Diagnostic> {
    let (store, lock) = context.store()?;
    if let Some(known) = store.tagged(&name.reference)?
        && known.manifest.digest == *image.digest()
        && known.parts == name.parts
    {
        return Ok(());
    }
    let labels = Provenance::of(image.config().value())
        .map(|provenance| provenance.layers)
        .unwrap_or_default();
    let layers = image.layers().iter().map(|layer| {
        let label = labels.get(&layer.diff_id);
        LayerRecord {
            origin: label.map_or_else(|| unlabelled.clone(), |label| label.origin.clone()),
            script: label.and_then(|label| label.script),
            key: None,
            how: How::Pulled,
            made_at: context.now.clone(),
        }
    });
    let record = ImageRecord {
        reference: name.reference.clone(),
        parts: name.parts.clone(),
        manifest: descriptor_of(image),
        made_at: context.now.clone(),
        base: None,
        layers: layers.collect(),
        dockerfiles: Vec::new(),
        reason: None,
        source_date: None,
    };
    Ok(store.tag(lock, &record)?)
}

async fn pull(
    context: &Context,
    selection: &Selection<'_>,
    plan: &Plan,
    offered: &RemoteRecord,
) -> Result<Image, Diagnostic> {
    let image = supply::fetch(context, offered).await?;
    let unlabelled = base_image::unknown_origin();
    if !compose::honours_contract(image.config().value()) {
        let below = Below {
            image: &image,
            record: assembler::provenance::BaseRecord {
                reference: offered.reference.to_string(),
                digest: offered.manifest.digest,
            },
            origin: unlabelled,
            source_date: context.settings.environment.source_date,
        };
        let init = init_program::init_for(&image.platform().architecture)?;
        let additions = Additions {
            agent: selection.agent,
            install: Install::There,
            extensions: &[],
            dockerfiles: &Dockerfiles::new(),
        };
        let recipe = compose::agent_image(below, additions, init);
        return build(context, &recipe, &Name::of(selection), &plan.reasons);
    }
    name_fetched(context, &image, &Name::of(selection), &unlabelled)?;
    let (store, lock) = context.store()?;
    if let Some(record) = store.tagged(&plan.reference)? {
        let reason = Some(plan.reasons.join("; "));
        store.tag(lock, &ImageRecord { reason, ..record })?;
    }
    Ok(image)
}

/// A base's image, whole in the store.
#[derive(Debug)]
pub struct ReadyBase {
    /// The image.
    pub image: Image,
    /// What an image on it records as its base.
    pub record: assembler::provenance::BaseRecord,
}

/// Makes sure that the image of `base` is whole in the store.
pub async fn base(context: &Context, base: &BaseDefinition) -> Result<ReadyBase, Diagnostic> {
    let found = base_image::find(context, base, Ask::WhenOld).await?;
    base_ready(context, base, &found).await
}

async fn base_ready(
    context: &Context,
    definition: &BaseDefinition,
    base: &BaseImage,
) -> Result<ReadyBase, Diagnostic> {
    let (store, _) = context.store()?;
    let image = match base {
        BaseImage::Published(record) | BaseImage::Final(record) => {
            supply::fetch(context, record).await?
        }
        BaseImage::Local(record) => {
            let image = store.image(&record.manifest.digest)?;
            if base_image::missing_bytes(context, &image)? == 0 {
                image
            } else {
                // No registry has what was assembled here.
                let root = record.base.clone().map_or(Root::Defined, Root::Kept);
                base_build::build(context, definition, (&root, None)).await?
            }
        }
        BaseImage::Outdated { root, reason } => {
            base_build::build(context, definition, (root, Some(reason))).await?
        }
        BaseImage::ToBuild => {
            base_build::build(context, definition, (&Root::Defined, None)).await?
        }
    };
    let record = base
        .record()
        .unwrap_or_else(|| assembler::provenance::BaseRecord {
            reference: base_image::local_name(definition).to_string(),
            digest: *image.digest(),
        });
    Ok(ReadyBase { image, record })
}

fn descriptor_of(image: &Image) -> assembler::descriptor::Descriptor {
    let manifest = image.manifest();
    let said = manifest.value().media_type.as_str();
    assembler::descriptor::Descriptor {
        media_type: if said.is_empty() {
            assembler::descriptor::media_type::OCI_MANIFEST
        } else {
            said
        }
        .to_owned(),
        digest: *manifest.digest(),
        size: manifest.size(),
        annotations: std::collections::BTreeMap::new(),
    }
}
