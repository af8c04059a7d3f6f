//! Where a base image comes from: the one place that decides it.
//!
//! | base | image |
//! |---|---|
//! | custom | `aicage-image-base-custom:<base>`, assembled here from `from_image` |
//! | built-in, assembled here with `aicage base build` | `aicage-image-base:<base>` in the store |
//! | built-in | `<registry.base_repository>:<base>`, pulled |

use assembler::{
    descriptor::Descriptor,
    image::Image,
    provenance::{BaseRecord, Kind, Origin},
    reference::ImageReference,
    store::{ImageRecord, RemoteRecord},
};

use crate::{
    base_build::Root,
    compose::Install,
    context::Context,
    definition::base::BaseDefinition,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    names, printer,
    selection::Selection,
    supply::{self, Ask, Offer},
    transport,
};

/// What is known of a base image before anything is fetched or built.
#[derive(Clone, Debug)]
pub enum BaseImage {
    /// Published; its documents are in the store, its layers may not be.
    Published(Box<RemoteRecord>),
    /// A published final image, which has the agent already; extensions go on top.
    Final(Box<RemoteRecord>),
    /// Assembled here.
    Local(Box<ImageRecord>),
    /// Assembled here from what is another by now: its definition, or its root image at the registry.
    Outdated {
        /// What it is to be assembled on.
        root: Root,
        /// What is new, in words.
        reason: String,
    },
    /// Defined by the user and not assembled yet.
    ToBuild,
}

/// Finds the base image of `base`, asking its registry as `ask` says.
pub async fn find(
    context: &Context,
    base: &BaseDefinition,
    ask: Ask,
) -> Result<BaseImage, Diagnostic> {
    let (store, _) = context.store()?;
    let local = local_name(base);
    if let Some(record) = store.tagged(&local)? {
        return Ok(BaseImage::Local(Box::new(record)));
    }
    if base.is_custom() {
        return Ok(BaseImage::ToBuild);
    }
    let reference = published_name(context, base);
    match supply::look_up(context, &reference, ask).await? {
        Offer::There(record) => Ok(BaseImage::Published(record)),
        Offer::None => Err(missing(
            base,
            &format!("{} has none", reference.registry()),
            &reference,
        )),
        Offer::Unknown(why) => Err(unknown(context, base, &why, &reference)),
    }
}

impl BaseImage {
    /// Returns what an image on it records as its base; nothing before it is built.
    pub fn record(&self) -> Option<BaseRecord> {
        match self {
            Self::Published(record) | Self::Final(record) => Some(BaseRecord {
                reference: record.reference.to_string(),
                digest: record.manifest.digest,
            }),
            Self::Local(record) => Some(BaseRecord {
                reference: record.reference.to_string(),
                digest: record.manifest.digest,
            }),
            Self::Outdated { .. } | Self::ToBuild => None,
        }
    }
}

impl BaseImage {
    /// Returns who contributed layers that neither a record nor a label covers.
    pub fn origin(&self, base: &str) -> Origin {
        match self {
            Self::Final(_) => unknown_origin(),
            _ => origin(base),
        }
    }

    /// Returns how the agent gets into an image on it.
    pub fn install<'a>(&self, version: Option<&'a str>) -> Install<'a> {
        match self {
            Self::Final(_) => Install::There,
            _ => Install::Script(version),
        }
    }
}

/// Asks the registry of a base's root image whether it has replaced it; a root image from a file is never replaced.
pub async fn outdated(
    context: &Context,
    record: &ImageRecord,
    ask: Ask,
) -> Result<Option<BaseImage>, Diagnostic> {
    let Some(root) = &record.base else {
        return Ok(None);
    };
    if transport::is_file(&root.reference) {
        return Ok(None);
    }
    let Ok(reference) = root.reference.parse::<ImageReference>() else {
        return Ok(None);
    };
    let (store, _) = context.store()?;
    let (digest, layers) = if names::is_ours(&reference) {
        let Some(there) = store.tagged(&reference)? else {
            return Ok(None);
        };
        let image = store.image(&there.manifest.digest)?;
        (
            there.manifest.digest,
            image.manifest().value().layers.clone(),
        )
    } else {
        let Offer::There(offered) = supply::look_up(context, &reference, ask).await? else {
            return Ok(None);
        };
        (offered.manifest.digest, offered.layers)
    };
    if digest == root.digest {
        return Ok(None);
    }
    let before = store.manifest(&root.digest)?;
    let old = before
        .as_ref()
        .map_or(&[][..], |before| &before.value().layers);
    Ok(Some(BaseImage::Outdated {
        root: Root::From(root.reference.clone()),
        reason: format!(
            "root image {} changed: {}",
            reference.familiar(),
            new_layers(old, &layers)
        ),
    }))
}

