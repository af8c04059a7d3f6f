//! Plans: what a run would do to an agent's image, layer by layer, and why. Decided once; the run carries it out.
//!
//! Invariant: nothing is pulled or executed without a reason in words, and a plan changes nothing but what is known of
//! registries.

use assembler::{
    assemble::{Foreseen, foresee},
    image::Image,
    provenance::{How, Kind, LayerRecord, Origin},
    recipe::{Addition, Recipe, Step},
    reference::ImageReference,
    store::{ImageRecord, RemoteRecord},
};

use crate::{
    base_image::{self, BaseImage},
    compose::{self, Below},
    context::Context,
    diagnostic::Diagnostic,
    names, printer,
    selection::Selection,
    supply::{self, Ask, Offer},
    version,
};

/// Which state of the world a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// What the image was built on, when there is an image; else the newest.
    Held,
    /// The newest, with registries asked as said.
    Newest(Ask),
}

/// What is to be done to an agent's image.
#[derive(Debug)]
pub struct Plan {
    /// The image's name.
    pub reference: ImageReference,
    /// What is to be done.
    pub work: Work,
    /// Why, in sentences; empty when nothing is.
    pub reasons: Vec<String>,
    /// The image's layers as far as they are known, bottom first.
    pub layers: Vec<PlannedLayer>,
    /// The image as it is now.
    pub held: Option<ImageRecord>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Work {
    /// Nothing.
    Nothing,
    /// A finished image is pulled.
    Pull(Box<RemoteRecord>),
    /// The image is assembled on a base.
    Build {
        /// The base.
        base: BaseImage,
        /// The agent's version, where it is known.
        version: Option<String>,
    },
}

/// One layer of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLayer {
    /// Who contributes it.
    pub origin: Origin,
    /// What happens.
    pub action: LayerAction,
    /// Its compressed size in bytes, where it is known.
    pub size: Option<u64>,
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerAction {
    /// It is in the store.
    Reuse,
    /// It is fetched.
    Pull,
    /// Its scripts are run.
    Execute,
    /// It is made of the program's own files.
    BuiltIn,
}

impl Plan {
    /// Tells whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        matches!(self.work, Work::Nothing)
    }

    /// Returns how many bytes are fetched from registries.
    pub fn download(&self) -> u64 {
        let pulled = self
            .layers
            .iter()
            .filter(|layer| layer.action == LayerAction::Pull);
        pulled.filter_map(|layer| layer.size).sum()
    }
}

/// Plans the image of a selection.
pub async fn plan(
    context: &Context,
    selection: Selection<'_>,
    want: Want,
) -> Result<Plan, Diagnostic> {
    let (store, _) = context.store()?;
    let reference = names::final_image(&selection.agent.id, &selection.base.id);
    let held = store.tagged(&reference)?;
    let draft = Draft {
        context,
        selection,
        reference,
        held,
    };
    if want == Want::Held
        && let Some(record) = &draft.held
        && let Some(plan) = draft.held(record)?
    {
        return Ok(plan);
    }
    let ask = match want {
        Want::Newest(ask) => ask,
        Want::Held => Ask::WhenOld,
    };
    if let Some(record) = draft.published(ask).await? {
        return draft.pull(*record);
    }
    let base = base_image::find(context, selection.base, ask).await?;
    let version = match (&base, ask) {
        (BaseImage::ToBuild, _) => version::known(context, selection),
        (_, Ask::Always) => match draft.base_documents(&base)? {
            Some(image) if base_image::missing_bytes(context, &image)? == 0 => {
                version::newest(context, selection, &image, ask).await?
            }
            _ => version::known(context, selection),
        },
        (_, Ask::WhenOld) => version::known(context, selection),
    };
    draft.build(base, version)
}

struct Draft<'a> {
    context: &'a Context,
    selection: Selection<'a>,
    reference: ImageReference,
    held: Option<ImageRecord>,
}

