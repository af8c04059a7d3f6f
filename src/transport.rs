//! Images in files and engines: where they are read from and written to, in the words of the command line.

use std::path::Path;

use assembler::{
    image::Image,
    reference::ImageReference,
    transport::{self, Source, Target},
};

use crate::{
    aside::aside, context::Context, diagnostic::Diagnostic, image_source::owned_store, leftovers,
    root_directory,
};

const DAEMON: &str = "docker-daemon:";

/// Tells whether `text` names a file or an engine's image, and no registry's.
pub fn is_file(text: &str) -> bool {
    text.starts_with(DAEMON) || Source::parse(text).is_some()
}

/// Brings the image that `text` names into the store; `None` when it is no file and no engine's, but a registry's.
pub async fn import(context: &Context, text: &str) -> Result<Option<Image>, Diagnostic> {
    if let Some(name) = text.strip_prefix(DAEMON) {
        return import_from_engine(context, name).await.map(Some);
    }
    let Some(source) = Source::parse(text) else {
        return Ok(None);
    };
    read(context, source).await.map(Some)
}

/// Returns the name under which an image from a file or an engine is kept.
pub fn name_for(text: &str) -> ImageReference {
    if let Some(name) = text.strip_prefix(DAEMON)
        && let Ok(reference) = name.parse()
    {
        return reference;
    }
    let path = Source::parse(text).map(|source| source.path().to_owned());
    let stem = path
        .as_deref()
        .and_then(Path::file_stem)
        .unwrap_or_default();
    let safe: String = stem
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .take(60)
        .collect();
    let safe = safe.trim_matches('-');
    let tag = if safe.is_empty() { "image" } else { safe };
    format!("aicage-imported:{tag}")
        .parse()
        .expect("only what a tag may have is left")
}

/// Writes an image to where `--output` says.
pub fn export(
    context: &Context,
    image: &Image,
    reference: &ImageReference,
    target: &Target,
) -> Result<(), Diagnostic> {
    let (store, _) = context.store()?;
    let exported = transport::export(store, image, std::slice::from_ref(reference), target)?;
    context.printer.talk(&format!(
        "wrote {} to {}",
        crate::printer::bytes(exported.bytes),
        exported.path.display()
    ));
    Ok(())
}

async fn read(context: &Context, source: Source) -> Result<Image, Diagnostic> {
    if let Source::Rootfs { file } = &source
        && file.is_dir()
    {
        return root_directory::read(context, file).await;
    }
    let (store, lock) = owned_store(context)?;
    let platform = context.platform();
    Ok(aside(move || transport::import(&store, &lock, &source, &platform)).await?)
}

async fn import_from_engine(context: &Context, name: &str) -> Result<Image, Diagnostic> {
    let docker = context.docker().await?;
    let failed = |error: std::io::Error| {
        let message = format!("cannot take `{name}` out of the engine");
        Diagnostic::system("image-save", message, &error)
    };
    leftovers::sweep(context);
    let scratch = leftovers::scratch(&context.settings);
    fs_err::create_dir_all(&scratch).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(&scratch).map_err(failed)?;
    docker.save(name, &mut file).await?;
    let source = Source::DockerArchive {
        file: file.path().to_owned(),
        reference: None,
    };
    read(context, source).await
}
