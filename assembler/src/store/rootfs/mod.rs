//! Unpacked layers, which are the lower directories of the overlays that containers without an engine live in.
//!
//! # On disk
//!
//! ```text
//! rootfs/                            0700: what is in an image is nothing for other users, programs with set-id least
//! rootfs/<mapping>/                  0700: for one id mapping, see [`MappingName`]; owners differ between mappings
//! rootfs/<mapping>/<diff id>/        a layer, see [`crate::unpack`]
//! rootfs/<mapping>/chain-<chain id>/ likewise, of a layer that leaves out directories: what these have depends on the
//!                                    layers below, so such a layer is unpacked once for every stack below it
//! rootfs/<mapping>/<either>.json     what is known of it ([`UnpackedLayer`])
//! rootfs/<mapping>/<either>.tree     the layer's path index on its way to `trees/`
//! rootfs/<mapping>/.part-*           what is being unpacked or removed; left over only by a killed process
//! rootfs/<mapping>/.use-*            names of layers, one a line, that whoever has the file locked lives in
//! ```
//!
//! A layer is unpacked under a `.part-` name and renamed once its tar came to its end with the right diff id: the rename
//! is what makes it complete, and a rename to a `.part-` name is the first step of removing it. Files are not synced one
//! by one: after a power cut, `cache verify` finds what the disk forgot.
//!
//! Two processes may unpack the same layer: the second to finish removes its own. Nothing is removed but under the
//! store's [`ExclusiveLock`](super::ExclusiveLock), nor while a `.use-` file that names it is locked.
//!
//! The files belong to whomever the mapping says. Where that is not the caller, only a process inside the mapping can
//! make, check and remove them: that process works on open directories ([`unpack_blob`], [`crate::unpack::remove_tree`],
//! [`check_unpacked`]), and the store reaches it through [`InMapping`].

#[cfg(target_os = "linux")]
mod blob;
mod error;
mod upkeep;

use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{
    BlobStore, Doing, SharedLock, StoreError, make_private, name,
    record::{Look, look_at_record, touch},
    tree::{CHAIN, chains, look_at_tree},
};
use crate::{
    digest::{ChainId, DiffId, Digest},
    image::{Image, Layer},
};

#[cfg(target_os = "linux")]
pub use blob::{Part, check_unpacked, unpack_blob, unpack_layers};
pub use error::RootfsError;
pub use upkeep::{Directly, InMapping};
pub(super) use upkeep::{Found, remove_unpacked, unpacked_bytes};
use upkeep::{is_locked, is_use};

/// Where unpacked layers are in the store.
pub(super) const ROOTFS: &str = "rootfs";
const PART: &str = ".part-";
const USE: &str = ".use-";
const TREE: &str = "tree";
/// How many hexadecimal digits name a mapping.
const DIGITS: usize = 12;

/// Names an id mapping: the same for the same ranges, in 12 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MappingName(String);

impl MappingName {
    /// Names the mapping that `text` describes, however it does.
    pub fn of(text: &str) -> Self {
        let mut name = Digest::of(text.as_bytes()).hex();
        name.truncate(DIGITS);
        Self(name)
    }

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not 12 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not name an id mapping")]
pub struct NotAMapping {
    text: String,
}

impl FromStr for MappingName {
    type Err = NotAMapping;

    fn from_str(text: &str) -> Result<Self, NotAMapping> {
        let is_name =
            text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_name
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| NotAMapping {
                text: text.to_owned(),
            })
    }
}

impl TryFrom<String> for MappingName {
    type Error = NotAMapping;

    fn try_from(text: String) -> Result<Self, NotAMapping> {
        text.parse()
    }
}

impl From<MappingName> for String {
    fn from(name: MappingName) -> Self {
        name.0
    }
}

