//! Reading OCI image layouts.

use super::{Importer, TransportError, tree::Tree};
use crate::{
    descriptor::{Descriptor, media_type},
    digest::Digest,
    image::Image,
    manifest::{CONFIG_LIMIT, Document, Index, IndexEntry, MANIFEST_LIMIT, Manifest, Raw},
    store::{CONTAINERD_NAME, Ingest, REF_NAME, StoreError},
};

/// How deep indexes may lie in indexes.
const DEPTH: usize = 4;

impl Importer<'_> {
    pub(super) fn oci(&self, tree: &Tree, tag: Option<&str>) -> Result<Image, TransportError> {
        // Without it, a directory with an `index.json` may be anything.
        tree.read("oci-layout", 4096)?;
        let index = Raw::<Index>::read(tree.read("index.json", MANIFEST_LIMIT)?)?;
        let mut entry = self.choose(&index, tag)?.clone();
        for _ in 0..DEPTH {
            let descriptor = &entry.descriptor;
            let bytes = checked(tree, descriptor, MANIFEST_LIMIT)?;
            match Document::parse(bytes, &descriptor.media_type)? {
                Document::Manifest(manifest) => return self.oci_image(tree, &manifest),
                Document::Index(index) => entry = index.pick(self.platform)?.clone(),
            }
        }
        Err(tree.invalid(
            "index.json",
            "its indexes lie too deep in each other".to_owned(),
        ))
    }

    fn oci_image(&self, tree: &Tree, manifest: &Raw<Manifest>) -> Result<Image, TransportError> {
        let config = &manifest.value().config;
        let bytes = checked(tree, config, CONFIG_LIMIT)?;
        let image = Image::new(
            manifest.clone(),
            Raw::<crate::manifest::ImageConfig>::read(bytes)?,
        )?;
        for layer in image.layers() {
            self.oci_blob(tree, &layer.descriptor)?;
        }
        self.store
            .write_bytes(self.lock, media_type::OCI_CONFIG, image.config().bytes())?;
        // The manifest comes last: with it, the image is whole.
        self.store
            .write_bytes(self.lock, media_type::OCI_MANIFEST, manifest.bytes())?;
        Ok(image)
    }

    /// Stores a blob, checked while it is copied.
    fn oci_blob(&self, tree: &Tree, blob: &Descriptor) -> Result<(), TransportError> {
        let Ingest::Part(mut part) = self.store.ingest(self.lock, blob)? else {
            return Ok(());
        };
        part.restart()?;
        let (_, mut file) = tree.open(&blob_name(&blob.digest))?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = std::io::Read::read(&mut file, &mut buffer).map_err(|source| {
                TransportError::Read {
                    path: self.path.to_owned(),
                    source,
                }
            })?;
            if count == 0 {
                return Ok(part.commit()?);
            }
            part.write(buffer.get(..count).unwrap_or_default())?;
        }
    }

    fn choose<'i>(
        &self,
        index: &'i Raw<Index>,
        tag: Option<&str>,
    ) -> Result<&'i IndexEntry, TransportError> {
        let entries = &index.value().manifests;
        let Some(tag) = tag else {
            if let [only] = entries.as_slice() {
                return Ok(only);
            }
            // Several names of one image are no choice, nor is one name for several platforms.
            if let Some(first) = entries.first()
                && entries
                    .iter()
                    .all(|entry| entry.descriptor.digest == first.descriptor.digest)
            {
                return Ok(first);
            }
            if entries.iter().all(|entry| names(entry).next().is_none())
                && let Ok(entry) = index.pick(self.platform)
            {
                return Ok(entry);
            }
            return Err(self.choice("several images; name one".to_owned(), entries));
        };
        let named = entries
            .iter()
            .filter(|entry| names(entry).any(|name| is_called(name, tag)));
        let mut named: Vec<&IndexEntry> = named.collect();
        if named.len() > 1 {
            named.sort_by_key(|entry| {
                let platform = entry.platform.as_ref();
                platform
                    .and_then(|platform| self.platform.rank(platform))
                    .unwrap_or(u8::MAX)
            });
        }
        named
            .first()
            .copied()
            .ok_or_else(|| self.choice(format!("no image `{tag}`"), entries))
    }

    fn choice(&self, what: String, entries: &[IndexEntry]) -> TransportError {
        let mut found: Vec<&str> = entries
            .iter()
            .filter_map(|entry| names(entry).next())
            .collect();
        found.truncate(20);
        TransportError::Choice {
            path: self.path.to_owned(),
            what,
            available: if found.is_empty() {
                "no named ones".to_owned()
            } else {
                found.join(", ")
            },
        }
    }
}

/// Reads a small blob and checks it.
fn checked(tree: &Tree, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, TransportError> {
    let bytes = tree.read(&blob_name(&blob.digest), limit)?;
    if bytes.len() as u64 != blob.size {
        return Err(StoreError::WrongSize {
            digest: blob.digest,
            expected: blob.size,
            found: bytes.len() as u64,
        }
        .into());
    }
    let mut hasher = blob.digest.hasher();
    hasher.update(&bytes);
    let found = hasher.finish();
    if found != blob.digest {
        return Err(StoreError::Corrupt {
            expected: blob.digest,
            found,
        }
        .into());
    }
    Ok(bytes)
}

fn names(entry: &IndexEntry) -> impl Iterator<Item = &str> {
    let annotations = &entry.descriptor.annotations;
    [REF_NAME, CONTAINERD_NAME]
        .into_iter()
        .filter_map(|key| annotations.get(key).map(String::as_str))
}

/// Tells whether a name in an index is what the user means: itself, its tag, or the same reference written otherwise.
fn is_called(name: &str, wanted: &str) -> bool {
    let reference = |text: &str| text.parse::<crate::reference::ImageReference>().ok();
    name == wanted
        || name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted)
        || (wanted.contains(':')
            && reference(name).is_some()
            && reference(name) == reference(wanted))
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
