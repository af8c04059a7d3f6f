//! Transports, with hostile archives and with independent judges.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use fs_err as fs;
use layer::{Entry, LayerItem, LayerPath, tar::LayerWriter};
use serde_json::{Value, json};

use super::*;
use crate::{
    digest::Digest,
    store::StoreError,
    testing::{TestImage, add_image, gzip_of, image_of, tar_of},
};

/// Says why a test did not run; the run fails on a skip it does not expect.
#[expect(clippy::print_stderr, reason = "a skip must be seen")]
fn skip(reason: &str) {
    eprintln!("SKIP: {reason}");
}

fn linux() -> Platform {
    Platform::linux("amd64")
}

fn names() -> Vec<crate::reference::ImageReference> {
    vec!["aicage:codex-debian".parse().unwrap()]
}

fn sample() -> TestImage {
    image_of(&[
        &[("a", b"1"), ("d/", b""), ("d/x", &[b'x'; 7000])],
        &[("b", b"2")],
        &[("!b", b"")],
    ])
}

/// A store of its own to import into.
fn elsewhere() -> (tempfile::TempDir, BlobStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(&directory.path().join("store")).unwrap();
    (directory, store)
}

fn imported(text: &str) -> Result<(tempfile::TempDir, BlobStore, Image), TransportError> {
    let (directory, store) = elsewhere();
    let lock = store.share()?;
    let image = import(&store, &lock, &Source::parse(text).unwrap(), &linux())?;
    let report = store.verify(&lock, &|_| {})?;
    assert_eq!(report.problems, []);
    for layer in image.layers() {
        store.layer_index(&lock, layer)?;
    }
    drop(lock);
    Ok((directory, store, image))
}

fn exported(sample: &TestImage, transport: &str, path: &Path) -> String {
    let text = format!("{transport}:{}", path.display());
    let target = Target::parse(&text).unwrap();
    export(&sample.store, &sample.image, &names(), &target).unwrap();
    text
}

/// Runs a judge; false when it is not installed.
fn judged(program: &str, arguments: &[&str]) -> bool {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        skip(&format!("{program} is not installed"));
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    true
}

#[test]
fn an_image_comes_back_the_same_from_a_layout_and_from_its_archive() {
    let sample = sample();
    let directory = tempfile::tempdir().unwrap();
    for (transport, name) in [("oci", "layout"), ("oci-archive", "layout.tar")] {
        let text = exported(&sample, transport, &directory.path().join(name));
        let (_directory, _store, image) = imported(&text).unwrap();
        assert_eq!(image.digest(), sample.image.digest(), "{text}");
        let (_directory, _store, image) = imported(&format!("{text}:codex-debian")).unwrap();
        assert_eq!(image.digest(), sample.image.digest(), "{text}");
        let (_directory, _store, image) = imported(&format!("{text}:aicage:codex-debian")).unwrap();
        assert_eq!(image.digest(), sample.image.digest(), "{text}");
        let error = imported(&format!("{text}:nothing")).unwrap_err();
        assert!(matches!(error, TransportError::Choice { .. }), "{error:?}");
    }
}

#[test]
fn judges_accept_what_is_exported() {
    let sample = sample();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let layout = exported(&sample, "oci", &path("layout"));
    let archive = exported(&sample, "oci-archive", &path("oci.tar"));
    let docker = exported(&sample, "docker-archive", &path("docker.tar"));
    for text in [&layout, &archive, &docker] {
        if !judged("skopeo", &["inspect", text]) {
            return;
        }
    }
    let copy = format!("oci:{}:x", path("copy").display());
    judged("skopeo", &["copy", "-q", &docker, &copy]);
    let image = format!("{}:codex-debian", path("layout").display());
    let bundle = path("bundle");
    let rootless = [
        "unpack",
        "--rootless",
        "--image",
        &image,
        bundle.to_str().unwrap(),
    ];
    if judged("umoci", &rootless) {
        let rootfs = bundle.join("rootfs");
        assert_eq!(fs::read(rootfs.join("a")).unwrap(), b"1");
        assert!(!rootfs.join("b").exists(), "the whiteout took it away");
    }
}

