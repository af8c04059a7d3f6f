//! The Dockerfiles of definitions, with what they are built with: context, arguments, and the images they name.
//!
//! | definition | argument | |
//! |---|---|---|
//! | base | `FROM_IMAGE` | its root image |
//! | extension | `BASE_IMAGE`, `EXTENSION` | the image to extend; its own id |

mod build_context;
mod named;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use assembler::{
    dockerfile::{DockerfileBuild, DockerfileError, IMAGE_SO_FAR, check_extends, needed_images},
    foresee::foresee,
    provenance::{Kind, Origin},
    recipe::{Addition, Recipe, Step},
};

use crate::{
    build_secrets,
    context::Context,
    definition::{Source, base::BaseDefinition, extension::ExtensionDefinition},
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    image_source, supply,
};

pub use build_context::known_in;
pub use named::{Images, find, moved, questions};

/// What extensions' Dockerfiles are built with, by the extension's id.
pub type Dockerfiles = BTreeMap<String, Arc<DockerfileBuild>>;

/// Reads the Dockerfiles of `extensions`; `images` says what counts for the images that they name.
pub async fn of_extensions(
    context: &Context,
    extensions: &[&ExtensionDefinition],
    images: Images<'_>,
) -> Result<Dockerfiles, Diagnostic> {
    let mut dockerfiles = Dockerfiles::new();
    for extension in extensions {
        if let (true, Source::Custom(directory)) = (extension.has_dockerfile(), &extension.source) {
            let args = [("BASE_IMAGE", IMAGE_SO_FAR), ("EXTENSION", &extension.id)];
            let origin = origin(Kind::Extension, &extension.id);
            let build = read(context, directory, (&args, &origin, images)).await?;
            dockerfiles.insert(extension.id.clone(), build);
        }
    }
    Ok(dockerfiles)
}

/// Reads the Dockerfile of a base, if it has one; `images` says what counts for the images that it names.
pub async fn of_base(
    context: &Context,
    base: &BaseDefinition,
    images: Images<'_>,
) -> Result<Option<Arc<DockerfileBuild>>, Diagnostic> {
    match (base.has_dockerfile(), &base.source) {
        (true, Source::Custom(directory)) => {
            let args = [("FROM_IMAGE", IMAGE_SO_FAR)];
            let origin = origin(Kind::Base, &base.id);
            let build = read(context, directory, (&args, &origin, images)).await?;
            Ok(Some(build))
        }
        _ => Ok(None),
    }
}

/// Fetches the layers of the images that a recipe's Dockerfiles name, as far as these have to be built.
pub async fn fetch(context: &Context, recipe: &Recipe) -> Result<(), Diagnostic> {
    let is_dockerfile = |step: &Step| matches!(step.addition, Addition::Dockerfile(_));
    if !recipe.steps.iter().any(is_dockerfile) {
        return Ok(());
    }
    let (store, _) = context.store()?;
    let foreseen = foresee(store, recipe)?;
    for (step, foreseen) in recipe.steps.iter().zip(foreseen) {
        let (Addition::Dockerfile(build), None) = (&step.addition, foreseen.image) else {
            continue;
        };
        for (name, digest) in &build.images {
            let reference = named::reference(name)?;
            // What is ours is in no registry.
            if image_source::ours(context, &reference)?.is_none() {
                supply::fetch_manifest(context, (&reference, digest)).await?;
            }
        }
    }
    Ok(())
}

fn origin(kind: Kind, id: &str) -> Origin {
    Origin {
        kind,
        id: id.to_owned(),
        version: None,
    }
}

async fn read(
    context: &Context,
    directory: &Path,
    (args, origin, images): (&[(&str, &str)], &Origin, Images<'_>),
) -> Result<Arc<DockerfileBuild>, Diagnostic> {
    let mut build = files(context, directory, args)?;
    if origin.kind == Kind::Extension {
        check_extends(&build, &context.platform())?;
    }
    let names = needed_images(&build, &context.platform())?;
    build.images = named::look_up(context, &names, (&build.file, origin, images)).await?;
    Ok(Arc::new(build))
}

/// Looks over a definition's Dockerfile with no image at hand: what is wrong with its lines and its files.
pub fn check(context: &Context, kind: Kind, directory: &Path) -> Result<(), Diagnostic> {
    let args = [
        ("FROM_IMAGE", IMAGE_SO_FAR),
        ("BASE_IMAGE", IMAGE_SO_FAR),
        ("EXTENSION", ""),
    ];
    let build = files(context, directory, &args)?;
    let platform = context.platform();
    if kind == Kind::Extension {
        check_extends(&build, &platform)?;
    }
    Ok(assembler::dockerfile::check(&build, &platform)?)
}

/// Reads a Dockerfile and what is beside it.
fn files(
    context: &Context,
    directory: &Path,
    args: &[(&str, &str)],
) -> Result<DockerfileBuild, Diagnostic> {
    let path = directory.join(crate::definition::DOCKERFILE);
    let file_context =
        build_context::known(context, directory, &path).map_err(DockerfileError::from)?;
    let text = fs_err::read_to_string(&path).map_err(|error| {
        Diagnostic::new(
            "dockerfile-read",
            ExitStatus::Usage,
            "cannot read a Dockerfile",
        )
        .caused_by(Some(&error))
        .hint("a Dockerfile is UTF-8 text")
    })?;
    Ok(DockerfileBuild {
        file: path.display().to_string(),
        text: text.into(),
        context: file_context,
        args: args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        images: BTreeMap::new(),
        target: None,
        secrets: build_secrets::given(&context.options.secrets, &context.settings)?,
    })
}