/// Says which layers are new and how large they are.
pub fn new_layers(old: &[Descriptor], now: &[Descriptor]) -> String {
    let new: Vec<&Descriptor> = now
        .iter()
        .filter(|layer| old.iter().all(|old| old.digest != layer.digest))
        .collect();
    let bytes = printer::bytes(new.iter().map(|layer| layer.size).sum());
    match new.as_slice() {
        [] => "only its settings or fewer layers; no layer is new".to_owned(),
        [only] => format!("layer {} is new, {bytes}", only.digest),
        [first, ..] => format!(
            "{} layers are new, {bytes}; the lowest is {}",
            new.len(),
            first.digest
        ),
    }
}

/// Returns the name under which a base that is assembled here is kept.
pub fn local_name(base: &BaseDefinition) -> ImageReference {
    if base.is_custom() {
        names::custom_base(&base.id)
    } else {
        names::local_base(&base.id)
    }
}

/// Returns the name under which a built-in base is published.
pub fn published_name(context: &Context, base: &BaseDefinition) -> ImageReference {
    let repository = &context.settings.config.registry.base_repository;
    format!("{repository}:{}", base.id)
        .parse()
        .expect("the repository was checked with the configuration, the id with the definition")
}

/// Returns the name under which the agent's finished image is published, if it is.
pub fn published_final(context: &Context, selection: &Selection<'_>) -> ImageReference {
    let repository = &context.settings.config.registry.final_repository;
    format!("{repository}:{}-{}", selection.agent.id, selection.base.id)
        .parse()
        .expect("the repository was checked with the configuration, the ids with their definitions")
}

/// Tells whether an image is the published finished one, as it is or with something on top.
pub fn was_pulled(context: &Context, selection: &Selection<'_>, record: &ImageRecord) -> bool {
    let finished = published_final(context, selection).to_string();
    record
        .base
        .as_ref()
        .is_none_or(|base| base.reference == finished)
}

/// Returns who contributed a base's layers that no record covers.
pub fn origin(base: &str) -> Origin {
    Origin {
        kind: Kind::Base,
        id: base.to_owned(),
        version: None,
    }
}

/// Returns the origin of layers of which nothing is known.
pub fn unknown_origin() -> Origin {
    Origin {
        kind: Kind::Unknown,
        id: String::new(),
        version: None,
    }
}

/// Returns the layers of `image` that the store lacks.
pub fn missing_bytes(context: &Context, image: &Image) -> Result<u64, Diagnostic> {
    let (store, _) = context.store()?;
    let mut bytes = 0;
    for layer in image.layers() {
        if !store.has(&layer.descriptor)? {
            bytes += layer.descriptor.size;
        }
    }
    Ok(bytes)
}

fn missing(base: &BaseDefinition, why: &str, reference: &ImageReference) -> Diagnostic {
    let hint = format!(
        "run `aicage base build {}` to assemble it here from its root image",
        base.id
    );
    Diagnostic::new(
        "base-missing",
        ExitStatus::Failed,
        format!("there is no base image `{}`: {why}", base.id),
    )
    .fact("asked for", reference.to_string())
    .hint(hint.as_str())
}

fn unknown(
    context: &Context,
    base: &BaseDefinition,
    why: &str,
    reference: &ImageReference,
) -> Diagnostic {
    if context.options.offline {
        let hint = format!("run `aicage image pull {reference}` with a network once");
        return Diagnostic::new(
            "offline",
            ExitStatus::Offline,
            format!(
                "the base image `{}` is not in the store, and `--offline` was given",
                base.id
            ),
        )
        .fact("needed", reference.to_string())
        .hint(hint.as_str());
    }
    missing(base, why, reference)
}
