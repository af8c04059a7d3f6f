//! Images for this crate's tests, made of files in memory.

use std::io::Write as _;

use layer::{Entry, LayerItem, LayerPath, tar::LayerWriter};
use serde_json::json;

use crate::{
    descriptor::{Descriptor, media_type},
    digest::Digest,
    image::Image,
    store::BlobStore,
};

/// An image in a store of its own.
pub(crate) struct TestImage {
    pub(crate) _directory: tempfile::TempDir,
    pub(crate) store: BlobStore,
    pub(crate) image: Image,
}

/// The files of one layer; a path that ends in `/` is a directory, one that begins with `!` a whiteout.
pub(crate) type Files<'a> = &'a [(&'a str, &'a [u8])];

/// Writes a layer's tar.
pub(crate) fn tar_of(files: Files<'_>) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new());
    for (path, content) in files {
        let item = if let Some(victim) = path.strip_prefix('!') {
            LayerItem::Whiteout(LayerPath::new(victim).unwrap())
        } else if path.ends_with('/') {
            LayerItem::Entry(Entry::directory(LayerPath::new(path).unwrap(), 0o755))
        } else {
            let path = LayerPath::new(path).unwrap();
            LayerItem::Entry(Entry::file(path, 0o644, content.len() as u64))
        };
        writer.append(&item, *content).unwrap();
    }
    writer.finish().unwrap()
}

/// Compresses with one gzip member.
pub(crate) fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Makes a store with an image of these layers.
pub(crate) fn image_of(layers: &[Files<'_>]) -> TestImage {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(&directory.path().join("store")).unwrap();
    let image = add_image(&store, layers);
    TestImage {
        _directory: directory,
        store,
        image,
    }
}

/// Adds an image of these layers to a store.
pub(crate) fn add_image(store: &BlobStore, layers: &[Files<'_>]) -> Image {
    let lock = store.share().unwrap();
    let tars: Vec<Vec<u8>> = layers.iter().map(|files| tar_of(files)).collect();
    let blobs: Vec<Descriptor> = tars
        .iter()
        .map(|tar| {
            store
                .write_bytes(&lock, media_type::OCI_LAYER_GZIP, &gzip_of(tar))
                .unwrap()
        })
        .collect();
    let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
    let history: Vec<_> = tars.iter().map(|_| json!({"created_by": "test"})).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    });
    let config = store
        .write_bytes(&lock, media_type::OCI_CONFIG, config.to_string().as_bytes())
        .unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config,
        "layers": blobs,
    });
    let manifest = store
        .write_bytes(
            &lock,
            media_type::OCI_MANIFEST,
            manifest.to_string().as_bytes(),
        )
        .unwrap();
    store.image(&manifest.digest).unwrap()
}
