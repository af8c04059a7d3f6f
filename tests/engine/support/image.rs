//! A small image with a shell, and others like it.

use std::io::Read as _;

use assembler::{
    descriptor::{Descriptor, media_type},
    digest::Digest,
    image::Image,
    store::{BlobStore, SharedLock},
};
use layer::{Entry, LayerItem, LayerPath, tar::LayerWriter};
use serde_json::json;

/// One entry of a layer.
pub(crate) fn file<'a>(path: &str, content: &'a [u8], mode: u32) -> (LayerItem, &'a [u8]) {
    let path = LayerPath::new(path).unwrap();
    let entry = Entry::file(path, mode, content.len() as u64);
    (LayerItem::Entry(entry), content)
}

pub(crate) fn directory(path: &str, mode: u32) -> (LayerItem, &'static [u8]) {
    let entry = Entry::directory(LayerPath::new(path).unwrap(), mode);
    (LayerItem::Entry(entry), b"")
}

fn link(path: &str, target: &str) -> (LayerItem, &'static [u8]) {
    let entry = Entry::symlink(LayerPath::new(path).unwrap(), target);
    (LayerItem::Entry(entry), b"")
}

pub(crate) fn tar_of(items: &[(LayerItem, &[u8])]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new());
    for (item, content) in items {
        writer.append(item, *content).unwrap();
    }
    writer.finish().unwrap()
}

pub(super) fn shell(busybox: &[u8], salt: &str) -> Vec<u8> {
    let tools = "sh ls cat echo sleep kill env stty head wc dd true false mkdir rm rmdir cp mv id ps touch ln chmod chown \
                 mknod md5sum seq test tr yes find stat truncate printf sync";
    let mut items = vec![directory("bin", 0o755), file("bin/busybox", busybox, 0o755)];
    let mut links: Vec<String> = tools
        .split_whitespace()
        .map(|tool| format!("bin/{tool}"))
        .collect();
    links.sort();
    items.extend(links.iter().map(|path| link(path, "busybox")));
    items.push(directory("etc", 0o755));
    // Podman writes one where there is none.
    items.push(file("etc/group", b"root:x:0:\n", 0o644));
    items.push(file(
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\n",
        0o644,
    ));
    items.push(file("etc/salt", salt.as_bytes(), 0o644));
    items.push(directory("old", 0o755));
    items.push(file("old/file", b"old", 0o644));
    items.push(directory("root", 0o700));
    items.push(directory("tmp", 0o1777));
    tar_of(&items)
}

/// Puts an image of these layers into a store.
pub(crate) fn image_of(
    store: &BlobStore,
    lock: &SharedLock,
    layers: &[Vec<u8>],
    more: &serde_json::Value,
) -> Image {
    let blobs: Vec<Descriptor> = layers
        .iter()
        .map(|tar| {
            let blob = gzip(tar);
            store
                .write_bytes(lock, media_type::OCI_LAYER_GZIP, &blob)
                .unwrap()
        })
        .collect();
    let mut run = json!({"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "WorkingDir": "/nowhere"});
    for (name, value) in more.as_object().unwrap() {
        run[name] = value.clone();
    }
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>(),
    });
    let config = config.to_string();
    let config = store
        .write_bytes(lock, media_type::OCI_CONFIG, config.as_bytes())
        .unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config,
        "layers": blobs,
    });
    let manifest = manifest.to_string();
    let manifest = store
        .write_bytes(lock, media_type::OCI_MANIFEST, manifest.as_bytes())
        .unwrap();
    store.image(&manifest.digest).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}