impl fmt::Display for MappingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of an unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackedLayer {
    /// The layer.
    pub layer: Layer,
    /// Its directory's name.
    pub name: String,
    /// Bytes of its tar.
    pub tar_bytes: u64,
    /// How many nodes it has.
    pub entries: u64,
    /// How much room they take, about.
    pub bytes: u64,
    /// The layer says what owner, mode and time the root directory has.
    pub has_root: bool,
    /// Lower layers have no part in the root filesystem.
    pub hides_all: bool,
    /// How many things the layer has that were not unpacked.
    pub skipped: u64,
    /// The first of them, in words.
    pub skipped_first: Vec<String>,
}

/// A layer that is to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackJob {
    /// The layer.
    pub layer: Layer,
    /// The layers below it, the lowest first.
    pub below: Vec<DiffId>,
}

impl UnpackJob {
    fn chain(&self) -> Option<ChainId> {
        let mut stack = self.below.clone();
        stack.push(self.layer.diff_id);
        ChainId::of(&stack)
    }
}

/// Whether a layer is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It is unpacked.
    There(UnpackedLayer),
    /// It is to be unpacked.
    Missing(UnpackJob),
}

/// The lower directories of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootfsStack {
    /// The layers, the uppermost first, as overlays want them; what is hidden as a whole is left out.
    pub lowers: Vec<UnpackedLayer>,
    /// Which of them says what the root directory has, which an upper directory should have too; 0755 and root's where
    /// none does.
    pub root: Option<usize>,
}

/// The unpacked layers for one id mapping.
#[derive(Debug, Clone)]
pub struct Rootfs {
    store: BlobStore,
    mapping: MappingName,
    directory: PathBuf,
}

/// Layers that somebody lives in: none of them is removed while this, or a copy of its file in another process, is open.
#[derive(Debug)]
pub struct HeldLayers {
    file: fs::File,
}

impl HeldLayers {
    /// Returns the open file, for a process that outlives this one to inherit.
    pub fn into_file(self) -> fs::File {
        self.file
    }
}

impl BlobStore {
    /// Returns the unpacked layers for an id mapping, making a place for them where there is none.
    pub fn rootfs(&self, _lock: &SharedLock, mapping: &MappingName) -> Result<Rootfs, StoreError> {
        let directory = self.path(ROOTFS).join(mapping.as_str());
        for path in [&self.path(ROOTFS), &directory] {
            make_private(path).map_err(|error| StoreError::io(Doing::Create, path, error))?;
        }
        Ok(Rootfs {
            store: self.clone(),
            mapping: mapping.clone(),
            directory,
        })
    }
}

impl Rootfs {
    /// Returns the directory that holds the layers; a process inside the mapping is to be given it open.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the mapping.
    pub fn mapping(&self) -> &MappingName {
        &self.mapping
    }

    /// Returns which layers of an image are there and which are to be unpacked, the lowest first.
    pub fn look(&self, lock: &SharedLock, image: &Image) -> Result<Vec<Lookup>, StoreError> {
        let diff_ids = image.diff_ids();
        let chains = chains(diff_ids);
        let mut found = Vec::with_capacity(chains.len());
        for (at, (layer, chain)) in image.layers().iter().zip(&chains).enumerate() {
            let by_itself = self.unpacked(lock, &name_of_layer(&layer.diff_id))?;
            let there = match by_itself {
                Some(there) => Some(there),
                None => self.unpacked(lock, &name_of_chain(chain))?,
            };
            found.push(match there {
                Some(there) => Lookup::There(there),
                None => Lookup::Missing(UnpackJob {
                    layer: layer.clone(),
                    below: diff_ids.get(..at).unwrap_or_default().to_vec(),
                }),
            });
        }
        Ok(found)
    }

