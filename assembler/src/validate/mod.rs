//! Checks an image against all that the specifications and our own rules ask of one: the oracle of the tests.
//!
//! Invariant: it believes nothing: every blob is read to its end, every layer unpacked and every path looked at.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, Read as _},
};

use layer::{
    LayerItem, LayerPath,
    tar::{LayerReader, Limits, ReadError},
};

use crate::{
    archive::manifest_type,
    compression::Compression,
    descriptor::{Descriptor, media_type},
    digest::Digest,
    image::{Image, Layer},
    store::{BlobStore, StoreError},
};

/// Something that is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// A blob or layer is missing, corrupt, or not what the config says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds another manifest or config under the image's digests.
    #[error("the store's {what} is not the image's")]
    Other {
        /// Which document.
        what: &'static str,
    },
    /// History has not one line a layer.
    #[error("history has {lines} lines with a layer, but there are {layers} layers")]
    History {
        /// Lines that are not marked as empty.
        lines: usize,
        /// Layers.
        layers: usize,
    },
    /// A layer has a path twice (OCI image-spec layer.md).
    #[error("layer {layer} has {path} twice")]
    Duplicate {
        /// The layer's blob.
        layer: Digest,
        /// The path.
        path: LayerPath,
    },
    /// Media types of both families in one image, which Podman refuses.
    #[error("`{found}` does not go with a `{manifest}`")]
    Mixed {
        /// The manifest's media type.
        manifest: String,
        /// The other one.
        found: String,
    },
    /// A media type that is none of an image.
    #[error("`{found}` is not the media type of a {what}")]
    MediaType {
        /// What it should be one of.
        what: &'static str,
        /// What is there.
        found: String,
    },
    /// A layer is compressed otherwise than its media type says.
    #[error("layer {layer} is said to be `{said}`, but its content is {found:?}")]
    Compression {
        /// The layer's blob.
        layer: Digest,
        /// Its media type.
        said: String,
        /// What the first bytes say.
        found: Compression,
    },
    /// The config does not say what the image is for.
    #[error("the config names no {what}")]
    Platform {
        /// What is missing.
        what: &'static str,
    },
}

/// Checks an image; nothing found means that it is valid.
pub fn validate(store: &BlobStore, image: &Image) -> Vec<Finding> {
    let mut findings = Vec::new();
    documents(store, image, &mut findings);
    media_types(image, &mut findings);
    history(image, &mut findings);
    for layer in image.layers() {
        findings.extend(check_layer(store, layer).err());
    }
    findings
}

fn documents(store: &BlobStore, image: &Image, findings: &mut Vec<Finding>) {
    match store.image(image.digest()) {
        Ok(stored) => {
            if stored.manifest().bytes() != image.manifest().bytes() {
                findings.push(Finding::Other { what: "manifest" });
            }
            if stored.config().bytes() != image.config().bytes() {
                findings.push(Finding::Other { what: "config" });
            }
        }
        Err(error) => findings.push(error.into()),
    }
    let platform = image.platform();
    for (what, value) in [
        ("operating system", platform.os),
        ("architecture", platform.architecture),
    ] {
        if value.is_empty() {
            findings.push(Finding::Platform { what });
        }
    }
}

fn media_types(image: &Image, findings: &mut Vec<Finding>) {
    use media_type as m;
    let manifest = manifest_type(image);
    let docker = manifest == m::DOCKER_MANIFEST;
    if !m::is_manifest(&manifest) {
        findings.push(Finding::MediaType {
            what: "manifest",
            found: manifest.clone(),
        });
    }
    let mut check = |what, blob: &Descriptor, known: &[&str]| {
        let found = blob.media_type.clone();
        let oci = m::to_oci(&found);
        if !known.contains(&oci) {
            findings.push(Finding::MediaType { what, found });
        } else if (oci != found) != docker {
            findings.push(Finding::Mixed {
                manifest: manifest.clone(),
                found,
            });
        }
    };
    let value = image.manifest().value();
    check("config", &value.config, &[m::OCI_CONFIG]);
    for layer in &value.layers {
        let known = [m::OCI_LAYER, m::OCI_LAYER_GZIP, m::OCI_LAYER_ZSTD];
        check("layer", layer, &known);
    }
}

/// History is optional as a whole; what there is must fit.
fn history(image: &Image, findings: &mut Vec<Finding>) {
    let history = &image.config().value().history;
    let lines = history.iter().filter(|line| !line.empty_layer).count();
    let layers = image.layers().len();
    if !history.is_empty() && lines != layers {
        findings.push(Finding::History { lines, layers });
    }
}

fn check_layer(store: &BlobStore, layer: &Layer) -> Result<(), Finding> {
    check_compression(store, layer)?;
    let blob = layer.descriptor.digest;
    let failed = |error| match error {
        ReadError::Io { source } => store.read_error(&blob, source),
        source => StoreError::Tar {
            layer: blob,
            source,
        },
    };
    let tar = BufReader::with_capacity(256 << 10, store.layer_tar(layer)?);
    let mut reader = LayerReader::new(tar, Limits::default());
    // A whiteout and an entry of one path go together: the one is about the layers below.
    let (mut entries, mut markers) = (BTreeSet::new(), BTreeSet::new());
    while let Some(item) = reader.next_item().map_err(failed)? {
        let new = match &item {
            LayerItem::Entry(entry) => entries.insert(entry.path.as_bytes().to_vec()),
            LayerItem::Whiteout(path) => markers.insert((path.as_bytes().to_vec(), "whiteout")),
            LayerItem::Opaque(path) => markers.insert((path.as_bytes().to_vec(), "opaque")),
        };
        if !new {
            return Err(Finding::Duplicate {
                layer: blob,
                path: item.path().clone(),
            });
        }
    }
    let mut rest = reader.finish().map_err(failed)?;
    io::copy(&mut rest, &mut io::sink()).map_err(|error| store.read_error(&blob, error))?;
    Ok(())
}

fn check_compression(store: &BlobStore, layer: &Layer) -> Result<(), Finding> {
    let blob = &layer.descriptor;
    let mut start = Vec::new();
    store
        .read(blob)?
        .take(6)
        .read_to_end(&mut start)
        .map_err(|error| store.read_error(&blob.digest, error))?;
    let found = Compression::of(&start);
    let said = match media_type::to_oci(&blob.media_type) {
        media_type::OCI_LAYER => Compression::None,
        media_type::OCI_LAYER_GZIP => Compression::Gzip,
        media_type::OCI_LAYER_ZSTD => Compression::Zstd,
        // Told as an unknown media type.
        _ => return Ok(()),
    };
    if said == found {
        return Ok(());
    }
    Err(Finding::Compression {
        layer: blob.digest,
        said: blob.media_type.clone(),
        found,
    })
}

#[cfg(test)]
mod tests;
