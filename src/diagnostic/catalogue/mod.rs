//! One value of every failure, so that all words can be read like prose in `doc/errors.md`.
//!
//! Invariant: every code in the `from_*` files is here; `doc/errors.md` is what `tests::document` writes.
//! `AICAGE_UPDATE=1 cargo test -p aicage errors_md` writes it anew.

#![expect(clippy::too_many_lines, reason = "lists of one value after the other")]

mod engines;
mod layers;
mod program;
mod registries;
mod steps;
mod stores;
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use assembler::{
    digest::Digest,
    provenance::{Kind, Origin},
};
use layer::LayerPath;
use registry::RedactedUrl;

use super::Diagnostic;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn io_error(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, kind.to_string())
}

fn denied() -> io::Error {
    io_error(io::ErrorKind::PermissionDenied)
}

fn full() -> io::Error {
    io_error(io::ErrorKind::StorageFull)
}

fn json() -> serde_json::Error {
    serde_json::from_str::<u8>("{").unwrap_err()
}

fn http() -> reqwest::Error {
    reqwest::Proxy::all("http://[").unwrap_err()
}

fn url() -> RedactedUrl {
    RedactedUrl::of_text("https://ghcr.io/v2/owner/name/manifests/latest")
}

fn path(name: &str) -> LayerPath {
    name.parse().unwrap()
}

fn store(name: &str) -> PathBuf {
    Path::new("/home/me/.aicage/store").join(name)
}

fn origin() -> Origin {
    Origin {
        kind: Kind::Agent,
        id: "codex".to_owned(),
        version: Some("1.2".to_owned()),
    }
}

fn every() -> Vec<Diagnostic> {
    [
        layers::documents(),
        layers::layers(),
        stores::stores(),
        steps::steps(),
        steps::dockerfiles(),
        registries::credentials(),
        registries::registries(),
        engines::engines(),
        program::program(),
        program::projects(),
    ]
    .concat()
}