#[test]
fn a_layout_is_added_to_and_a_name_moves() {
    let sample = sample();
    let other = add_image(&sample.store, &[&[("other", b"1")]]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layout");
    let export = |image: &Image, tag: &str| {
        let target = Target::parse(&format!("oci:{}:{tag}", path.display())).unwrap();
        super::export(&sample.store, image, &names(), &target).unwrap()
    };
    assert!(export(&sample.image, "one").bytes > 0);
    export(&other, "two");
    assert_eq!(export(&sample.image, "one").bytes, 0, "the blobs are there");
    let find = |tag: &str| {
        let (_directory, _store, image) =
            imported(&format!("oci:{}:{tag}", path.display())).unwrap();
        *image.digest()
    };
    assert_eq!(find("one"), *sample.image.digest());
    assert_eq!(find("two"), *other.digest());
    let error = imported(&format!("oci:{}", path.display())).unwrap_err();
    assert!(error.to_string().contains("two, one"), "{error}");
    export(&other, "one");
    assert_eq!(find("one"), *other.digest());
    let index: Value = serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn a_directory_that_is_no_layout_is_not_written_to() {
    let sample = sample();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("precious"), b"").unwrap();
    for path in [directory.path(), sample.store.root()] {
        let target = Target::Oci {
            directory: path.to_owned(),
            tag: None,
        };
        let error = export(&sample.store, &sample.image, &names(), &target).unwrap_err();
        assert!(matches!(error, TransportError::Invalid { .. }), "{error:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_docker_archive_of_each_shape_gives_the_same_layers() {
    let sample = sample();
    let directory = tempfile::tempdir().unwrap();
    let hybrid = exported(
        &sample,
        "docker-archive",
        &directory.path().join("docker.tar"),
    );
    let (_directory, _store, image) = imported(&hybrid).unwrap();
    assert_eq!(
        image.layers(),
        sample.image.layers(),
        "gzip layers stay as they are"
    );
    assert_eq!(image.config().digest(), sample.image.config().digest());
    let (_directory, _store, again) =
        imported(&format!("{hybrid}:docker.io/library/aicage:codex-debian")).unwrap();
    assert_eq!(again.digest(), image.digest());
    // The old shape: a directory a layer, plain tars, a symbolic link for the layer that is there twice.
    let tars = [
        tar_of(&[("a", b"1")]),
        tar_of(&[("b", b"2")]),
        tar_of(&[("a", b"1")]),
    ];
    let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string();
    let manifest = json!([{
        "Config": "c.json", "RepoTags": null,
        "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"],
    }])
    .to_string();
    let old = |link: &str| {
        written(&[
            ("1/", Member::Directory),
            ("1/layer.tar", Member::File(&tars[0])),
            ("2/", Member::Directory),
            ("2/layer.tar", Member::File(&tars[1])),
            ("3/", Member::Directory),
            ("3/layer.tar", Member::Link(link)),
            ("c.json", Member::File(config.as_bytes())),
            ("manifest.json", Member::File(manifest.as_bytes())),
        ])
    };
    let path = directory.path().join("old.tar");
    for bytes in [old("../1/layer.tar"), gzip_of(&old("../1/layer.tar"))] {
        fs::write(&path, bytes).unwrap();
        let (_directory, _store, image) =
            imported(&format!("docker-archive:{}", path.display())).unwrap();
        assert_eq!(image.layers().len(), 3);
        assert_eq!(image.layers()[0], image.layers()[2]);
    }
    // The link is not needed, because its layer is known; as the only one it must not lead out.
    let manifest = json!([{"Config": "c.json", "Layers": ["3/layer.tar"]}]).to_string();
    let config = json!({"rootfs": {"diff_ids": [diff_ids[0]]}}).to_string();
    for link in ["../../../../etc/passwd", "../3/layer.tar", "/etc/passwd"] {
        let bytes = written(&[
            ("3/", Member::Directory),
            ("3/layer.tar", Member::Link(link)),
            ("c.json", Member::File(config.as_bytes())),
            ("manifest.json", Member::File(manifest.as_bytes())),
        ]);
        fs::write(&path, bytes).unwrap();
        let error = imported(&format!("docker-archive:{}", path.display())).unwrap_err();
        assert!(matches!(error, TransportError::Member { .. }), "{error:?}");
    }
}

enum Member<'a> {
    Directory,
    File(&'a [u8]),
    Link(&'a str),
}

fn written(members: &[(&str, Member<'_>)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new());
    for (path, member) in members {
        let path = LayerPath::new(path).unwrap();
        let (entry, content): (_, &[u8]) = match member {
            Member::Directory => (Entry::directory(path, 0o755), b""),
            Member::File(bytes) => (Entry::file(path, 0o644, bytes.len() as u64), bytes),
            Member::Link(target) => (Entry::symlink(path, *target), b""),
        };
        writer.append(&LayerItem::Entry(entry), content).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn layers_that_are_not_what_the_config_says_are_refused() {
    let right = tar_of(&[("a", b"1")]);
    let wrong = tar_of(&[("a", b"2")]);
    let config = json!({"rootfs": {"diff_ids": [Digest::of(&right)]}}).to_string();
    let manifest = json!([{"Config": "c", "Layers": ["l"]}]).to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tar");
    for layer in [
        wrong.clone(),
        gzip_of(&wrong),
        zstd::encode_all(wrong.as_slice(), 1).unwrap(),
    ] {
        let bytes = written(&[
            ("c", Member::File(config.as_bytes())),
            ("l", Member::File(&layer)),
            ("manifest.json", Member::File(manifest.as_bytes())),
        ]);
        fs::write(&path, bytes).unwrap();
        let error = imported(&format!("docker-archive:{}", path.display())).unwrap_err();
        assert!(
            matches!(error, TransportError::Store(StoreError::DiffId { .. })),
            "{error:?}"
        );
    }
}

#[test]
fn a_damaged_layout_is_named_and_leaves_no_image() {
    let sample = sample();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layout");
    let text = exported(&sample, "oci", &path);
    let blobs: Vec<_> = fs::read_dir(path.join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(blobs.len(), 5);
    for blob in blobs {
        let right = fs::read(&blob).unwrap();
        fs::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut flipped = right.clone();
        flipped[right.len() / 2] ^= 1;
        for wrong in [
            flipped,
            right[..right.len() - 1].to_vec(),
            [&right[..], b"x"].concat(),
        ] {
            fs::write(&blob, wrong).unwrap();
            let error = imported(&text).unwrap_err();
            assert!(
                matches!(
                    error,
                    TransportError::Store(
                        StoreError::Corrupt { .. } | StoreError::WrongSize { .. }
                    )
                ),
                "{error:?}"
            );
        }
        fs::remove_file(&blob).unwrap();
        let error = imported(&text).unwrap_err();
        assert!(matches!(error, TransportError::Member { .. }), "{error:?}");
        fs::write(&blob, right).unwrap();
    }
    imported(&text).unwrap();
    for (index, what) in [
        (json!({"schemaVersion": 2, "manifests": []}), "Choice"),
        (json!([]), "Manifest"),
    ] {
        fs::write(path.join("index.json"), index.to_string()).unwrap();
        let error = imported(&text).unwrap_err();
        assert!(format!("{error:?}").starts_with(what), "{error:?}");
    }
    fs::write(path.join("index.json"), vec![b' '; 9 << 20]).unwrap();
    assert!(matches!(
        imported(&text).unwrap_err(),
        TransportError::Invalid { .. }
    ));
}

#[test]
fn the_platform_decides_in_a_layout_of_several() {
    let sample = sample();
    let other = add_image(&sample.store, &[&[("arm", b"1")]]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layout");
    let text = exported(&sample, "oci", &path);
    let target = Target::parse(&text).unwrap();
    export(&sample.store, &other, &[], &target).unwrap();
    let entry = |image: &Image, architecture: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": image.digest(), "size": image.manifest().size(),
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let index = json!({
        "schemaVersion": 2,
        "manifests": [entry(&other, "arm64"), entry(&sample.image, "amd64")],
    });
    fs::write(path.join("index.json"), index.to_string()).unwrap();
    let (_directory, _store, image) = imported(&text).unwrap();
    assert_eq!(image.digest(), sample.image.digest());
    // The same as an index that lies in the index, under a name.
    let inner = index.to_string();
    let digest = Digest::of(inner.as_bytes());
    fs::write(path.join("blobs/sha256").join(digest.hex()), &inner).unwrap();
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest, "size": inner.len(),
            "annotations": {"org.opencontainers.image.ref.name": "multi"},
        }],
    });
    fs::write(path.join("index.json"), index.to_string()).unwrap();
    let (_directory, _store, image) = imported(&format!("{text}:multi")).unwrap();
    assert_eq!(image.digest(), sample.image.digest());
}

#[test]
fn a_root_filesystem_becomes_the_same_image_whatever_compressed_it() {
    let tar = tar_of(&[("bin/", b""), ("bin/sh", b"#!"), ("etc/", b"")]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rootfs");
    let mut digests = Vec::new();
    for bytes in [
        tar.clone(),
        gzip_of(&tar),
        zstd::encode_all(tar.as_slice(), 1).unwrap(),
    ] {
        fs::write(&path, bytes).unwrap();
        let (_directory, store, image) = imported(&format!("rootfs:{}", path.display())).unwrap();
        assert_eq!(image.platform(), linux());
        assert_eq!(image.config().value().config.env, [ROOTFS_PATH]);
        assert_eq!(*image.layers()[0].diff_id.digest(), Digest::of(&tar));
        assert_eq!(
            store.uncompressed_size(&image.layers()[0]).unwrap(),
            tar.len() as u64
        );
        digests.push(*image.digest());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

#[test]
fn what_is_no_root_filesystem_is_refused_with_the_reason() {
    let tar = tar_of(&[("a", &[b'x'; 5000])]);
    let twice = [&tar_of(&[("a", b"1")])[..1024], &tar].concat();
    let gz = gzip_of(&tar);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rootfs");
    for (bytes, reason) in [
        (b"\xfd7zXZ\0\0\x04".to_vec(), "xz"),
        (twice, "twice"),
        (tar_of(&[("!a", b"")]), "nothing below"),
        (Vec::new(), "/"),
        (gz[..gz.len() / 2].to_vec(), ""),
        (tar[..3000].to_vec(), "cut off"),
        (b"this is no tar".repeat(100), ""),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = imported(&format!("rootfs:{}", path.display())).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        assert!(text.contains(reason), "{text} does not say {reason:?}");
        assert!(text.contains("rootfs"), "{text} names the file");
    }
    let error = imported(&format!("rootfs:{}", directory.path().display())).unwrap_err();
    assert!(matches!(error, TransportError::Read { .. }), "{error:?}");
}

#[test]
fn an_archive_that_grows_beyond_all_measure_is_cut_off() {
    let large = vec![0; 64 << 20];
    let tar = written(&[("large", Member::File(&large))]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tar.zst");
    fs::write(&path, zstd::encode_all(tar.as_slice(), 1).unwrap()).unwrap();
    let error = imported(&format!("docker-archive:{}", path.display())).unwrap_err();
    assert!(matches!(error, TransportError::Tar { .. }), "{error:?}");
}

#[test]
fn sources_and_targets_read_as_users_write_them() {
    let directory = tempfile::tempdir().unwrap();
    let odd = directory.path().join("a:b");
    fs::create_dir(&odd).unwrap();
    let text = format!("oci:{}", odd.display());
    assert_eq!(
        Source::parse(&text),
        Some(Source::Oci {
            directory: odd,
            tag: None
        }),
        "a path that is there is not split"
    );
    assert_eq!(
        Source::parse("docker-archive:x.tar:debian:stable"),
        Some(Source::DockerArchive {
            file: "x.tar".into(),
            reference: Some("debian:stable".to_owned())
        })
    );
    for text in [
        "debian:stable",
        "localhost:5000/x",
        "docker-daemon:x",
        "debian",
    ] {
        assert_eq!(Source::parse(text), None, "{text}");
    }
    assert_eq!(Target::parse("oci:"), None);
    let source = Source::parse("oci:nowhere:x").unwrap();
    assert_eq!(source.to_string(), "oci:nowhere:x");
}
