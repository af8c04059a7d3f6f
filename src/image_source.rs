//! What a user may write for IMAGE: a name, or where an image lies outside our store.
//!
//! Invariant: parsing looks at the text alone; [`open`] touches the network only for a name that the store does not
//! have, and never with `--offline`.

use std::{str::FromStr, sync::Arc};

use assembler::{
    image::Image,
    reference::{ImageReference, ReferenceError},
    store::{BlobStore, ImageRecord, RemoteRecord, SharedLock},
    transport::Source,
};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    names,
    supply::{self, Ask, Offer},
    transport,
};

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// A name: of an image of ours, else of one in a registry.
    Name(ImageReference),
    /// `docker-daemon:REF`: an image that Docker has.
    DockerDaemon(String),
    /// A file or a directory.
    File(Source),
}

impl FromStr for ImageSource {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |reason| ReferenceError {
            text: text.chars().take(200).collect(),
            reason,
        };
        if let Some(name) = text.strip_prefix("docker-daemon:") {
            return match name {
                "" => Err(error("nothing stands after the colon")),
                name => Ok(Self::DockerDaemon(name.to_owned())),
            };
        }
        if let Some(source) = Source::parse(text) {
            if source.path().as_os_str().is_empty() {
                return Err(error("nothing stands after the colon"));
            }
            return Ok(Self::File(source));
        }
        let name = text.strip_prefix("docker://").unwrap_or(text);
        name.parse().map(Self::Name)
    }
}

/// An image whose manifest and config are in the store; its layers are there after [`Opened::fetch`].
#[derive(Debug)]
pub struct Opened {
    /// What to call it.
    pub name: String,
    /// The image.
    pub image: Image,
    /// Our record of it, if it is one of ours.
    pub record: Option<ImageRecord>,
    remote: Option<Box<RemoteRecord>>,
}

impl Opened {
    /// Makes sure that the layers are in the store.
    pub async fn fetch(&mut self, context: &Context) -> Result<(), Diagnostic> {
        if let Some(remote) = &self.remote {
            self.image = supply::fetch(context, remote).await?;
        }
        Ok(())
    }
}

/// Opens the image that `text` names.
pub async fn open(context: &Context, text: &str) -> Result<Opened, Diagnostic> {
    let source: ImageSource = text.parse()?;
    match &source {
        ImageSource::Name(reference) => open_name(context, reference).await,
        ImageSource::DockerDaemon(name) => open_daemon(context, text, name).await,
        ImageSource::File(_) => import(context, text).await,
    }
}

async fn open_name(context: &Context, reference: &ImageReference) -> Result<Opened, Diagnostic> {
    let name = reference.familiar();
    if let Some((image, record)) = ours(context, reference)? {
        return Ok(Opened {
            name,
            image,
            record: Some(record),
            remote: None,
        });
    }
    if names::is_ours(reference) {
        return Err(not_here(context, &name));
    }
    let remote = match supply::look_up(context, reference, Ask::WhenOld).await? {
        Offer::There(remote) => remote,
        Offer::None => return Err(not_here(context, &name)),
        Offer::Unknown(why) => {
            let status = if context.options.offline {
                ExitStatus::Offline
            } else {
                ExitStatus::Failed
            };
            return Err(Diagnostic::new(
                "image-unknown",
                status,
                format!("cannot look up `{name}`: {why}"),
            )
            .hint("`aicage image list` shows the images that are here"));
        }
    };
    let (store, _lock) = context.store()?;
    Ok(Opened {
        name,
        image: store.image(&remote.manifest.digest)?,
        record: None,
        remote: Some(remote),
    })
}

/// An image of ours that Docker has as we sent it needs no copy: the store knows more about it than Docker does.
async fn open_daemon(context: &Context, text: &str, name: &str) -> Result<Opened, Diagnostic> {
    let docker = context.docker().await?;
    let Some(theirs) = docker.image(name).await? else {
        return Err(Diagnostic::new(
            "image-not-in-engine",
            ExitStatus::Failed,
            format!("Docker has no image `{name}`"),
        )
        .hint("`docker image ls` shows the images that Docker has"));
    };
    for known in theirs.names.iter().map(String::as_str).chain([name]) {
        let Ok(reference) = known.parse::<ImageReference>() else {
            continue;
        };
        if let Some((image, record)) = ours(context, &reference)?
            && image.diff_ids() == theirs.diff_ids
        {
            return Ok(Opened {
                name: text.to_owned(),
                image,
                record: Some(record),
                remote: None,
            });
        }
    }
    import(context, text).await
}

async fn import(context: &Context, text: &str) -> Result<Opened, Diagnostic> {
    let image = transport::import(context, text).await?;
    let image = image.ok_or_else(|| not_here(context, text))?;
    Ok(Opened {
        name: text.to_owned(),
        image,
        record: None,
        remote: None,
    })
}

/// Returns the image of this name that the store has, with our record of it.
pub fn ours(
    context: &Context,
    reference: &ImageReference,
) -> Result<Option<(Image, ImageRecord)>, Diagnostic> {
    let (store, _lock) = context.store()?;
    match store.tagged(reference)? {
        Some(record) => Ok(Some((store.image(&record.manifest.digest)?, record))),
        None => Ok(None),
    }
}

/// Says that there is no such image, and which one may be meant.
pub(crate) fn not_here(context: &Context, name: &str) -> Diagnostic {
    let names: Vec<String> = context
        .store()
        .ok()
        .and_then(|(store, _lock)| store.tags().ok())
        .unwrap_or_default()
        .into_iter()
        .map(|record| record.reference.familiar())
        .collect();
    let near = names
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(likeness, _known)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match near {
        Some((_likeness, known)) => format!("did you mean `{known}`?"),
        None => "`aicage image list` shows the images that are here".to_owned(),
    };
    let message = format!("there is no image `{name}`");
    Diagnostic::new("no-such-image", ExitStatus::Failed, message).hint(hint.as_str())
}

/// Returns the store and its lock as values that another thread can own.
pub(crate) fn owned_store(context: &Context) -> Result<(BlobStore, Arc<SharedLock>), Diagnostic> {
    let (store, lock) = context.store()?;
    Ok((store.clone(), Arc::clone(lock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &ImageSource) {
        assert_eq!(&text.parse::<ImageSource>().unwrap(), expected);
    }

    fn name(text: &str) -> ImageSource {
        ImageSource::Name(text.parse().unwrap())
    }

    #[test]
    fn a_name_stays_a_name_though_it_has_colons() {
        check(
            "aicage:codex-debian",
            &name("docker.io/library/aicage:codex-debian"),
        );
        check("localhost:5000/a:b", &name("localhost:5000/a:b"));
        check("debian", &name("debian:latest"));
        check("docker://debian:stable", &name("debian:stable"));
    }

    #[test]
    fn a_transport_says_where_an_image_is() {
        check(
            "docker-daemon:a:b",
            &ImageSource::DockerDaemon("a:b".to_owned()),
        );
        check(
            "oci:/tmp/out:v1",
            &ImageSource::File(Source::Oci {
                directory: "/tmp/out".into(),
                tag: Some("v1".to_owned()),
            }),
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "oci:", "rootfs:", "docker-daemon:", "UPPER/case", "a b"] {
            assert!(text.parse::<ImageSource>().is_err(), "{text:?} was taken");
        }
    }
}
