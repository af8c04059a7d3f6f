//! Manifests, indexes and configs: the received bytes, what we read in them, and the digest of the bytes.
//!
//! Invariant: a digest is always of bytes that were received or written, never of a value serialised again; fields we do
//! not know survive because edits go through `serde_json::Value`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    descriptor::{Descriptor, media_type, null_as_default},
    digest::{DiffId, Digest},
    platform::Platform,
};

/// The largest manifest or index that is read, in bytes. The distribution spec asks for 4 MiB.
pub const MANIFEST_LIMIT: u64 = 8 << 20;
/// The largest image config that is read, in bytes.
pub const CONFIG_LIMIT: u64 = 32 << 20;
/// The most layers an image may have; engines refuse more than 127.
pub const LAYER_LIMIT: usize = 1024;

/// A JSON document as received, with what we read in it.
#[derive(Clone, Debug)]
pub struct Raw<T> {
    bytes: Arc<[u8]>,
    value: T,
    digest: Digest,
}

/// Why a document is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the expected shape.
    #[error("{what} {digest} cannot be read")]
    Json {
        /// What kind of document it should be.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Larger than any honest one.
    #[error("{what} is {size} bytes; at most {limit} are read")]
    TooLarge {
        /// What kind of document it is.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Well-formed, but it contradicts itself or the spec.
    #[error("{what} {digest} is not valid: {reason}")]
    Invalid {
        /// What kind of document it is.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// What is wrong.
        reason: String,
    },
    /// A kind of image that is not read.
    #[error("{digest} is a `{media_type}`, which is not an image that can be run")]
    Unsupported {
        /// Its digest.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// An index without an entry for the platform.
    #[error("index {digest} has no image for {platform}; it has {offered}")]
    NoPlatform {
        /// The index's digest.
        digest: Digest,
        /// What was asked for.
        platform: Platform,
        /// What it offers, in words.
        offered: String,
    },
}

/// An image manifest (OCI image-spec manifest.md; Docker schema 2).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u64,
    /// The manifest's own type; empty in many OCI manifests.
    #[serde(default)]
    pub media_type: String,
    /// Set when this is an artifact, not an image.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// What its maker noted.
    #[serde(default, deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
}

/// An image index (OCI image-spec image-index.md; Docker manifest list).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u64,
    /// The index's own type; may be empty.
    #[serde(default)]
    pub media_type: String,
    /// What it lists, in order of preference.
    #[serde(deserialize_with = "null_as_default")]
    pub manifests: Vec<IndexEntry>,
    /// What its maker noted.
    #[serde(default, deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
}

/// One entry of an index.
#[derive(Clone, Debug, Deserialize)]
pub struct IndexEntry {
    /// What it points at.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// What it is for.
    #[serde(default)]
    pub platform: Option<Platform>,
}

/// What we read in an image config (OCI image-spec config.md); the rest is kept in the bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct ImageConfig {
    /// Architecture.
    #[serde(default)]
    pub architecture: String,
    /// Operating system.
    #[serde(default)]
    pub os: String,
    /// Variant of the architecture.
    #[serde(default)]
    pub variant: Option<String>,
    /// When the image was made, as its maker wrote it (RFC 3339).
    #[serde(default)]
    pub created: Option<String>,
    /// How a container of it runs.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: RunConfig,
    /// The layers' diff ids.
    pub rootfs: RootFs,
    /// How the layers were made; optional, and often wrong.
    #[serde(default, deserialize_with = "null_as_default")]
    pub history: Vec<History>,
}

/// How a container of an image runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// The user, as name or number.
    #[serde(default, deserialize_with = "null_as_default")]
    pub user: String,
    /// `NAME=value`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub env: Vec<String>,
    /// What is started.
    #[serde(default, deserialize_with = "null_as_default")]
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cmd: Vec<String>,
    /// Where it starts.
    #[serde(default, deserialize_with = "null_as_default")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Paths that engines mount a volume on.
    #[serde(default, deserialize_with = "null_as_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
}

/// The layers of a config.
#[derive(Clone, Debug, Deserialize)]
pub struct RootFs {
    /// Diff ids, bottom first.
    #[serde(deserialize_with = "null_as_default")]
    pub diff_ids: Vec<DiffId>,
}

/// One line of an image's history.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct History {
    /// When, as its maker wrote it.
    #[serde(default)]
    pub created: Option<String>,
    /// The command that made the layer.
    #[serde(default)]
    pub created_by: Option<String>,
    /// A remark.
    #[serde(default)]
    pub comment: Option<String>,
    /// Set when the line made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

