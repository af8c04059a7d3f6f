//! Failures of layers and of the documents that name them.

use assembler::{
    digest::DigestError,
    manifest::ManifestError,
    platform::{Platform, PlatformError},
    reference::{ImageReference, ReferenceError},
};
use layer::{
    PathError,
    tar::{ReadError, RecanonicaliseError, WriteError},
};

use super::{denied, digest, full, json, path};
use crate::diagnostic::Diagnostic;

pub(super) fn layers() -> Vec<Diagnostic> {
    let text = "etc/passwd".to_owned();
    vec![
        PathError::Absolute {
            path: "/etc/passwd".to_owned(),
        }
        .into(),
        PathError::ParentComponent {
            path: "../etc".to_owned(),
        }
        .into(),
        PathError::Nul {
            path: "a\\0b".to_owned(),
        }
        .into(),
        PathError::Reserved {
            path: "etc/.wh.x".to_owned(),
        }
        .into(),
        ReadError::Io { source: denied() }.into(),
        ReadError::Truncated {
            place: text.clone(),
        }
        .into(),
        ReadError::Header {
            position: 512,
            reason: "its checksum is wrong",
        }
        .into(),
        ReadError::Entry {
            path: text.clone(),
            reason: "it is of an unknown kind",
        }
        .into(),
        ReadError::Path {
            source: PathError::ParentComponent {
                path: "../x".to_owned(),
            },
        }
        .into(),
        ReadError::Limit {
            place: text.clone(),
            what: "the number of entries",
            limit: 4_000_000,
        }
        .into(),
        WriteError::Io { source: full() }.into(),
        WriteError::Content {
            path: path(&text),
            source: denied(),
        }
        .into(),
        WriteError::ShortContent {
            path: path(&text),
            size: 9,
            found: 3,
        }
        .into(),
        WriteError::LongContent {
            path: path(&text),
            size: 9,
        }
        .into(),
        WriteError::Unsorted {
            path: path(&text),
            last: "usr".to_owned(),
        }
        .into(),
        WriteError::Duplicate { path: path(&text) }.into(),
        WriteError::NoDirectory { path: path(&text) }.into(),
        WriteError::RemovedAndPut { path: path(&text) }.into(),
        WriteError::DanglingLink {
            path: path(&text),
            target: path("usr"),
        }
        .into(),
        WriteError::Unrepresentable {
            path: path(&text),
            reason: "its owner's number is too large",
        }
        .into(),
        RecanonicaliseError::NoEnd.into(),
        RecanonicaliseError::Trailing.into(),
        RecanonicaliseError::Io { source: denied() }.into(),
    ]
}

pub(super) fn documents() -> Vec<Diagnostic> {
    let what = "manifest";
    vec![
        DigestError {
            text: "sha256:12".to_owned(),
        }
        .into(),
        PlatformError {
            text: "linux".to_owned(),
        }
        .into(),
        "Debian:stable"
            .parse::<ImageReference>()
            .map_err(|error: ReferenceError| error)
            .unwrap_err()
            .into(),
        ManifestError::Json {
            what,
            digest: digest("a"),
            source: json(),
        }
        .into(),
        ManifestError::TooLarge {
            what,
            size: 100_000_000,
            limit: 8 << 20,
        }
        .into(),
        ManifestError::Invalid {
            what,
            digest: digest("a"),
            reason: "it has 3 layers, but its config has 2 diff ids".to_owned(),
        }
        .into(),
        ManifestError::Unsupported {
            digest: digest("a"),
            media_type: "application/vnd.cncf.helm.config.v1+json".to_owned(),
        }
        .into(),
        ManifestError::NoPlatform {
            digest: digest("a"),
            platform: Platform::linux("arm64"),
            offered: "linux/amd64".to_owned(),
        }
        .into(),
    ]
}
