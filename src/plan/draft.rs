//! How a plan is made: what there is, what there should be, and each layer's part in it.

use assembler::{
    foresee::{Foreseen, foresee},
    image::Image,
    provenance::{BaseRecord, Kind, LayerRecord, Origin},
    recipe::{Addition, Step},
    reference::ImageReference,
    store::{ImageRecord, RemoteRecord, StoreError},
};

use super::{LayerAction, Plan, PlannedLayer, Want, Work};
use crate::{
    base_drift,
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

impl Draft<'_> {
    /// Plans for the image as it was made; `None` when what it was made of is no longer known.
    pub(super) async fn held(&self, record: &ImageRecord) -> Result<Option<Plan>, Diagnostic> {
        let (store, _) = self.context.store()?;
        let Some(image) = there(store.image(&record.manifest.digest))? else {
            return Ok(None);
        };
        let finals = &self.context.settings.config.registry.final_repository;
        let is_pulled = |base: &BaseRecord| {
            base.reference
                .strip_prefix(finals.as_str())
                .is_some_and(|rest| rest.starts_with(':'))
        };
        let is_final = record.base.as_ref().is_none_or(is_pulled);
        if is_final && self.selection.extensions.is_empty() {
            // A finished image that was pulled, as it is or with our entrypoint on top.
            let complete = base_image::missing_bytes(self.context, &image)? == 0;
            return Ok(complete.then(|| self.nothing(&image, record)));
        }
        let Some(base) = &record.base else {
            return Ok(None);
        };
        // A base that was assembled here, or by the user's definition, is followed at once: it cost no network.
        let local = store.tagged(&base_image::local_name(self.selection.base))?;
        let version = agent_record(record).and_then(|layer| layer.origin.version.clone());
        if let Some(local) = local {
            let definition = self.selection.base;
            if let Some(changed) =
                base_drift::changed(self.context, definition, (&local, Want::Held)).await?
            {
                return self.build(changed, version).map(Some);
            }
            return match there(store.image(&local.manifest.digest))? {
                Some(_) if local.manifest.digest == base.digest => self
                    .build(BaseImage::Local(Box::new(local)), version)
                    .map(Some),
                _ => Ok(None),
            };
        }
        let Some(base_image) = there(store.image(&base.digest))? else {
            return Ok(None);
        };
        let manifest = base_image.manifest();
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
            gone_at: None,
        };
        let remembered = Box::new(remembered);
        if is_final {
            return self.build(BaseImage::Final(remembered), None).map(Some);
        }
        self.build(BaseImage::Published(remembered), version)
            .map(Some)
    }

    /// Returns the published final image, where there can be one and there is.
    pub(super) async fn published(
        &self,
        ask: Ask,
    ) -> Result<Option<Box<RemoteRecord>>, Diagnostic> {
        let Selection { agent, base, .. } = self.selection;
        let (store, _) = self.context.store()?;
        if !agent.is_published()
            || base.is_custom()
            || store.tagged(&base_image::local_name(base))?.is_some()
        {
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
        let layers = self.layers_below(&image, &base_image::unknown_origin())?;
        Ok(Plan {
            reference: self.reference.clone(),
            work: Work::Pull(Box::new(offered)),
            reasons: vec![reason],
            layers,
            held: self.held.clone(),
        })
    }

    pub(super) fn build(
        &self,
        base: BaseImage,
        version: Option<String>,
    ) -> Result<Plan, Diagnostic> {
        let (store, _) = self.context.store()?;
        let Some(image) = self.base_documents(&base)? else {
            return Ok(self.build_unknown_base(base, version));
        };
        let record = base.record().expect("only an unbuilt base has no record");
        let below = Below {
            image: &image,
            record,
            origin: base.origin(&self.selection.base.id),
            source_date: self.context.settings.environment.source_date,
        };
        let init = crate::init_program::init_for(&image.platform().architecture)?;
        let additions = Additions {
            agent: self.selection.agent,
            install: base.install(version.as_deref()),
            extensions: &self.selection.extensions,
            dockerfiles: &self.dockerfiles,
        };
        let recipe = compose::agent_image(below, additions, init);
        let foreseen = foresee(store, &recipe)?;
        let mut layers = self.layers_below(&image, &recipe.base_origin)?;
        layers.extend(recipe.steps.iter().zip(&foreseen).map(planned));
        let reasons = self.reasons(&recipe, &foreseen, &image)?;
        let work = if reasons.is_empty() {
            Work::Nothing
        } else {
            Work::Build {
                base,
                version,
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

    fn build_unknown_base(&self, base: BaseImage, version: Option<String>) -> Plan {
        let agent = Origin {
            kind: Kind::Agent,
            id: self.selection.agent.id.clone(),
            version: version.clone(),
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
        let reason = match &base {
            BaseImage::Outdated { reason, .. } => reason.clone(),
            _ => format!("base `{}` is not assembled yet", self.selection.base.id),
        };
        Plan {
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
        }
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

    pub(super) fn base_documents(&self, base: &BaseImage) -> Result<Option<Image>, Diagnostic> {
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
        (Addition::Dockerfile(_), _) if foreseen.image.is_some() => LayerAction::Reuse,
        (Addition::Scripts { .. }, None) | (Addition::Dockerfile(_), _) => LayerAction::Execute,
    };
    PlannedLayer {
        origin: step.origin.clone(),
        action,
        size: foreseen.kept.as_ref().map(|kept| kept.layer.size),
    }
}

fn agent_record(record: &ImageRecord) -> Option<&LayerRecord> {
    record
        .layers
        .iter()
        .find(|layer| layer.origin.kind == Kind::Agent)
}

/// Takes what is lost or damaged as not there, so that it is made or fetched anew.
fn there(image: Result<Image, StoreError>) -> Result<Option<Image>, StoreError> {
    match image {
        Ok(image) => Ok(Some(image)),
        Err(
            StoreError::Missing { .. } | StoreError::Corrupt { .. } | StoreError::WrongSize { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}
