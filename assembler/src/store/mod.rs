//! The content-addressed store: a valid OCI image layout at all times, shared by concurrent processes.
//!
//! # On disk
//!
//! ```text
//! oci-layout                      {"imageLayoutVersion":"1.0.0"}
//! index.json                      made from images/*.json; skopeo and crane read `oci:STORE:NAME`
//! blobs/sha256/<hex>              0444; blobs/sha512/<hex> likewise
//! ingest/<digest>.part            a download that may be resumed; its bytes are re-hashed, never trusted
//! ingest/tmp-*                    what is being written; left over only by a killed process
//! facts/<digest>.json             of a layer's blob: diff id, uncompressed size, media type
//! trees/<diff id>                 a layer's own path index, made once
//! trees/chain-<chain id>          the merged path index of a stack of layers
//! layers/<key>.json               what a step gave the last time ([`KeptLayer`])
//! dockerfiles/<key>.json          what a Dockerfile gave the last time ([`KeptDockerfile`])
//! images/<reference>.json         an image under a name ([`ImageRecord`])
//! remote/<reference>.json         what a registry said last ([`RemoteRecord`])
//! engines/<engine>.json           what was loaded where; the engine's own business
//! rootfs/<mapping>/<diff id>/     unpacked layers: see [`rootfs`]
//! lock                            see below
//! ```
//!
//! A digest in a file name has `-` for `:`. References and engine names are written with `%XX` for every byte but
//! `a-z 0-9 . _ -`; one that would be longer than 200 bytes is cut and ends in `~` and its SHA-256.
//!
//! A record is a JSON object with a `version` (2 now) and a `sum`, the digest of the object without it, compact and with
//! sorted keys: what it says of layers is believed, so a flipped bit in it must be seen as one in a blob is. Records of
//! version 1 have no sum. A record of a newer version is an error; one that cannot be read
//! counts as absent and is set aside as `<name>.damaged`, which is told once where it was the name of an image
//! ([`Notice::NameLost`]). A tree is an index followed by its SHA-256.
//!
//! # Writing
//!
//! Everything is written to `ingest/`, synced, renamed into place, and the directory is synced: a killed process or a
//! full disk leaves a store that is as it was, and a temporary file that the next prune removes. A blob is renamed only
//! after its digest is known, so every file in `blobs/` is what its name says, until the disk fails. One that is written
//! again takes the place of the one that is there, which may have been damaged meanwhile.
//! Records that can be made anew (all but `images/`, `index.json` and `oci-layout`) are renamed without syncing: a kill
//! leaves the old or the new one; after a power cut one may be damaged, which counts as absent.
//! A process killed between naming an image and writing `index.json` leaves the index one name behind: still valid, and
//! made again with the next name, or by verifying.
//!
//! # Locks
//!
//! `lock` is flocked: shared by whoever uses the store ([`SharedLock`]), exclusively by whoever removes unused things
//! ([`ExclusiveLock`]). Two users of the store never wait for each other, but for the two cases where they would do the
//! same: a part is flocked by who downloads it, and the directory `images` by who changes names and `index.json`.
//! Whoever waits for longer than a second is told for what ([`Notice::Waiting`]).
//! A lock belongs to an open file, so the system releases it when its process dies.

mod dockerfiles;
mod error;
mod image;
mod ingest;
mod lock;
mod mark;
mod name;
mod notice;
mod private;
mod prune;
mod reader;
mod record;
pub mod rootfs;
mod tags;
mod tar;
mod tree;
mod usage;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

pub use self::{
    dockerfiles::{DockerfileRecord, KeptDockerfile},
    error::{Doing, StoreError},
    ingest::{Ingest, PartWriter},
    lock::{ExclusiveLock, SharedLock},
    notice::{Listener, Notice},
    private::make_private,
    prune::{Prunable, PruneKind, PrunePlan, PrunePolicy},
    reader::VerifiedReader,
    record::{ImageRecord, KeptLayer, LayerFacts, Parts, RemoteRecord},
    tags::{CONTAINERD_NAME, REF_NAME},
    tar::{RATIO_FREE, RATIO_LIMIT, TAR_LIMIT},
    usage::{Usage, UsageKind, UsageRow},
    verify::{Problem, VerifyProgress, VerifyReport},
    writer::BlobWriter,
};

