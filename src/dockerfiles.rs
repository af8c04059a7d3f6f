//! The Dockerfiles of definitions, with what they are built with: context, arguments, and the images they name.
//!
//! | definition | argument | |
//! |---|---|---|
//! | base | `FROM_IMAGE` | its root image |
//! | extension | `BASE_IMAGE`, `EXTENSION` | the image to extend; its own id |

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use assembler::{
    digest::Digest,
    dockerfile::{BuildContext, ContextLimits, DockerfileBuild, IMAGE_SO_FAR, needed_images},
    reference::ImageReference,
};

use crate::{
    context::Context,
    definition::{Source, base::BaseDefinition, extension::ExtensionDefinition},
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    image_source,
    supply::{self, Ask, Offer},
};

/// What extensions' Dockerfiles are built with, by the extension's id.
pub type Dockerfiles = BTreeMap<String, Arc<DockerfileBuild>>;

/// Reads the Dockerfiles of `extensions`; the images that they name are looked up as `ask` says.
pub async fn of_extensions(
    context: &Context,
    extensions: &[&ExtensionDefinition],
    ask: Ask,
) -> Result<Dockerfiles, Diagnostic> {
    let mut dockerfiles = Dockerfiles::new();
    for extension in extensions {
        if let (true, Source::Custom(directory)) = (extension.has_dockerfile(), &extension.source) {
            let args = [("BASE_IMAGE", IMAGE_SO_FAR), ("EXTENSION", &extension.id)];
            let build = read(context, directory, (&args, ask)).await?;
            dockerfiles.insert(extension.id.clone(), build);
        }
    }
    Ok(dockerfiles)
}

/// Reads the Dockerfile of a base, if it has one; the images that it names are looked up as `ask` says.
pub async fn of_base(
    context: &Context,
    base: &BaseDefinition,
    ask: Ask,
) -> Result<Option<Arc<DockerfileBuild>>, Diagnostic> {
    match (base.has_dockerfile(), &base.source) {
        (true, Source::Custom(directory)) => {
            let args = [("FROM_IMAGE", IMAGE_SO_FAR)];
            Ok(Some(read(context, directory, (&args, ask)).await?))
        }
        _ => Ok(None),
    }
}

/// Fetches the layers of the images that a Dockerfile names.
pub async fn fetch(context: &Context, build: &DockerfileBuild) -> Result<(), Diagnostic> {
    let (store, _) = context.store()?;
    for (name, digest) in &build.images {
        let reference = reference(name)?;
        if let Some(record) = store.remote(&reference)?
            && record.manifest.digest == *digest
        {
            supply::fetch(context, &record).await?;
        }
    }
    Ok(())
}

async fn read(
    context: &Context,
    directory: &Path,
    (args, ask): (&[(&str, &str)], Ask),
) -> Result<Arc<DockerfileBuild>, Diagnostic> {
    let path = directory.join(crate::definition::DOCKERFILE);
    let file_context = BuildContext::read(directory, &path, ContextLimits::default())
        .map_err(assembler::dockerfile::DockerfileError::from)?;
    let text = fs_err::read_to_string(&path).map_err(|error| {
        Diagnostic::new(
            "dockerfile-read",
            ExitStatus::Usage,
            "cannot read a Dockerfile",
        )
        .caused_by(Some(&error))
        .hint("a Dockerfile is UTF-8 text")
    })?;
    let mut build = DockerfileBuild {
        file: path.display().to_string(),
        text: text.into(),
        context: Arc::new(file_context),
        args: args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        images: BTreeMap::new(),
        target: None,
        secrets: BTreeMap::new(),
    };
    let names = needed_images(&build, &context.platform())?;
    build.images = look_up(context, &names, (&build.file, ask)).await?;
    Ok(Arc::new(build))
}

async fn look_up(
    context: &Context,
    names: &BTreeSet<String>,
    (file, ask): (&str, Ask),
) -> Result<BTreeMap<String, Digest>, Diagnostic> {
    let mut images = BTreeMap::new();
    for name in names {
        let reference = reference(name)?;
        if let Some((image, _)) = image_source::ours(context, &reference)? {
            images.insert(name.clone(), *image.digest());
            continue;
        }
        let (status, why) = match supply::look_up(context, &reference, ask).await? {
            Offer::There(record) => {
                images.insert(name.clone(), record.manifest.digest);
                continue;
            }
            Offer::None => (
                ExitStatus::Failed,
                format!("{} has no such image", reference.registry()),
            ),
            Offer::Unknown(why) if context.options.offline => (ExitStatus::Offline, why),
            Offer::Unknown(why) => (ExitStatus::Failed, why),
        };
        return Err(Diagnostic::new(
            "dockerfile-image",
            status,
            format!("cannot get the image `{name}`"),
        )
        .caused_by_words(why)
        .fact("named in", file.to_owned())
        .hint("correct the Dockerfile, or bring the image in with `aicage image pull`"));
    }
    Ok(images)
}

fn reference(name: &str) -> Result<ImageReference, Diagnostic> {
    name.parse().map_err(|error| {
        Diagnostic::from(error).hint("correct the name of the image in the Dockerfile")
    })
}
