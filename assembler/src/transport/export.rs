//! Writing images to files.
//!
//! Invariant: a file appears whole or not at all; a layout that others use is added to, never emptied.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde_json::{Value, json};

use super::{Target, TransportError};
use crate::{
    archive::{Encoding, HybridArchive, HybridPlan, manifest_type},
    compression::Compression,
    descriptor::{Descriptor, media_type},
    image::Image,
    manifest::MANIFEST_LIMIT,
    reference::ImageReference,
    store::{BlobStore, CONTAINERD_NAME, REF_NAME, StoreError},
};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file or directory.
    pub path: PathBuf,
    /// Bytes written; blobs that a layout had already are not among them.
    pub bytes: u64,
}

/// Writes an image under its names.
pub fn export(
    store: &BlobStore,
    image: &Image,
    names: &[ImageReference],
    target: &Target,
) -> Result<Exported, TransportError> {
    match target {
        Target::Oci { directory, tag } => {
            let entries = entries(image, names, tag.as_deref());
            let bytes = layout(store, image, &entries, directory)?;
            Ok(Exported {
                path: directory.clone(),
                bytes,
            })
        }
        Target::OciArchive { file } => archive(&HybridArchive::oci(store, image, names)?, file),
        Target::DockerArchive { file } => {
            let plan = HybridPlan {
                names: names.to_vec(),
                omit: std::collections::BTreeSet::new(),
                encoding: encoding(store, image)?,
            };
            archive(&HybridArchive::new(store, image, &plan)?, file)
        }
    }
}

/// Engines before 23 read gzip and nothing else.
fn encoding(store: &BlobStore, image: &Image) -> Result<Encoding, StoreError> {
    for layer in image.layers() {
        let mut start = [0; 6];
        let mut blob = store.read(&layer.descriptor)?;
        let count = blob
            .read(&mut start)
            .map_err(|error| store.read_error(&layer.descriptor.digest, error))?;
        if Compression::of(start.get(..count).unwrap_or_default()) == Compression::Zstd {
            return Ok(Encoding::Uncompressed);
        }
    }
    Ok(Encoding::Canonical)
}

fn archive(archive: &HybridArchive, path: &Path) -> Result<Exported, TransportError> {
    let mut file = temporary(path)?;
    let bytes = archive.write_to(&mut file)?;
    publish(file, path)?;
    Ok(Exported {
        path: path.to_owned(),
        bytes,
    })
}

fn entries(image: &Image, names: &[ImageReference], tag: Option<&str>) -> Vec<Value> {
    let platform = image.platform();
    let entry = |annotations: BTreeMap<&str, String>| {
        let mut entry = json!({
            "mediaType": manifest_type(image),
            "digest": image.digest(),
            "size": image.manifest().size(),
            "platform": platform,
        });
        if let (Some(fields), false) = (entry.as_object_mut(), annotations.is_empty()) {
            fields.insert("annotations".to_owned(), json!(annotations));
        }
        entry
    };
    if let Some(tag) = tag {
        return vec![entry(BTreeMap::from([(REF_NAME, tag.to_owned())]))];
    }
    let mut named: Vec<Value> = names
        .iter()
        .map(|name| {
            entry(BTreeMap::from([
                (REF_NAME, name.tag_or_digest()),
                (CONTAINERD_NAME, name.to_string()),
            ]))
        })
        .collect();
    if named.is_empty() {
        named.push(entry(BTreeMap::new()));
    }
    named
}

/// Writes blobs first, then the index that names them.
fn layout(
    store: &BlobStore,
    image: &Image,
    entries: &[Value],
    directory: &Path,
) -> Result<u64, TransportError> {
    let mut index = existing_index(directory)?;
    let manifest = image.manifest().value();
    let mut bytes = 0;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        bytes += copy_blob(store, blob, directory)?;
    }
    let own = Descriptor {
        media_type: String::new(),
        digest: *image.digest(),
        size: image.manifest().size(),
        annotations: BTreeMap::new(),
    };
    bytes += copy_blob(store, &own, directory)?;
    let manifests = index
        .as_object_mut()
        .map(|fields| fields.entry("manifests").or_insert_with(|| json!([])))
        .and_then(Value::as_array_mut);
    if let Some(manifests) = manifests {
        manifests.retain(|old| !entries.iter().any(|new| replaces(new, old)));
        manifests.extend_from_slice(entries);
    }
    replace(
        &directory.join("oci-layout"),
        b"{\"imageLayoutVersion\":\"1.0.0\"}",
    )?;
    replace(&directory.join("index.json"), index.to_string().as_bytes())?;
    Ok(bytes)
}

