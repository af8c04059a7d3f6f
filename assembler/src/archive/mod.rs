//! Archives of images for other tools, streamed from the store without a temporary file.
//!
//! The hybrid shape is an OCI layout and a Docker archive in one tar: `oci-layout` and `index.json` for the containerd
//! store, Podman and skopeo; `manifest.json`, which points into `blobs/`, for graph drivers. Layers that the receiver has
//! may be left out. With [`Encoding::Uncompressed`] there is no OCI part: the manifest names compressed blobs that are
//! not in the archive, and a receiver that looked for them would end with a broken image.
//!
//! Invariant: the length is known before the first byte, and exactly that many bytes come, or an error.

mod member;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, Write},
};

use serde::Serialize;
use serde_json::json;

pub use self::member::ArchiveReader;
use self::member::{Content, Member};
use crate::{
    descriptor::{Descriptor, media_type},
    digest::Digest,
    image::{Image, Layer},
    reference::ImageReference,
    store::{BlobStore, CONTAINERD_NAME, REF_NAME, StoreError},
};

const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
const BUFFER: usize = 256 << 10;

/// What an archive is to hold of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HybridPlan {
    /// The names the image is to have at the receiver.
    pub names: Vec<ImageReference>,
    /// Positions of layers, from 0 at the bottom, that the receiver has and that are left out.
    pub omit: BTreeSet<usize>,
    /// How layers are written.
    pub encoding: Encoding,
}

/// How layers are written into an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As the blobs that the manifest names.
    Canonical,
    /// As tars under their diff ids: what a graph driver would make of them first.
    Uncompressed,
}

/// An image as one tar.
#[derive(Debug)]
pub struct HybridArchive {
    store: BlobStore,
    members: Vec<Member>,
}

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store does not give what belongs into it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store gave is not as long as was announced.
    #[error("`{name}` of the archive is not {expected} bytes long, as its record says")]
    Length {
        /// Which member.
        name: String,
        /// Bytes announced.
        expected: u64,
    },
    /// The receiver took no more.
    #[error("the archive cannot be written")]
    Write {
        /// What the sink said.
        #[source]
        source: io::Error,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl HybridArchive {
    /// Plans the archive. For uncompressed layers whose size no record knows, it reads them once.
    pub fn new(store: &BlobStore, image: &Image, plan: &HybridPlan) -> Result<Self, ArchiveError> {
        let mut members = Vec::new();
        let manifest = Descriptor {
            media_type: manifest_type(image),
            digest: *image.digest(),
            size: image.manifest().size(),
            annotations: BTreeMap::new(),
        };
        if plan.encoding == Encoding::Canonical {
            members.extend(layout_members(&manifest, &plan.names));
            let bytes = image.manifest().bytes().to_vec();
            members.push(Member::bytes(blob_name(&manifest.digest), bytes));
        }
        let config = blob_name(image.config().digest());
        let bytes = image.config().bytes().to_vec();
        members.push(Member::bytes(config.clone(), bytes));
        let mut layers = Vec::new();
        for (position, layer) in image.layers().iter().enumerate() {
            let name = layer_name(layer, plan.encoding);
            let there = members.iter().any(|member| member.name == name);
            if !there && !plan.omit.contains(&position) {
                members.push(layer_member(store, layer, plan.encoding)?);
            }
            layers.push(name);
        }
        let docker = DockerManifest {
            config,
            repo_tags: plan.names.iter().filter_map(repo_tag).collect(),
            layers,
        };
        let docker = serde_json::to_vec(&[docker]).expect("names are text");
        members.push(Member::bytes("manifest.json".to_owned(), docker));
        Ok(Self::of(store, members))
    }

    /// An image as an OCI layout and nothing else.
    pub(crate) fn oci(
        store: &BlobStore,
        image: &Image,
        names: &[ImageReference],
    ) -> Result<Self, ArchiveError> {
        let plan = HybridPlan {
            names: names.to_vec(),
            omit: BTreeSet::new(),
            encoding: Encoding::Canonical,
        };
        let mut archive = Self::new(store, image, &plan)?;
        archive.members.pop();
        Ok(archive)
    }

    fn of(store: &BlobStore, members: Vec<Member>) -> Self {
        let directories = ["blobs/", "blobs/sha256/", "blobs/sha512/"]
            .into_iter()
            .filter(|directory| {
                members
                    .iter()
                    .any(|member| member.name.starts_with(directory))
            })
            .map(Member::directory);
        let mut all: Vec<Member> = directories.collect();
        all.extend(members);
        Self {
            store: store.clone(),
            members: all,
        }
    }

    /// Returns the exact length of the archive.
    pub fn total_bytes(&self) -> u64 {
        member::total(&self.members)
    }

    /// Reads the archive from its beginning.
    pub fn reader(&self) -> ArchiveReader<'_> {
        ArchiveReader::new(&self.store, &self.members)
    }

    /// Takes the archive apart into a reader that owns what it needs.
    pub fn into_reader(self) -> ArchiveReader<'static> {
        ArchiveReader::owned(self.store, self.members)
    }

    /// Writes the archive; returns how many bytes that were.
    pub fn write_to(&self, sink: &mut dyn Write) -> Result<u64, ArchiveError> {
        let mut reader = self.reader();
        let mut buffer = vec![0; BUFFER];
        let mut total = 0;
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => return Ok(total),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::from_io(error)),
            };
            sink.write_all(buffer.get(..count).unwrap_or_default())
                .map_err(|source| ArchiveError::Write { source })?;
            total += count as u64;
        }
    }
}

