//! How a plan is made: what there should be, and each layer's part in it.

use assembler::{
    foresee::{Foreseen, foresee},
    image::Image,
    provenance::{Kind, Origin},
    recipe::{Addition, Recipe, Step},
    reference::ImageReference,
    store::{ImageRecord, RemoteRecord},
};

use super::{AgentVersion, LayerAction, Plan, PlannedLayer, Work};
use crate::{
    base_image::{self, BaseImage},
    compose::{self, Additions, Below},
    context::Context,
    diagnostic::Diagnostic,
    dockerfiles::Dockerfiles,
    printer,
    selection::Selection,
    supply::{self, Ask, Offer},
};

/// What a plan is made from.
pub(super) struct Draft<'a> {
    pub(super) context: &'a Context,
    pub(super) selection: &'a Selection<'a>,
    pub(super) reference: ImageReference,
    pub(super) held: Option<ImageRecord>,
    pub(super) dockerfiles: Dockerfiles,
}

/// What `version.sh` said.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Just now; nothing where it said nothing.
    Now(Option<String>),
    /// Some time ago, on this base; it is asked like this before the agent's script runs, which installs what is newest then.
    Before(Option<String>, Ask),
}

impl Answer {
    /// Returns the version, or that of the image at hand: not to know better is no reason to make it again.
    fn or_held(&self, draft: &Draft<'_>) -> Option<String> {
        let (Self::Now(version) | Self::Before(version, _)) = self;
        version.clone().or_else(|| {
            let layers = &draft.held.as_ref()?.layers;
            let agent = layers.iter().find(|layer| {
                layer.origin.kind == Kind::Agent && layer.origin.id == draft.selection.agent.id
            })?;
            agent.origin.version.clone()
        })
    }
}

/// A recipe and what is known of its steps.
struct Sketch {
    recipe: Recipe,
    foreseen: Vec<Foreseen>,
}

