//! Root images: what a base's `from_image` names, brought into the store.
//!
//! | `from_image` | what it is |
//! |---|---|
//! | `oci:DIR[:TAG]` | an OCI image layout |
//! | `oci-archive:FILE` | the same as a tar archive |
//! | `docker-archive:FILE[:REF]` | what `docker save` writes |
//! | `rootfs:FILE` | a tarball of a root file system, or a directory with one |
//! | `docker-daemon:REF` | an image in Docker |
//! | a name of ours, such as `aicage-image-base:debian` | an image that was made here |
//! | anything else | a registry reference |

use assembler::{
    image::Image,
    provenance::{BaseRecord, Kind, Origin},
    reference::ImageReference,
    transport::Source,
};

use crate::{
    base_image,
    context::Context,
    diagnostic::Diagnostic,
    ensure,
    exit_status::ExitStatus,
    image_source, names,
    supply::{self, Ask, Offer},
    transport,
};

/// A root image in the store.
#[derive(Debug)]
pub struct RootImage {
    /// The image; its layers are in the store.
    pub image: Image,
    /// What is recorded as the base of what is built on it.
    pub record: BaseRecord,
}

/// Brings the image that `from` names into the store; `base` is the base it is for.
pub async fn fetch(context: &Context, from: &str, base: &str) -> Result<RootImage, Diagnostic> {
    let origin = origin(from);
    if let Some(image) = transport::import(context, from).await? {
        // A name keeps what came from a file from being pruned: it cannot be fetched again.
        ensure::name_fetched(context, &image, &names::root_image(base).into(), &origin)?;
        let record = BaseRecord {
            reference: shown(from),
            digest: *image.digest(),
        };
        return Ok(RootImage { image, record });
    }
    let reference: ImageReference = from.parse().map_err(|error| {
        Diagnostic::from(error).hint("see `aicage base build --help` for what a root image can be")
    })?;
    if names::is_ours(&reference) {
        return made_here(context, &reference);
    }
    let record = match supply::look_up(context, &reference, Ask::WhenOld).await? {
        Offer::There(record) => record,
        Offer::None => {
            return Err(Diagnostic::new(
                "root-missing",
                ExitStatus::Failed,
                format!("{} has no image {reference}", reference.registry()),
            )
            .hint(elsewhere(base).as_str()));
        }
        Offer::Unknown(why) => {
            let (status, hint) = if context.options.offline {
                let hint = format!("run `aicage base build {base}` with a network once");
                (ExitStatus::Offline, hint)
            } else {
                (ExitStatus::Failed, elsewhere(base))
            };
            return Err(Diagnostic::new(
                "root-unknown",
                status,
                format!("cannot get the root image {reference}"),
            )
            .caused_by_words(why)
            .hint(hint.as_str()));
        }
    };
    let image = supply::fetch(context, &record).await?;
    Ok(RootImage {
        image,
        record: BaseRecord {
            reference: reference.to_string(),
            digest: record.manifest.digest,
        },
    })
}

fn elsewhere(base: &str) -> String {
    format!(
        "correct `from_image` of base `{base}`, or take another root image or a file: `aicage base build {base} --from IMAGE`"
    )
}

/// A base may stand on an image that was made here, such as another base; no registry is asked for it.
fn made_here(context: &Context, reference: &ImageReference) -> Result<RootImage, Diagnostic> {
    let name = reference.familiar();
    let (image, record) = image_source::ours(context, reference)?
        .ok_or_else(|| image_source::not_here(context, &name))?;
    Ok(RootImage {
        record: BaseRecord {
            reference: reference.to_string(),
            digest: record.manifest.digest,
        },
        image,
    })
}

/// Returns the root image that a base was assembled on, from the store as far as it has it, else anew from where it was
/// `taken`.
pub async fn kept(
    context: &Context,
    (record, taken): (&BaseRecord, &str),
    base: &str,
) -> Result<RootImage, Diagnostic> {
    let (store, _) = context.store()?;
    if let Ok(image) = store.image(&record.digest)
        && base_image::missing_bytes(context, &image)? == 0
    {
        return Ok(RootImage {
            image,
            record: record.clone(),
        });
    }
    fetch(context, taken, base).await
}

/// Tells whether `from` is what `record` was made of.
pub fn is_same(from: &str, record: &BaseRecord) -> bool {
    let now = match from.parse::<ImageReference>() {
        Ok(reference) if !is_file(from) => reference.to_string(),
        _ => shown(from),
    };
    now == record.reference
}

/// Returns who contributed a root image's layers.
pub fn origin(from: &str) -> Origin {
    let id = match from.parse::<ImageReference>() {
        Ok(reference) if !is_file(from) => reference.familiar(),
        _ => shown(from),
    };
    Origin {
        kind: Kind::Root,
        id,
        version: None,
    }
}

fn is_file(from: &str) -> bool {
    Source::parse(from).is_some() || from.starts_with("docker-daemon:")
}

/// Returns how a root image is named in what is built on it: without directories, which are this machine's alone.
fn shown(from: &str) -> String {
    match Source::parse(from) {
        Some(source) => {
            let kind = from.split(':').next().unwrap_or_default();
            let file = source.path().file_name().unwrap_or_default();
            format!("{kind}:{}", file.to_string_lossy())
        }
        None => from.to_owned(),
    }
}