use crate::{descriptor::Descriptor, digest::Digest};

const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// Where blobs are, and what is on its way to them.
const BLOBS: [&str; 3] = ["blobs/sha256", "blobs/sha512", "ingest"];
/// Where records are; a damaged one counts as none.
const RECORDS: [&str; 7] = [
    "facts",
    "trees",
    "layers",
    "dockerfiles",
    "images",
    "remote",
    "engines",
];

fn directories() -> impl Iterator<Item = &'static str> {
    BLOBS.into_iter().chain(RECORDS)
}

/// A store, by its directory. It holds no open file, so a copy of it costs nothing.
#[derive(Debug, Clone)]
pub struct BlobStore {
    root: PathBuf,
    ear: notice::Ear,
}

impl BlobStore {
    /// Opens the store below `root`, making it if there is none.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self {
            root: root.to_owned(),
            ear: notice::Ear::default(),
        };
        let layout = store.path("oci-layout");
        match fs::read_to_string(&layout) {
            Ok(text) => {
                check_layout(&layout, &text)?;
                store.check_ours()?;
                if directories().any(|name| !store.path(name).is_dir()) {
                    store.create()?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => store.create()?,
            Err(error) => return Err(StoreError::io(Doing::Read, &layout, error)),
        }
        Ok(store)
    }

    /// Returns the store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Tells whether a blob is there with the right size; its content is checked when it is read.
    pub fn has(&self, blob: &Descriptor) -> Result<bool, StoreError> {
        Ok(self.blob_size(&blob.digest)? == Some(blob.size))
    }

    /// Returns the size of a blob that is there.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(Doing::Read, &path, error)),
        }
    }

    /// Makes what is missing. `oci-layout` comes last: with it, the store is whole.
    fn create(&self) -> Result<(), StoreError> {
        self.check_ours()?;
        for directory in directories() {
            let path = self.path(directory);
            fs::create_dir_all(&path)
                .map_err(|error| StoreError::io(Doing::Create, &path, error))?;
        }
        let _lock = self.share()?;
        self.write_index()?;
        self.replace(&self.path("oci-layout"), LAYOUT.as_bytes())
    }

    /// Refuses a layout that somebody else made: its index would be overwritten.
    fn check_ours(&self) -> Result<(), StoreError> {
        if self.path("index.json").exists() && !self.path("images").is_dir() {
            return Err(StoreError::Layout {
                path: self.root.clone(),
                reason: "it is an OCI image layout that aicage did not make",
            });
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The only place where a digest becomes the path of a blob.
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let mut path = self.root.join("blobs");
        path.push(digest.algorithm());
        path.push(digest.hex());
        path
    }

    /// Lists a directory of the store in the order of names; a missing one is empty.
    fn list(&self, directory: &str) -> Result<Vec<PathBuf>, StoreError> {
        let path = self.path(directory);
        let failed = |error| StoreError::io(Doing::Read, &path, error);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.sort();
        Ok(paths)
    }

    fn part_path(&self, digest: &Digest) -> PathBuf {
        self.root
            .join("ingest")
            .join(format!("{}.part", name::of_digest(digest)))
    }
}

fn check_layout(path: &Path, text: &str) -> Result<(), StoreError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let reason = match serde_json::from_str::<Layout>(text) {
        Ok(layout) if layout.image_layout_version.starts_with("1.") => return Ok(()),
        Ok(_) => "its `oci-layout` is of another version than 1",
        Err(_) => "its `oci-layout` cannot be read",
    };
    Err(StoreError::Layout {
        path: path.to_owned(),
        reason,
    })
}
