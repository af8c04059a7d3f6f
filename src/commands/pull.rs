//! `aicage image pull`: brings any image into the store.

use clap::Args;

use assembler::{
    provenance::{Kind, Origin},
    reference::ImageReference,
};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    ensure,
    exit_status::ExitStatus,
    names,
    supply::{self, Ask, Offer},
    transport,
};

/// What `aicage image pull` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage image pull debian:stable\n  \
    aicage image pull ghcr.io/aicage/aicage-image-base:debian\n  \
    aicage image pull docker-archive:saved.tar")]
pub struct PullArgs {
    /// A registry reference, or `oci:`, `oci-archive:`, `docker-archive:`, `rootfs:` or `docker-daemon:` and where it is.
    pub image: String,
}

/// Pulls and names the image; prints its name and digest.
pub async fn pull(context: &Context, args: &PullArgs) -> Result<ExitStatus, Diagnostic> {
    let origin = Origin {
        kind: Kind::Unknown,
        id: String::new(),
        version: None,
    };
    if transport::is_file(&args.image) {
        // Before anything is read: it may be gigabytes.
        names::refuse_ours(&transport::name_for(&args.image))?;
    }
    if let Some(image) = transport::import(context, &args.image).await? {
        let reference = transport::name_for(&args.image);
        ensure::name_fetched(context, &image, &reference.clone().into(), &origin)?;
        context
            .printer
            .image(&reference.familiar(), image.digest())?;
        return Ok(ExitStatus::Done);
    }
    let reference: ImageReference = args.image.parse()?;
    names::refuse_ours(&reference)?;
    let record = match supply::look_up(context, &reference, Ask::Always).await? {
        Offer::There(record) => record,
        Offer::None => {
            return Err(Diagnostic::new(
                "image-missing",
                ExitStatus::Failed,
                format!("{} has no image {reference}", reference.registry()),
            )
            .hint("check the name; a private image needs `docker login` first"));
        }
        Offer::Unknown(why) => {
            let registry = reference.registry();
            let (status, hint) = if context.options.offline {
                (
                    ExitStatus::Offline,
                    "try again without `--offline`".to_owned(),
                )
            } else {
                let hint = format!(
                    "check the name and whether {registry} can be reached; a private image needs `docker login {registry}` first"
                );
                (ExitStatus::Failed, hint)
            };
            return Err(Diagnostic::new(
                "image-unknown",
                status,
                format!("cannot pull {reference}"),
            )
            .caused_by_words(why)
            .hint(hint.as_str()));
        }
    };
    let image = supply::fetch(context, &record).await?;
    ensure::name_fetched(context, &image, &reference.clone().into(), &origin)?;
    context
        .printer
        .image(&reference.familiar(), image.digest())?;
    Ok(ExitStatus::Done)
}