/// A name in an index belongs to one image, or to one a platform.
fn replaces(new: &Value, old: &Value) -> bool {
    let name = |entry: &Value| entry["annotations"][REF_NAME].clone();
    let same_name = name(new) == name(old);
    same_name
        && (new["platform"] == old["platform"]
            || new["digest"] == old["digest"]
            || !name(new).is_null())
}

/// Returns the index of a layout that is there, or an empty one. A directory that is none but has files is refused.
fn existing_index(directory: &Path) -> Result<Value, TransportError> {
    let invalid = |member: &str, reason: &str| TransportError::Invalid {
        path: directory.to_owned(),
        member: member.to_owned(),
        reason: reason.to_owned(),
    };
    let path = directory.join("index.json");
    let failed = |source| TransportError::Read {
        path: path.clone(),
        source,
    };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > MANIFEST_LIMIT => {
            return Err(invalid("index.json", "it is too large"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let occupied =
                fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
            if occupied
                && !directory.join("oci-layout").exists()
                && !directory.join("blobs").exists()
            {
                return Err(invalid(".", "it has files in it and is no image layout"));
            }
            return Ok(json!({
                "schemaVersion": 2,
                "mediaType": media_type::OCI_INDEX,
                "manifests": [],
            }));
        }
        Err(error) => return Err(failed(error)),
    }
    if directory.join("images").is_dir() && directory.join("lock").exists() {
        return Err(invalid(
            ".",
            "it is a store of aicage; its index is not for others to write",
        ));
    }
    let bytes = fs::read(&path).map_err(failed)?;
    let index: Value = serde_json::from_slice(&bytes)
        .map_err(|error| invalid("index.json", &error.to_string()))?;
    if !index.is_object() || !(index["manifests"].is_array() || index.get("manifests").is_none()) {
        return Err(invalid("index.json", "it is no image index"));
    }
    Ok(index)
}

/// Copies a blob, verified on the way; returns how many bytes that were.
fn copy_blob(
    store: &BlobStore,
    blob: &Descriptor,
    directory: &Path,
) -> Result<u64, TransportError> {
    let mut path = directory.join("blobs");
    path.push(blob.digest.algorithm());
    fs::create_dir_all(&path).map_err(|source| write_error(&path, source))?;
    path.push(blob.digest.hex());
    if fs::symlink_metadata(&path).is_ok_and(|there| there.is_file() && there.len() == blob.size) {
        return Ok(0);
    }
    let mut reader = store.read(blob)?;
    let mut file = temporary(&path)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = reader
            .read(&mut buffer)
            .map_err(|error| store.read_error(&blob.digest, error))?;
        if count == 0 {
            break;
        }
        file.write_all(buffer.get(..count).unwrap_or_default())
            .map_err(|source| write_error(&path, source))?;
    }
    publish(file, &path)?;
    Ok(blob.size)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), TransportError> {
    let mut file = temporary(path)?;
    file.write_all(bytes)
        .map_err(|source| write_error(path, source))?;
    publish(file, path)
}

fn temporary(path: &Path) -> Result<tempfile::NamedTempFile, TransportError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".aicage-")
        .tempfile_in(directory)
        .map_err(|source| write_error(path, source))
}

fn publish(file: tempfile::NamedTempFile, path: &Path) -> Result<(), TransportError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |source| write_error(path, source);
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
        .map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn write_error(path: &Path, source: io::Error) -> TransportError {
    TransportError::Write {
        path: path.to_owned(),
        source,
    }
}