impl ArchiveError {
    /// Takes the reader's error out of what [`ArchiveReader`] gave.
    pub fn from_io(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => {
                StoreError::from_io(error).map_or_else(|source| Self::Write { source }, Self::Store)
            }
        }
    }
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            ArchiveError::Write { source } => source,
            error @ ArchiveError::Length { .. } => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Returns the media type of an image's manifest; many OCI manifests do not say it themselves.
pub(crate) fn manifest_type(image: &Image) -> String {
    match image.manifest().value().media_type.as_str() {
        "" => media_type::OCI_MANIFEST.to_owned(),
        said => said.to_owned(),
    }
}

fn layout_members(manifest: &Descriptor, names: &[ImageReference]) -> [Member; 2] {
    let mut entries: Vec<Descriptor> = names
        .iter()
        .map(|name| {
            let tag = name.tag_or_digest();
            let mut entry = manifest.clone();
            entry.annotations = BTreeMap::from([
                (CONTAINERD_NAME.to_owned(), name.to_string()),
                (REF_NAME.to_owned(), tag),
            ]);
            entry
        })
        .collect();
    if entries.is_empty() {
        entries.push(manifest.clone());
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": entries,
    });
    [
        Member::bytes("oci-layout".to_owned(), LAYOUT.as_bytes().to_vec()),
        Member::bytes("index.json".to_owned(), index.to_string().into_bytes()),
    ]
}

/// A graph driver takes names with tags only.
fn repo_tag(name: &ImageReference) -> Option<String> {
    name.tag()?;
    let familiar = name.familiar();
    let plain = familiar.split('@').next().unwrap_or_default();
    Some(plain.to_owned())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn layer_name(layer: &Layer, encoding: Encoding) -> String {
    match encoding {
        Encoding::Canonical => blob_name(&layer.descriptor.digest),
        Encoding::Uncompressed => blob_name(layer.diff_id.digest()),
    }
}

fn layer_member(
    store: &BlobStore,
    layer: &Layer,
    encoding: Encoding,
) -> Result<Member, ArchiveError> {
    let name = layer_name(layer, encoding);
    if !store.has(&layer.descriptor)? {
        return Err(ArchiveError::Store(StoreError::Missing {
            digest: layer.descriptor.digest,
        }));
    }
    Ok(match encoding {
        Encoding::Canonical => Member {
            name,
            size: layer.descriptor.size,
            content: Content::Blob(layer.descriptor.clone()),
        },
        Encoding::Uncompressed => Member {
            name,
            size: store.uncompressed_size(layer)?,
            content: Content::Tar(layer.clone()),
        },
    })
}

#[cfg(test)]
mod tests;