impl Draft<'_> {
    /// Plans for the image as it was made; `None` when what it was made of is no longer known.
    fn held(&self, record: &ImageRecord) -> Result<Option<Plan>, Diagnostic> {
        let (store, _) = self.context.store()?;
        if store.manifest(&record.manifest.digest)?.is_none() {
            return Ok(None);
        }
        let Some(base) = &record.base else {
            let image = store.image(&record.manifest.digest)?;
            let complete = base_image::missing_bytes(self.context, &image)? == 0;
            return Ok(complete.then(|| self.nothing(&image, record)));
        };
        // A base that was assembled here, or by the user's definition, is followed at once: it cost no network.
        let local = store.tagged(&base_image::local_name(self.selection.base))?;
        if local.is_some_and(|local| local.manifest.digest != base.digest) {
            return Ok(None);
        }
        let Some(manifest) = store.manifest(&base.digest)? else {
            return Ok(None);
        };
        let remembered = RemoteRecord {
            reference: base
                .reference
                .parse()
                .unwrap_or_else(|_not_a_name| self.reference.clone()),
            digest: base.digest,
            manifest: assembler::descriptor::Descriptor {
                media_type: manifest.value().media_type.clone(),
                digest: base.digest,
                size: manifest.size(),
                annotations: std::collections::BTreeMap::new(),
            },
            layers: manifest.value().layers.clone(),
            checked_at: record.made_at.clone(),
        };
        let version = agent_record(record).and_then(|layer| layer.origin.version.clone());
        self.build(BaseImage::Published(Box::new(remembered)), version)
            .map(Some)
    }

    /// Returns the published final image, where there can be one and there is.
    async fn published(&self, ask: Ask) -> Result<Option<Box<RemoteRecord>>, Diagnostic> {
        let Selection { agent, base } = self.selection;
        let (store, _) = self.context.store()?;
        if !agent.is_published()
            || base.is_custom()
            || store.tagged(&base_image::local_name(base))?.is_some()
        {
            return Ok(None);
        }
        let repository = &self.context.settings.config.registry.final_repository;
        let reference: ImageReference = format!("{repository}:{}-{}", agent.id, base.id)
            .parse()
            .expect(
                "the repository was checked with the configuration, the ids with their definitions",
            );
        match supply::look_up(self.context, &reference, ask).await? {
            Offer::There(record) => Ok(Some(record)),
            Offer::None => Ok(None),
            Offer::Unknown(why) => {
                if !self.context.options.offline {
                    self.context.printer.warn(&format!(
                        "cannot tell whether {reference} is published, so it is built here: {why}"
                    ));
                }
                Ok(None)
            }
        }
    }

    fn pull(&self, offered: RemoteRecord) -> Result<Plan, Diagnostic> {
        let (store, _) = self.context.store()?;
        let image = store.image(&offered.manifest.digest)?;
        let missing = base_image::missing_bytes(self.context, &image)?;
        let held_digest = self.held.as_ref().map(|held| {
            held.base
                .as_ref()
                .map_or(held.manifest.digest, |base| base.digest)
        });
        if missing == 0
            && held_digest == Some(offered.manifest.digest)
            && let Some(held) = &self.held
        {
            return Ok(self.nothing(&image, held));
        }
        let reason = match &self.held {
            None => format!("{} is not in the store", self.reference.familiar()),
            Some(_) if held_digest == Some(offered.manifest.digest) => {
                "layers of it are not in the store".to_owned()
            }
            Some(_) => format!(
                "{} has a newer image: {} of layers are new",
                offered.reference,
                printer::bytes(missing)
            ),
        };
        let layers = self.layers_below(
            &image,
            &Origin {
                kind: Kind::Unknown,
                id: String::new(),
                version: None,
            },
        )?;
        Ok(Plan {
            reference: self.reference.clone(),
            work: Work::Pull(Box::new(offered)),
            reasons: vec![reason],
            layers,
            held: self.held.clone(),
        })
    }

    fn build(&self, base: BaseImage, version: Option<String>) -> Result<Plan, Diagnostic> {
        let (store, _) = self.context.store()?;
        let Some(image) = self.base_documents(&base)? else {
            return Ok(self.build_unknown_base(base, version));
        };
        let record = base.record().expect("only an unbuilt base has no record");
        let below = Below {
            image: &image,
            record,
            origin: base_image::origin(&self.selection.base.id),
            source_date: self.context.settings.environment.source_date,
        };
        let init = crate::init_program::init_for(&image.platform().architecture)?;
        let recipe = compose::agent_image(below, self.selection.agent, version.as_deref(), init);
        let foreseen = foresee(store, &recipe)?;
        let mut layers = self.layers_below(&image, &recipe.base_origin)?;
        layers.extend(recipe.steps.iter().zip(&foreseen).map(planned));
        let reasons = self.reasons(&recipe, &foreseen, &image)?;
        let work = if reasons.is_empty() {
            Work::Nothing
        } else {
            Work::Build { base, version }
        };
        Ok(Plan {
            reference: self.reference.clone(),
            work,
            reasons,
            layers,
            held: self.held.clone(),
        })
    }

    fn build_unknown_base(&self, base: BaseImage, version: Option<String>) -> Plan {
        let agent = Origin {
            kind: Kind::Agent,
            id: self.selection.agent.id.clone(),
            version: version.clone(),
        };
        let executed = |origin| PlannedLayer {
            origin,
            action: LayerAction::Execute,
            size: None,
        };
        Plan {
            reference: self.reference.clone(),
            work: Work::Build { base, version },
            reasons: vec![format!(
                "base `{}` is not assembled yet",
                self.selection.base.id
            )],
            layers: vec![
                executed(base_image::origin(&self.selection.base.id)),
                executed(agent),
            ],
            held: self.held.clone(),
        }
    }

    /// Says why the image must be assembled; nothing when what is there is what the recipe gives.
    fn reasons(
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
                reasons.push("its layers are not those that its definitions give".to_owned());
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
        let new: Vec<_> = base
            .layers()
            .iter()
            .map(|layer| &layer.descriptor)
            .filter(|layer| {
                before
                    .value()
                    .layers
                    .iter()
                    .all(|old| old.digest != layer.digest)
            })
            .collect();
        let bytes = new.iter().map(|layer| layer.size).sum();
        Ok(match new.as_slice() {
            [] => format!("base `{name}` changed its settings or lost layers; no layer is new"),
            [only] => format!(
                "base `{name}` changed: layer {} is new, {}",
                only.digest,
                printer::bytes(bytes)
            ),
            [..] => format!(
                "base `{name}` changed: {} layers are new, {}",
                new.len(),
                printer::bytes(bytes)
            ),
        })
    }

    fn nothing(&self, image: &Image, record: &ImageRecord) -> Plan {
        let layers = image
            .layers()
            .iter()
            .enumerate()
            .map(|(index, layer)| PlannedLayer {
                origin: record.layers.get(index).map_or_else(
                    || base_image::origin(&self.selection.base.id),
                    |layer| layer.origin.clone(),
                ),
                action: LayerAction::Reuse,
                size: Some(layer.descriptor.size),
            });
        Plan {
            reference: self.reference.clone(),
            work: Work::Nothing,
            reasons: Vec::new(),
            layers: layers.collect(),
            held: self.held.clone(),
        }
    }

    fn layers_below(
        &self,
        image: &Image,
        origin: &Origin,
    ) -> Result<Vec<PlannedLayer>, Diagnostic> {
        let (store, _) = self.context.store()?;
        let known = assembler::provenance::Provenance::of(image.config().value());
        let mut layers = Vec::new();
        for layer in image.layers() {
            let label = known
                .as_ref()
                .and_then(|known| known.layers.get(&layer.diff_id));
            layers.push(PlannedLayer {
                origin: label.map_or_else(|| origin.clone(), |label| label.origin.clone()),
                action: if store.has(&layer.descriptor)? {
                    LayerAction::Reuse
                } else {
                    LayerAction::Pull
                },
                size: Some(layer.descriptor.size),
            });
        }
        Ok(layers)
    }

    fn base_documents(&self, base: &BaseImage) -> Result<Option<Image>, Diagnostic> {
        let (store, _) = self.context.store()?;
        match base.record() {
            Some(record) => Ok(Some(store.image(&record.digest)?)),
            None => Ok(None),
        }
    }
}

fn planned((step, foreseen): (&Step, &Foreseen)) -> PlannedLayer {
    let action = match (&step.addition, &foreseen.kept) {
        (Addition::Files(_), _) => LayerAction::BuiltIn,
        (Addition::Scripts { .. }, Some(_)) => LayerAction::Reuse,
        (Addition::Scripts { .. }, None) => LayerAction::Execute,
    };
    PlannedLayer {
        origin: step.origin.clone(),
        action,
        size: foreseen.kept.as_ref().map(|kept| kept.layer.size),
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

fn agent_record(record: &ImageRecord) -> Option<&LayerRecord> {
    record
        .layers
        .iter()
        .find(|layer| layer.origin.kind == Kind::Agent)
}