    /// Returns the lower directories of an image, if all of its layers are there.
    pub fn stack(
        &self,
        lock: &SharedLock,
        image: &Image,
    ) -> Result<Option<RootfsStack>, StoreError> {
        let mut lowers = Vec::new();
        for layer in self.look(lock, image)?.into_iter().rev() {
            let Lookup::There(layer) = layer else {
                return Ok(None);
            };
            let hides_all = layer.hides_all;
            lowers.push(layer);
            if hides_all {
                break;
            }
        }
        let root = lowers.iter().position(|layer| layer.has_root);
        Ok(Some(RootfsStack { lowers, root }))
    }

    /// Opens the blob of a layer that is to be unpacked.
    pub fn open_blob(&self, job: &UnpackJob) -> Result<fs::File, StoreError> {
        let path = self.store.blob_path(&job.layer.descriptor.digest);
        fs::File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing {
                digest: job.layer.descriptor.digest,
            },
            _ => StoreError::io(Doing::Read, &path, error),
        })
    }

    /// Keeps layers from being removed for as long as the result, or a copy of its file, is open.
    pub fn hold(&self, _lock: &SharedLock, stack: &RootfsStack) -> Result<HeldLayers, StoreError> {
        let failed = |error| StoreError::io(Doing::Create, &self.directory, error);
        self.sweep_uses()?;
        // Locked before it has its name: what has the name and no lock is of a process that is gone.
        let mut named = tempfile::Builder::new()
            .prefix(PART)
            .tempfile_in(&self.directory)
            .map_err(failed)?;
        let names: String = stack
            .lowers
            .iter()
            .flat_map(|layer| [layer.name.as_str(), "\n"])
            .collect();
        named.write_all(names.as_bytes()).map_err(failed)?;
        named.as_file().lock().map_err(failed)?;
        let unique = named.path().file_name().unwrap_or_default();
        let unique = unique.to_string_lossy().replace(PART, USE);
        let path = self.directory.join(unique);
        let file = named.persist(&path).map_err(|error| failed(error.error))?;
        Ok(HeldLayers {
            file: fs::File::from_parts(file, path),
        })
    }

    /// Removes the signs of those who are gone.
    fn sweep_uses(&self) -> Result<(), StoreError> {
        for path in self.store.list(&format!("{ROOTFS}/{}", self.mapping))? {
            if is_use(&path) && !is_locked(&path)? {
                // Another one may be quicker, or find no room to write: then it is left.
                drop(fs::remove_file(&path));
            }
        }
        Ok(())
    }

    fn unpacked(&self, lock: &SharedLock, name: &str) -> Result<Option<UnpackedLayer>, StoreError> {
        let directory = self.directory.join(name);
        match fs::symlink_metadata(&directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(Doing::Read, &directory, error)),
        }
        let record = self.directory.join(format!("{name}.json"));
        // One without a record, or with a damaged one, is unpacked again, which writes the record.
        let Look::Whole(layer) = look_at_record::<UnpackedLayer>(&record)? else {
            return Ok(None);
        };
        if layer.name != name {
            return Ok(None);
        }
        self.adopt(lock, &layer)?;
        touch(&record);
        Ok(Some(layer))
    }

    /// Takes over what unpacking has learnt of a layer: its path index and its facts.
    fn adopt(&self, lock: &SharedLock, layer: &UnpackedLayer) -> Result<(), StoreError> {
        let path = self.directory.join(format!("{}.{TREE}", layer.name));
        if let Look::Whole(index) = look_at_tree(&path)? {
            self.store.keep_index(lock, &layer.layer.diff_id, &index)?;
            self.store.remember_facts(&layer.layer, layer.tar_bytes)?;
            // It is ours to remove: the directory belongs to us, whoever made the file.
            match fs::remove_file(&path) {
                // Another process took it over at the same moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => {
                    removed.map_err(|error| StoreError::io(Doing::Remove, &path, error))?;
                }
            }
        }
        Ok(())
    }
}

fn name_of_layer(diff_id: &DiffId) -> String {
    name::of_digest(diff_id.digest())
}

fn name_of_chain(chain: &ChainId) -> String {
    format!("{CHAIN}{}", name::of_digest(chain.digest()))
}
