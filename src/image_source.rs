//! What a user may write for IMAGE: a name, or where an image lies outside our store.
//!
//! Invariant: parsing looks at the text alone; [`open`] touches the network only for a name that the store does not
//! have, and never with `--offline`.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use assembler::{
    image::Image,
    reference::{ImageReference, ReferenceError},
    store::{BlobStore, ImageRecord, RemoteRecord, SharedLock},
};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
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
    /// `oci:DIR[:TAG]`: an OCI image layout.
    OciLayout {
        /// The directory.
        directory: PathBuf,
        /// Which of its images.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: a tar of an OCI image layout.
    OciArchive {
        /// The file.
        file: PathBuf,
        /// Which of its images.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:REF]`: what `docker save` writes.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which of its images.
        reference: Option<String>,
    },
    /// `rootfs:FILE`: a tar of a root filesystem.
    Rootfs(PathBuf),
}

impl FromStr for ImageSource {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |reason| ReferenceError {
            text: text.chars().take(200).collect(),
            reason,
        };
        let Some((transport, rest)) = text.split_once(':') else {
            return text.parse().map(Self::Name);
        };
        let source = match transport {
            "docker" => return rest.trim_start_matches("//").parse().map(Self::Name),
            "docker-daemon" => Self::DockerDaemon(rest.to_owned()),
            "oci" => {
                let (directory, tag) = path_and_tag(rest);
                Self::OciLayout { directory, tag }
            }
            "oci-archive" => {
                let (file, tag) = path_and_tag(rest);
                Self::OciArchive { file, tag }
            }
            "docker-archive" => {
                // A reference has colons of its own, so the first one ends the path, as skopeo reads it.
                let (file, reference) = rest.split_once(':').unwrap_or((rest, ""));
                Self::DockerArchive {
                    file: file.into(),
                    reference: (!reference.is_empty()).then(|| reference.to_owned()),
                }
            }
            "rootfs" => Self::Rootfs(rest.into()),
            _ => return text.parse().map(Self::Name),
        };
        if rest.is_empty() {
            return Err(error("nothing stands after the colon"));
        }
        Ok(source)
    }
}

/// A tag has no slash, so that a colon in the middle of a path stays the path's.
fn path_and_tag(text: &str) -> (PathBuf, Option<String>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !path.is_empty() && !tag.is_empty() && !tag.contains('/') => {
            (path.into(), Some(tag.to_owned()))
        }
        _ => (text.into(), None),
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with =
            |f: &mut fmt::Formatter<'_>, kind: &str, path: &PathBuf, tag: &Option<String>| {
                write!(f, "{kind}:{}", path.display())?;
                tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
            };
        match self {
            Self::Name(reference) => f.write_str(&reference.familiar()),
            Self::DockerDaemon(reference) => write!(f, "docker-daemon:{reference}"),
            Self::OciLayout { directory, tag } => with(f, "oci", directory, tag),
            Self::OciArchive { file, tag } => with(f, "oci-archive", file, tag),
            Self::DockerArchive { file, reference } => with(f, "docker-archive", file, reference),
            Self::Rootfs(file) => write!(f, "rootfs:{}", file.display()),
        }
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
        ImageSource::DockerDaemon(name) => open_daemon(context, &source, name).await,
        _ => import(context, &source).await,
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
    if is_local_name(reference) {
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
async fn open_daemon(
    context: &Context,
    source: &ImageSource,
    name: &str,
) -> Result<Opened, Diagnostic> {
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
                name: source.to_string(),
                image,
                record: Some(record),
                remote: None,
            });
        }
    }
    import(context, source).await
}

async fn import(context: &Context, source: &ImageSource) -> Result<Opened, Diagnostic> {
    let name = source.to_string();
    let image = transport::import(context, &name).await?;
    let image = image.ok_or_else(|| not_here(context, &name))?;
    Ok(Opened {
        name,
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

/// Names that only this program gives are never asked for in a registry: whoever owned them there could answer.
fn is_local_name(reference: &ImageReference) -> bool {
    reference.registry() == assembler::reference::DOCKER_HUB
        && reference
            .repository()
            .strip_prefix("library/aicage")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
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
        let source: ImageSource = text.parse().unwrap();
        assert_eq!(&source, expected);
        assert_eq!(source.to_string().parse::<ImageSource>().unwrap(), source);
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
        let layout = |directory: &str, tag: Option<&str>| ImageSource::OciLayout {
            directory: directory.into(),
            tag: tag.map(str::to_owned),
        };
        check("oci:out", &layout("out", None));
        check("oci:/tmp/out:v1", &layout("/tmp/out", Some("v1")));
        check("oci:/odd:name/out", &layout("/odd:name/out", None));
        check(
            "docker-archive:saved.tar:aicage:codex-debian",
            &ImageSource::DockerArchive {
                file: "saved.tar".into(),
                reference: Some("aicage:codex-debian".to_owned()),
            },
        );
        check(
            "rootfs:root.tar.gz",
            &ImageSource::Rootfs("root.tar.gz".into()),
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "oci:", "rootfs:", "UPPER/case", "a b"] {
            assert!(text.parse::<ImageSource>().is_err(), "{text:?} was taken");
        }
    }
}
