//! Walks a planned Dockerfile group by group: each is kept from before, or made now, or, when only looking ahead, unknown.
//!
//! Invariant: a group's key is computed the same way whether it is about to run or only looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    DockerfileBuild, DockerfileError,
    groups::Group,
    key::group_key,
    plan::{self, BaseConfig, PlannedStage},
    stages::{Base, Stages},
    state,
};
use crate::{
    append::NewLayer,
    assemble::AssembleError,
    digest::LayerKey,
    image::Image,
    provenance::{LabelRecord, Origin},
    store::{BlobStore, KeptLayer},
};

/// What a group's key and its making need to know.
pub(crate) struct At<'a> {
    pub(crate) build: &'a DockerfileBuild,
    pub(crate) stages: &'a Stages<'a>,
    /// All images that are known so far, the stages that are finished among them.
    pub(crate) images: &'a BTreeMap<Base, Image>,
    /// The stage that the group is in.
    pub(crate) stage: usize,
    pub(crate) group: &'a Group,
    /// All stages that are needed.
    pub(crate) planned: &'a BTreeMap<usize, PlannedStage>,
    /// The image that the group runs on.
    pub(crate) below: &'a Image,
    pub(crate) key: LayerKey,
}

/// One group, as far as it is known.
#[derive(Clone, Debug)]
pub struct ForeseenGroup {
    /// For people: its first instruction, how many follow, and where they stand.
    pub title: String,
    /// Its key, when everything below it is known.
    pub key: Option<LayerKey>,
    /// Its layer, when an earlier run left it.
    pub kept: Option<KeptLayer>,
    /// Whether its layer is in the image, and not only in a stage that is copied from.
    pub in_image: bool,
}

/// What came of a walk.
#[derive(Debug)]
pub(crate) struct Walked<How> {
    /// The finished image, when all of it is known.
    pub(crate) image: Option<Image>,
    /// Whether the image so far is below it.
    pub(crate) on_image_so_far: bool,
    /// What the target's groups gave, bottom first.
    pub(crate) layers: Vec<(KeptLayer, How)>,
    pub(crate) groups: Vec<ForeseenGroup>,
}

/// The recipe's part in a walk.
pub(crate) struct Walk<'a> {
    pub(crate) store: &'a BlobStore,
    pub(crate) build: &'a DockerfileBuild,
    /// The image so far.
    pub(crate) so_far: &'a Image,
    /// What the image so far is called, for commands and labels that ask for the argument.
    pub(crate) so_far_name: &'a str,
    pub(crate) origin: &'a Origin,
    pub(crate) source_date: Option<i64>,
    /// What is said of each layer.
    pub(crate) label: &'a LabelRecord,
}

