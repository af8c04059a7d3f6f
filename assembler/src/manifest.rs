//! Manifests, indexes and configs: the received bytes, what we read in them, and the digest of the bytes.
//!
//! Invariant: a digest is always of bytes that were received or written, never of a value serialised again; fields we do
//! not know survive because edits go through `Raw::json`, which every document that was taken has.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

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

/// What is an object wherever a document of any kind has it.
const OBJECTS: [&str; 2] = ["config", "rootfs"];

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
    pub volumes: BTreeMap<String, Value>,
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
        let wrong = |source| ManifestError::Json {
            what,
            digest,
            source,
        };
        // What we do not know must be readable too, because it is kept; a type of ours would also take a list.
        let document: Map<String, Value> = serde_json::from_slice(&bytes).map_err(wrong)?;
        for name in OBJECTS {
            let member = document.get(name).unwrap_or(&Value::Null);
            if !member.is_object() && !member.is_null() {
                return Err(ManifestError::Invalid {
                    what,
                    digest,
                    reason: format!("`{name}` is no object"),
                });
            }
        }
        drop(document);
        let value = serde_json::from_slice(&bytes).map_err(wrong)?;
        Ok(Self {
            bytes: bytes.into(),
            value,
            digest,
        })
    }

    /// Returns the whole document, with what we do not know.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("the bytes were parsed when they came in")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::image::Image;

    const DIFF_ID: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn config(rest: &str) -> Vec<u8> {
        format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"diff_ids":["{DIFF_ID}"]}}{rest}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_config_that_no_value_can_hold_is_refused_and_named() {
        let deep = format!(r#","x":{}{}"#, "[".repeat(500), "]".repeat(500));
        for (bytes, said) in [
            (config(r#","x":1e999"#), "out of range"),
            (config(&deep), "recursion limit"),
            (config(r#","x":"\ud800""#), "hex escape"),
            (config(r#","config":["root"]"#), "`config` is no object"),
            (config(r#","config":7"#), "`config` is no object"),
            (
                format!(r#"["amd64","linux",null,null,{{}},{{"diff_ids":["{DIFF_ID}"]}}]"#)
                    .into_bytes(),
                "sequence",
            ),
            (
                format!(r#"{{"rootfs":[["{DIFF_ID}"]]}}"#).into_bytes(),
                "`rootfs` is no object",
            ),
        ] {
            let digest = Digest::of(&bytes).to_string();
            let error = Raw::<ImageConfig>::read(bytes).unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let words = format!("{error}: {}", source.unwrap_or_default());
            assert!(words.contains(said), "{words}");
            assert!(
                words.contains("image config") && words.contains(&digest),
                "{words}"
            );
        }
        Raw::<ImageConfig>::read(config(r#","config":null,"x":[[1]]"#)).unwrap();
    }

    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("1e999".to_owned()),
            Just("-0".to_owned()),
            Just("99999999999999999999".to_owned()),
            Just(r#""\udfff""#.to_owned()),
            Just(r#"["A=b","C"]"#.to_owned()),
            Just(r#"[{"empty_layer":true},7]"#.to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            "[a-z=/]{0,6}".prop_map(|text| json!(text).to_string()),
        ];
        leaf.prop_recursive(4, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3)
                    .prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::vec(("[a-z]{1,3}", inner), 0..3).prop_map(|all| {
                    let all: Vec<String> = all
                        .iter()
                        .map(|(name, value)| format!("\"{name}\":{value}"))
                        .collect();
                    format!("{{{}}}", all.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_taken_can_be_edited(
            run in prop::option::of((prop_oneof![Just("Env"), Just("Labels"), Just("Volumes"), Just("x")], any_json())),
            other in prop::option::of((prop_oneof![Just("config"), Just("history"), Just("rootfs"), Just("x")], any_json())),
            whole in prop::option::weighted(0.1, any_json()),
        ) {
            let run = run.map(|(name, value)| format!(r#","config":{{"{name}":{value}}}"#));
            let other = other.map(|(name, value)| format!(r#","{name}":{value}"#));
            let bytes = match whole {
                Some(whole) => whole.into_bytes(),
                None => config(&format!("{}{}", run.unwrap_or_default(), other.unwrap_or_default())),
            };
            if let Ok(config) = Raw::<ImageConfig>::read(bytes) {
                let manifest = json!({
                    "schemaVersion": 2,
                    "config": {"mediaType": media_type::OCI_CONFIG, "digest": config.digest(), "size": config.size()},
                    "layers": [{"mediaType": media_type::OCI_LAYER, "digest": DIFF_ID, "size": 0}],
                });
                let manifest = Raw::<Manifest>::read(manifest.to_string().into_bytes()).unwrap();
                if let Ok(image) = Image::new(manifest, config) {
                    let _edited = image.without_volumes();
                    let _edited = image.with_run_config(&Map::new(), Some("me"));
                    let provenance = crate::provenance::Provenance { v: 1, base: None, layers: BTreeMap::new() };
                    image.with_config(&crate::recipe::ConfigChange::default(), &provenance).unwrap();
                }
            }
        }
    }
}
