//! The images that Dockerfiles name: which manifests stand for their names, and what moved since an image was built.
//!
//! Invariant: a name that an image at hand was built with never keeps it from being used: what is recorded with the image
//! counts, whether the registry still has it or can be asked.

use std::collections::{BTreeMap, BTreeSet};

use assembler::{
    digest::Digest,
    dockerfile::DockerfileBuild,
    provenance::Origin,
    reference::ImageReference,
    store::{DockerfileRecord, ImageRecord},
};

use crate::{
    context::Context,
    definition::DOCKERFILE,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    image_source, names,
    plan::Want,
    supply::{self, Ask, Offer},
};

/// What counts for the names in Dockerfiles.
#[derive(Clone, Copy, Debug)]
pub enum Images<'a> {
    /// What the image at hand was built with; a registry is asked for nothing else than new names.
    Held(&'a [DockerfileRecord]),
    /// What registries say, asked as said; what the image at hand was built with where they say nothing.
    Newest(Ask, &'a [DockerfileRecord]),
}

impl<'a> Images<'a> {
    /// Returns what counts for what is wanted of an image.
    pub fn of(want: Want, record: Option<&'a ImageRecord>) -> Self {
        let records = record.map_or(&[][..], |record| &record.dockerfiles);
        match want {
            Want::Held => Self::Held(records),
            Want::Newest(ask) => Self::Newest(ask, records),
        }
    }

    fn recorded(&self, origin: &Origin, name: &str) -> Option<Digest> {
        let (Self::Held(records) | Self::Newest(_, records)) = self;
        find(records, origin)?.images.get(name).copied()
    }

    fn ask(&self) -> Ask {
        match self {
            Self::Held(_) => Ask::WhenUnknown,
            Self::Newest(ask, _) => *ask,
        }
    }
}

/// Finds the manifests of the images that a Dockerfile names.
pub(super) async fn look_up(
    context: &Context,
    names: &BTreeSet<String>,
    (file, origin, images): (&str, &Origin, Images<'_>),
) -> Result<BTreeMap<String, Digest>, Diagnostic> {
    let (store, _) = context.store()?;
    let mut found = BTreeMap::new();
    for name in names {
        let reference = reference(name)?;
        if let Some((image, _)) = image_source::ours(context, &reference)? {
            found.insert(name.clone(), *image.digest());
            continue;
        }
        let before = images.recorded(origin, name);
        if let (Images::Held(_), Some(digest)) = (images, before)
            && store.manifest(&digest)?.is_some()
        {
            found.insert(name.clone(), digest);
            continue;
        }
        let offer = supply::look_up(context, &reference, images.ask()).await;
        let digest = match (offer, before) {
            (Ok(Offer::There(record)), _) => record.manifest.digest,
            (Ok(Offer::None | Offer::Unknown(_)) | Err(_), Some(before)) => before,
            (Err(diagnostic), None) => return Err(diagnostic),
            (Ok(Offer::None), None) => {
                let why = format!("{} has no such image", reference.registry());
                return Err(missing(name, file, (ExitStatus::Failed, why)));
            }
            (Ok(Offer::Unknown(why)), None) => {
                let status = if context.options.offline {
                    ExitStatus::Offline
                } else {
                    ExitStatus::Failed
                };
                return Err(missing(name, file, (status, why)));
            }
        };
        found.insert(name.clone(), digest);
    }
    Ok(found)
}

/// Says which images that a Dockerfile names are others than those that `record` was built with.
pub fn moved(build: &DockerfileBuild, record: &DockerfileRecord) -> Option<String> {
    let other = |(name, digest): &(&String, &Digest)| {
        let before = record.images.get(*name);
        before.is_some_and(|before| before != *digest)
    };
    let moved = build.images.iter().filter(other);
    let names: Vec<String> = moved.map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("image {one} that `{DOCKERFILE}` names moved")),
        more => Some(format!(
            "images {} that `{DOCKERFILE}` names moved",
            more.join(", ")
        )),
    }
}

/// Finds the record of a contributor's Dockerfile.
pub fn find<'r>(records: &'r [DockerfileRecord], origin: &Origin) -> Option<&'r DockerfileRecord> {
    records
        .iter()
        .find(|record| record.origin.kind == origin.kind && record.origin.id == origin.id)
}

/// Returns the names that an image's Dockerfiles have and that a registry may move.
pub fn questions(
    context: &Context,
    record: &ImageRecord,
) -> Result<Vec<ImageReference>, Diagnostic> {
    let mut questions = Vec::new();
    for name in record
        .dockerfiles
        .iter()
        .flat_map(|record| record.images.keys())
    {
        let Ok(reference) = name.parse::<ImageReference>() else {
            continue;
        };
        let stays = reference.digest().is_some() || names::is_ours(&reference);
        if !stays
            && !questions.contains(&reference)
            && image_source::ours(context, &reference)?.is_none()
        {
            questions.push(reference);
        }
    }
    Ok(questions)
}

/// Reads a name of an image.
pub(super) fn reference(name: &str) -> Result<ImageReference, Diagnostic> {
    name.parse().map_err(|error| {
        Diagnostic::from(error).hint("correct the name of the image in the Dockerfile")
    })
}

fn missing(name: &str, file: &str, (status, why): (ExitStatus, String)) -> Diagnostic {
    Diagnostic::new(
        "dockerfile-image",
        status,
        format!("cannot get the image `{name}`"),
    )
    .caused_by_words(why)
    .fact("named in", file.to_owned())
    .hint("correct the Dockerfile, or bring the image in with `aicage image pull`")
}