impl Draft<'_> {
    /// Returns the published final image, where there can be one and there is.
    pub(super) async fn published(
        &self,
        ask: Ask,
    ) -> Result<Option<Box<RemoteRecord>>, Diagnostic> {
        if self.not_pulled()?.is_some() {
            return Ok(None);
        }
        let reference = base_image::published_final(self.context, self.selection);
        match supply::look_up(self.context, &reference, ask).await? {
            Offer::There(record) => Ok(Some(record)),
            Offer::None => Ok(None),
            Offer::Unknown(why) => {
                if !self.context.options.offline && ask != Ask::Never {
                    self.context.printer.warn(&format!(
                        "cannot tell whether {reference} is published, so it is built here: {why}"
                    ));
                }
                Ok(None)
            }
        }
    }

    pub(super) fn pull(&self, offered: RemoteRecord) -> Result<Plan, Diagnostic> {
        let (store, _) = self.context.store()?;
        let image = store.image(&offered.manifest.digest)?;
        let missing = base_image::missing_bytes(self.context, &image)?;
        let held_digest = self.held.as_ref().map(|held| {
            held.base
                .as_ref()
                .map_or(held.manifest.digest, |base| base.digest)
        });
        let other = match &self.held {
            Some(held) => self.other_choice(held)?,
            None => None,
        };
        if missing == 0
            && held_digest == Some(offered.manifest.digest)
            && other.is_none()
            && let Some(held) = &self.held
        {
            return Ok(self.nothing(&image, held));
        }
        let reason = match &self.held {
            None => format!("{} is not in the store", self.reference.familiar()),
            Some(_) if let Some(other) = other => other,
            Some(_) if held_digest == Some(offered.manifest.digest) => {
                "layers of it are not in the store".to_owned()
            }
            Some(held) if !base_image::was_pulled(self.context, self.selection, held) => format!(
                "{} is published: {} of layers are new",
                offered.reference,
                printer::bytes(missing)
            ),
            Some(_) => format!(
                "{} has a newer image: {} of layers are new",
                offered.reference,
                printer::bytes(missing)
            ),
        };
        let layers = self.layers_below(&image, &base_image::unknown_origin())?;
        Ok(Plan {
            reference: self.reference.clone(),
            work: Work::Pull(Box::new(offered)),
            reasons: vec![reason],
            layers,
            held: self.held.clone(),
        })
    }

    /// Plans what assembling on `base` takes, and why it must be done.
    ///
    /// Held against what there is under the clamp of times that it was made with: the caller's `SOURCE_DATE_EPOCH` counts
    /// for what is made, and is no reason to make anything.
    pub(super) fn build(&self, base: BaseImage, answer: Answer) -> Result<Plan, Diagnostic> {
        let Some(image) = self.base_documents(&base)? else {
            return self.build_unknown_base(base, answer);
        };
        let shown = answer.or_held(self);
        let clamp = self.context.settings.environment.source_date;
        let before = self.held.as_ref().map_or(clamp, |held| held.source_date);
        let mut sketch = self.sketch((&base, &image), shown.as_deref(), before)?;
        let mut reasons = self.reasons(&sketch.recipe, &sketch.foreseen, &image)?;
        if !reasons.is_empty() && clamp != before {
            sketch = self.sketch((&base, &image), shown.as_deref(), clamp)?;
            reasons.push(clamp_reason(clamp));
        }
        let Sketch { recipe, foreseen } = sketch;
        let mut layers = self.layers_below(&image, &recipe.base_origin)?;
        layers.extend(recipe.steps.iter().zip(&foreseen).map(planned));
        let work = if reasons.is_empty() {
            Work::Nothing
        } else {
            let runs = layers.iter().any(|layer| {
                layer.origin.kind == Kind::Agent && layer.action == LayerAction::Execute
            });
            Work::Build {
                version: match answer {
                    Answer::Before(_, ask) if runs => AgentVersion::Asked(ask),
                    Answer::Before(..) | Answer::Now(_) => AgentVersion::Known(shown),
                },
                base,
                dockerfiles: self.dockerfiles.clone(),
            }
        };
        Ok(Plan {
            reference: self.reference.clone(),
            work,
            reasons,
            layers,
            held: self.held.clone(),
        })
    }

    fn sketch(
        &self,
        (base, image): (&BaseImage, &Image),
        version: Option<&str>,
        source_date: Option<i64>,
    ) -> Result<Sketch, Diagnostic> {
        let (store, _) = self.context.store()?;
        let below = Below {
            image,
            record: base.record().expect("only an unbuilt base has no record"),
            origin: base.origin(&self.selection.base.id),
            source_date,
        };
        let init = crate::init_program::init_for(&image.platform().architecture)?;
        let additions = Additions {
            agent: self.selection.agent,
            install: base.install(version),
            extensions: &self.selection.extensions,
            dockerfiles: &self.dockerfiles,
        };
        let recipe = compose::agent_image(below, additions, init);
        let foreseen = foresee(store, &recipe)?;
        Ok(Sketch { recipe, foreseen })
    }

    fn build_unknown_base(&self, base: BaseImage, answer: Answer) -> Result<Plan, Diagnostic> {
        let other = match &self.held {
            Some(held) => self.other_choice(held)?,
            None => None,
        };
        let agent = Origin {
            kind: Kind::Agent,
            id: self.selection.agent.id.clone(),
            version: answer.or_held(self),
        };
        let with_layers = self.selection.extensions.iter();
        let extensions = with_layers
            .filter(|extension| extension.adds_layers())
            .map(|extension| Origin {
                kind: Kind::Extension,
                id: extension.id.clone(),
                version: None,
            });
        let executed = |origin| PlannedLayer {
            origin,
            action: LayerAction::Execute,
            size: None,
        };
        let reason = match (&base, other) {
            (_, Some(other)) => other,
            (BaseImage::Outdated { reason, .. }, None) => reason.clone(),
            (_, None) => format!("base `{}` is not assembled yet", self.selection.base.id),
        };
        let version = match answer {
            Answer::Now(version) => AgentVersion::Known(version),
            Answer::Before(_, ask) => AgentVersion::Asked(ask),
        };
        Ok(Plan {
            reference: self.reference.clone(),
            work: Work::Build {
                base,
                version,
                dockerfiles: self.dockerfiles.clone(),
            },
            reasons: vec![reason],
            layers: [base_image::origin(&self.selection.base.id), agent]
                .into_iter()
                .chain(extensions)
                .map(executed)
                .collect(),
            held: self.held.clone(),
        })
    }

    pub(super) fn nothing(&self, image: &Image, record: &ImageRecord) -> Plan {
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

    pub(super) fn base_documents(&self, base: &BaseImage) -> Result<Option<Image>, Diagnostic> {
        let (store, _) = self.context.store()?;
        match base.record() {
            Some(record) => Ok(Some(store.image(&record.digest)?)),
            None => Ok(None),
        }
    }
}

fn clamp_reason(clamp: Option<i64>) -> String {
    match clamp {
        Some(clamp) => format!("`SOURCE_DATE_EPOCH` is {clamp} now"),
        None => "`SOURCE_DATE_EPOCH` is not set any more".to_owned(),
    }
}

fn planned((step, foreseen): (&Step, &Foreseen)) -> PlannedLayer {
    let action = match (&step.addition, &foreseen.kept) {
        (Addition::Files(_), _) => LayerAction::BuiltIn,
        (Addition::Scripts { .. }, Some(_)) => LayerAction::Reuse,
        (Addition::Dockerfile(_), _) if foreseen.image.is_some() => LayerAction::Reuse,
        (Addition::Scripts { .. }, None) | (Addition::Dockerfile(_), _) => LayerAction::Execute,
    };
    PlannedLayer {
        origin: step.origin.clone(),
        action,
        size: foreseen.kept.as_ref().map(|kept| kept.layer.size),
    }
}
