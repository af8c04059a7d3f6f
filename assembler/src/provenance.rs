//! Where a layer comes from: who contributed it, with which script, on what.
//!
//! Invariant: what is written into an image holds no clock and no host; when and how a layer came to be on this machine
//! stays in the local record ([`LayerRecord`]).
//!
//! The record that travels with an image is the label `io.github.aicage.provenance`, compact JSON, keyed by diff id:
//! `{"v":1,"base":{"reference":…,"digest":…},"layers":{"sha256:…":{"kind":"agent","id":"codex","version":"1.2","script":"sha256:…"}}}`.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::digest::{DiffId, Digest, LayerKey};

/// The config label that carries [`Provenance`].
pub const PROVENANCE_LABEL: &str = "io.github.aicage.provenance";
/// The standard annotation and label that names an image's base.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The standard annotation and label with the digest of an image's base.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Which part of an image a layer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What a distribution publishes.
    Root,
    /// A stack of tools on a root image.
    Base,
    /// A coding agent.
    Agent,
    /// Something the user added.
    Extension,
    /// `init` and the entrypoint.
    Glue,
    /// Nobody knows.
    Unknown,
}

/// Who contributed a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// Which part.
    pub kind: Kind,
    /// Which one: an agent's, a base's, an extension's id; empty when unknown.
    pub id: String,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How a layer came to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Fetched as a finished blob.
    Pulled,
    /// Its scripts ran.
    Executed,
    /// Its scripts ran earlier, for the same key.
    Reused,
    /// Made of files inside the program; no script.
    BuiltIn,
}

/// What is known of one layer of ours, local to this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Who contributed it.
    pub origin: Origin,
    /// The digest of the script directory, where scripts made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Digest>,
    /// The key it is kept under, where scripts made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<LayerKey>,
    /// How it came to be here.
    pub how: How,
    /// When it was made or fetched, RFC 3339 in UTC; given by the caller.
    pub made_at: String,
}

/// What an image's label says of its layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this record, 1.
    pub v: u32,
    /// What the image was built on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseRecord>,
    /// What contributed each layer, by diff id.
    pub layers: BTreeMap<DiffId, LabelRecord>,
}

/// What an image was built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseRecord {
    /// The reference it was resolved from.
    pub reference: String,
    /// The manifest's digest, for the platform.
    pub digest: Digest,
}

/// What the label says of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRecord {
    /// Who contributed it.
    #[serde(flatten)]
    pub origin: Origin,
    /// The digest of the script directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Digest>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Base => "base",
            Self::Agent => "agent",
            Self::Extension => "extension",
            Self::Glue => "glue",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.id.is_empty() {
            write!(f, " {}", self.id)?;
        }
        match &self.version {
            Some(version) => write!(f, " {version}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pulled => "pulled",
            Self::Executed => "executed",
            Self::Reused => "reused",
            Self::BuiltIn => "built-in",
        })
    }
}
