//! How much room the store takes, and for what.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use serde::Serialize;

use super::{BlobStore, StoreError, mark::blobs_of};
use crate::{digest::Digest, provenance::Origin};

/// How much room the store takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// All of it, in bytes.
    pub total: u64,
    /// By kind of file.
    pub kinds: Vec<UsageKind>,
    /// By image: its blobs, by name.
    pub images: Vec<UsageRow>,
    /// By who contributed layers to images.
    pub contributors: Vec<UsageRow>,
    /// Blobs that no image has: kept layers, and what a prune may remove.
    pub unreferenced: u64,
}

/// How much room one kind of file takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageKind {
    /// The directory's name in the store.
    pub kind: &'static str,
    /// How many files there are.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// How much room something takes in blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// The image's name, or the contributor.
    pub name: String,
    /// All its blobs.
    pub bytes: u64,
    /// Those that more than one image has.
    pub shared: u64,
    /// Those that only one image has: what removing that image makes free.
    pub unique: u64,
}

const KINDS: [&str; 9] = [
    "blobs",
    "ingest",
    "trees",
    "facts",
    "layers",
    "dockerfiles",
    "images",
    "remote",
    "engines",
];

impl BlobStore {
    /// Adds up what the store takes.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut sizes = BTreeMap::new();
        let mut kinds = Vec::new();
        for kind in KINDS {
            kinds.push(self.usage_of(kind, &mut sizes)?);
        }
        kinds.push(self.usage_of_rootfs()?);
        let images = self.named_images()?;
        let mut owners: BTreeMap<Digest, u32> = BTreeMap::new();
        let mut blobs: BTreeMap<&str, BTreeSet<Digest>> = BTreeMap::new();
        let mut contributors: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
        let mut manifests: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        for (name, (record, image)) in &images {
            let mut of_image: BTreeSet<Digest> = blobs_of(image).map(|blob| blob.digest).collect();
            of_image.insert(*image.digest());
            blobs.insert(name, of_image.clone());
            // Two names of one image are no sharing.
            manifests.insert(*image.digest(), of_image);
            for (position, layer) in image.layers().iter().enumerate() {
                let origin = record.layers.get(position).map(|layer| &layer.origin);
                let blobs = contributors.entry(contributor(origin)).or_default();
                blobs.insert(layer.descriptor.digest);
            }
        }
        for blob in manifests.values().flatten() {
            *owners.entry(*blob).or_default() += 1;
        }
        let row = |name: &str, blobs: &BTreeSet<Digest>| {
            let size = |digest: &Digest| sizes.get(digest).copied().unwrap_or_default();
            let shared = blobs.iter().filter(|blob| owners.get(blob) > Some(&1));
            let (bytes, shared) = (blobs.iter().map(size).sum(), shared.map(size).sum());
            UsageRow {
                name: name.to_owned(),
                bytes,
                shared,
                unique: bytes - shared,
            }
        };
        Ok(Usage {
            total: kinds.iter().map(|kind| kind.bytes).sum(),
            kinds,
            images: blobs.iter().map(|(name, blobs)| row(name, blobs)).collect(),
            contributors: contributors
                .iter()
                .map(|(name, blobs)| row(name, blobs))
                .collect(),
            unreferenced: sizes
                .iter()
                .filter(|(digest, _)| !owners.contains_key(digest))
                .map(|(_, size)| size)
                .sum(),
        })
    }

    fn usage_of(
        &self,
        kind: &'static str,
        sizes: &mut BTreeMap<Digest, u64>,
    ) -> Result<UsageKind, StoreError> {
        let mut usage = UsageKind {
            kind,
            files: 0,
            bytes: 0,
        };
        let directories = match kind {
            "blobs" => vec!["blobs/sha256".to_owned(), "blobs/sha512".to_owned()],
            other => vec![other.to_owned()],
        };
        for directory in directories {
            for path in self.list(&directory)? {
                // A file that has just gone takes no room.
                let Ok(metadata) = fs::symlink_metadata(&path) else {
                    continue;
                };
                usage.files += 1;
                usage.bytes += metadata.len();
                let hex = path.file_name().and_then(|name| name.to_str());
                let algorithm = directory.strip_prefix("blobs/");
                if let Some((algorithm, hex)) = algorithm.zip(hex)
                    && let Ok(digest) = format!("{algorithm}:{hex}").parse()
                {
                    sizes.insert(digest, metadata.len());
                }
            }
        }
        Ok(usage)
    }

    fn usage_of_rootfs(&self) -> Result<UsageKind, StoreError> {
        let (files, bytes) = self.usage_of_unpacked()?;
        Ok(UsageKind {
            kind: "rootfs",
            files,
            bytes,
        })
    }
}

/// Names a contributor without its version, so that all versions add up.
fn contributor(origin: Option<&Origin>) -> String {
    match origin {
        Some(origin) if !origin.id.is_empty() => format!("{} {}", origin.kind, origin.id),
        Some(origin) => origin.kind.to_string(),
        None => "unknown".to_owned(),
    }
}