/// Gives a group's layer, or nothing when it stays unknown.
pub(crate) type Make<'m, How> =
    dyn FnMut(&At<'_>) -> Result<Option<(KeptLayer, How)>, AssembleError> + 'm;

/// Walks a Dockerfile; `make` gives a group's layer, or nothing when it stays unknown.
pub(crate) fn walk<How: Clone>(
    walk: &Walk<'_>,
    make: &mut Make<'_, How>,
) -> Result<Walked<How>, AssembleError> {
    let build = walk.build;
    build.context.open().map_err(DockerfileError::from)?;
    let script = build.script()?;
    let platform = walk.so_far.platform();
    let mut stages = Stages::of(&script, &build.args, &platform, build.target.as_deref())
        .map_err(|refusal| build.refused(refusal))?;
    walk.so_far_name.clone_into(&mut stages.so_far_name);
    let (mut images, configs) = open_images(walk, &mut stages)?;
    let planned = plan::plan(build, &stages, &configs).map_err(|refusal| build.refused(refusal))?;
    let in_target = chain(&stages, stages.target);
    let mut layers: BTreeMap<usize, Vec<(KeptLayer, How)>> = BTreeMap::new();
    let mut groups = Vec::new();
    for (index, stage) in &planned {
        let mut gave = match &stage.base {
            Base::Stage(below) => layers.get(below).cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut image = images.get(&stage.base).cloned();
        for group in &stage.groups {
            let mut foreseen = ForeseenGroup {
                title: group.title(&build.file),
                key: None,
                kept: None,
                in_image: in_target.contains(index),
            };
            if let Some(below) = image.take() {
                let (key, made) = one(
                    walk,
                    (&stages, *index, group),
                    (&images, &below, &planned),
                    make,
                )?;
                foreseen.key = key;
                if let Some((kept, how)) = made {
                    image = Some(below.append(&NewLayer {
                        descriptor: &kept.layer,
                        diff_id: kept.diff_id,
                        label: walk.label,
                    })?);
                    foreseen.kept = Some(kept.clone());
                    gave.push((kept, how));
                }
            }
            if foreseen.kept.is_none() {
                // It will run.
                let checked = build.check_secrets(group);
                checked.map_err(|refusal| build.refused(refusal))?;
            }
            groups.push(foreseen);
        }
        if let Some(image) = image {
            images.insert(Base::Stage(*index), finished(&image, stage)?);
        }
        layers.insert(*index, gave);
    }
    let root = in_target.last().and_then(|stage| stages.bases.get(*stage));
    Ok(Walked {
        image: images.remove(&Base::Stage(stages.target)),
        on_image_so_far: root == Some(&Base::SoFar),
        layers: layers.remove(&stages.target).unwrap_or_default(),
        groups,
    })
}

type Made<How> = (Option<LayerKey>, Option<(KeptLayer, How)>);

fn one<How>(
    walk: &Walk<'_>,
    (stages, stage, group): (&Stages<'_>, usize, &Group),
    (images, below, planned): (
        &BTreeMap<Base, Image>,
        &Image,
        &BTreeMap<usize, PlannedStage>,
    ),
    make: &mut Make<'_, How>,
) -> Result<Made<How>, AssembleError> {
    let build = walk.build;
    let key = group_key(walk, (stages, stage, group), (images, below))
        .map_err(|refusal| build.refused(refusal))?;
    let Some(key) = key else {
        return Ok((None, None));
    };
    let at = At {
        build,
        stages,
        images,
        stage,
        group,
        planned,
        below,
        key,
    };
    Ok((Some(key), make(&at)?))
}

/// Lists a stage and the stages it is built on.
fn chain(stages: &Stages<'_>, target: usize) -> Vec<usize> {
    let mut chain = vec![target];
    let mut at = target;
    while let Some(Base::Stage(below)) = stages.bases.get(at) {
        at = *below;
        chain.push(at);
    }
    chain
}

fn finished(image: &Image, stage: &PlannedStage) -> Result<Image, AssembleError> {
    let author = stage.state.author.as_deref();
    Ok(image.with_run_config(&stage.state.config, author)?)
}

type Opened = (BTreeMap<Base, Image>, BTreeMap<Base, BaseConfig>);

/// Opens every image that needed stages name, and those that the opened ones lead to.
fn open_images(walk: &Walk<'_>, stages: &mut Stages<'_>) -> Result<Opened, AssembleError> {
    let build = walk.build;
    let mut images = BTreeMap::new();
    let mut configs = BTreeMap::new();
    loop {
        let opened = open_more(walk, stages, &images)?;
        if opened.is_empty() {
            break;
        }
        for (base, image) in opened {
            let config = config_of(&image);
            stages
                .leave(&base, state::strings(config.0.get("OnBuild")))
                .map_err(|refusal| build.refused(refusal))?;
            configs.insert(base.clone(), config);
            images.insert(base, image);
        }
    }
    Ok((images, configs))
}

/// Opens what needed stages name and `images` has not.
fn open_more(
    walk: &Walk<'_>,
    stages: &Stages<'_>,
    images: &BTreeMap<Base, Image>,
) -> Result<BTreeMap<Base, Image>, AssembleError> {
    let build = walk.build;
    let mut opened = BTreeMap::new();
    for index in &stages.needed {
        let line = stages
            .script
            .stages
            .get(*index)
            .map_or(1, |stage| stage.line);
        let sources = stages
            .sources_of(*index)
            .map_err(|refusal| build.refused(refusal))?;
        for (position, base) in sources.into_iter().enumerate() {
            if images.contains_key(&base) {
                continue;
            }
            let image = match &base {
                Base::Stage(_) => continue,
                Base::Scratch => Image::empty(&walk.so_far.platform())?,
                Base::SoFar => walk.so_far.clone(),
                Base::Image(name) => match build.images.get(name) {
                    Some(digest) => walk.store.image(digest)?,
                    // The plan says it with the line of who copies from it.
                    None if position > 0 => continue,
                    None => {
                        return Err(build.refused(stages.no_image(name, line)).into());
                    }
                },
            };
            opened.insert(base, image);
        }
    }
    Ok(opened)
}

fn config_of(image: &Image) -> BaseConfig {
    let document = image.config().json();
    let config = document
        .get("config")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let author = document
        .get("author")
        .and_then(Value::as_str)
        .map(ToOwned::to_owned);
    (config, author)
}