/// What a reference turned out to be.
#[derive(Clone, Debug)]
pub enum Document {
    /// An image.
    Manifest(Raw<Manifest>),
    /// A list of images.
    Index(Raw<Index>),
}

impl<T> Raw<T> {
    /// Returns the bytes as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what we read.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the size of the bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn parse(what: &'static str, limit: u64, bytes: Vec<u8>) -> Result<Self, ManifestError>
    where
        T: DeserializeOwned,
    {
        let size = bytes.len() as u64;
        if size > limit {
            return Err(ManifestError::TooLarge { what, size, limit });
        }
        let digest = Digest::of(&bytes);
        let value = serde_json::from_slice(&bytes).map_err(|source| ManifestError::Json {
            what,
            digest,
            source,
        })?;
        Ok(Self {
            bytes: bytes.into(),
            value,
            digest,
        })
    }
}

impl Document {
    /// Reads a manifest or an index; `content_type` decides only where the document itself does not say.
    pub fn parse(bytes: Vec<u8>, content_type: &str) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Probe {
            #[serde(default)]
            media_type: String,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
            #[serde(default)]
            layers: Option<serde::de::IgnoredAny>,
        }
        let probe: Raw<Probe> = Raw::parse("manifest", MANIFEST_LIMIT, bytes)?;
        let said = match probe.value.media_type.as_str() {
            "" => content_type.split(';').next().unwrap_or_default().trim(),
            said => said,
        };
        let bytes = probe.bytes.to_vec();
        let index = media_type::is_index(said)
            || (!media_type::is_manifest(said)
                && probe.value.manifests.is_some()
                && probe.value.layers.is_none());
        if index {
            return Raw::<Index>::read(bytes).map(Self::Index);
        }
        if media_type::is_manifest(said) || probe.value.layers.is_some() {
            return Raw::<Manifest>::read(bytes).map(Self::Manifest);
        }
        Err(ManifestError::Unsupported {
            digest: probe.digest,
            media_type: said.to_owned(),
        })
    }
}

impl Raw<Manifest> {
    /// Reads and checks an image manifest.
    pub fn read(bytes: Vec<u8>) -> Result<Self, ManifestError> {
        let raw = Self::parse("manifest", MANIFEST_LIMIT, bytes)?;
        let invalid = |reason: String| ManifestError::Invalid {
            what: "manifest",
            digest: raw.digest,
            reason,
        };
        let manifest = &raw.value;
        if manifest.schema_version != 2 {
            return Err(invalid(format!(
                "its schema version is {}",
                manifest.schema_version
            )));
        }
        if manifest.layers.len() > LAYER_LIMIT {
            return Err(invalid(format!("it has {} layers", manifest.layers.len())));
        }
        if manifest.config.size > CONFIG_LIMIT {
            return Err(ManifestError::TooLarge {
                what: "image config",
                size: manifest.config.size,
                limit: CONFIG_LIMIT,
            });
        }
        Ok(raw)
    }
}

impl Raw<Index> {
    /// Reads and checks an index.
    pub fn read(bytes: Vec<u8>) -> Result<Self, ManifestError> {
        Self::parse("index", MANIFEST_LIMIT, bytes)
    }

    /// Picks the entry for `platform`: the best variant, the first among equals; attestations are passed over.
    pub fn pick(&self, platform: &Platform) -> Result<&IndexEntry, ManifestError> {
        let ranked = self.value.manifests.iter().filter_map(|entry| {
            let offered = entry.platform.as_ref()?;
            Some((platform.rank(offered)?, entry))
        });
        if let Some((_, entry)) = ranked.min_by_key(|(rank, _)| *rank) {
            return Ok(entry);
        }
        // An index of one image without a platform is what simple tools write.
        if let [only] = self.value.manifests.as_slice()
            && only.platform.is_none()
        {
            return Ok(only);
        }
        let mut offered: Vec<String> = self
            .value
            .manifests
            .iter()
            .filter_map(|entry| entry.platform.as_ref().map(ToString::to_string))
            .filter(|offered| offered != "unknown/unknown")
            .collect();
        offered.dedup();
        offered.truncate(20);
        Err(ManifestError::NoPlatform {
            digest: self.digest,
            platform: platform.clone(),
            offered: if offered.is_empty() {
                "none".to_owned()
            } else {
                offered.join(", ")
            },
        })
    }
}

impl Raw<ImageConfig> {
    /// Reads an image config.
    pub fn read(bytes: Vec<u8>) -> Result<Self, ManifestError> {
        Self::parse("image config", CONFIG_LIMIT, bytes)
    }
}

impl ImageConfig {
    /// Returns what the image was built for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty()),
        }
    }
}
