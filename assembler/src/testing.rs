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
    let tars: Vec<Vec<u8>> = layers.iter().map(|files| tar_of(files)).collect();
    add_image_of(store, &tars)
}

/// Adds an image of these tars to a store.
pub(crate) fn add_image_of(store: &BlobStore, tars: &[Vec<u8>]) -> Image {
    let lock = store.share().unwrap();
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

/// Writes tars that nobody should write; what is in them belongs to whoever runs the test.
#[derive(Default)]
pub(crate) struct RawTar(Vec<u8>);

impl RawTar {
    pub(crate) fn entry(mut self, name: &[u8], flag: u8, link: &[u8]) -> Self {
        self.put((name, flag, link), (0o755, 0), b"");
        self
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.entry(name.as_bytes(), b'5', b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), b'2', target.as_bytes())
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), b'1', target.as_bytes())
    }

    pub(crate) fn file(mut self, name: &str, content: &str) -> Self {
        let size = content.len() as u64;
        self.put(
            (name.as_bytes(), b'0', b""),
            (0o644, size),
            content.as_bytes(),
        );
        self
    }

    pub(crate) fn mode(mut self, name: &str, flag: u8, mode: u32) -> Self {
        self.put((name.as_bytes(), flag, b""), (mode, 0), b"");
        self
    }

    /// A PAX header with these records, for what comes next.
    pub(crate) fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.put((b"pax", b'x', b""), (0o644, body.len() as u64), &body);
        self
    }

    pub(crate) fn put(
        &mut self,
        (name, flag, link): (&[u8], u8, &[u8]),
        (mode, size): (u32, u64),
        content: &[u8],
    ) {
        let mut header = [0_u8; 512];
        let mut set = |at: usize, bytes: &[u8]| {
            header[at..at + bytes.len()].copy_from_slice(bytes);
        };
        set(0, &name[..name.len().min(100)]);
        set(100, format!("{mode:07o}").as_bytes());
        set(
            108,
            format!("{:07o}", rustix::process::geteuid().as_raw()).as_bytes(),
        );
        set(
            116,
            format!("{:07o}", rustix::process::getegid().as_raw()).as_bytes(),
        );
        set(124, format!("{size:011o}").as_bytes());
        set(136, format!("{:011o}", 1_600_000_000).as_bytes());
        set(148, b"        ");
        set(156, &[flag]);
        set(157, &link[..link.len().min(100)]);
        set(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    /// Returns it without its end.
    #[cfg(target_os = "linux")]
    pub(crate) fn open(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
