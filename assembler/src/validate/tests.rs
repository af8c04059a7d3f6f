//! The oracle finds each thing that can be wrong, and nothing in an image that is right.

use std::os::unix::fs::PermissionsExt as _;

use fs_err as fs;
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestImage, gzip_of, image_of, tar_of};

/// Writes an image again with its documents changed.
fn changed(
    sample: &TestImage,
    config: impl FnOnce(&mut Value),
    manifest: impl FnOnce(&mut Value),
) -> Image {
    let lock = sample.store.share().unwrap();
    let mut value: Value = serde_json::from_slice(sample.image.config().bytes()).unwrap();
    config(&mut value);
    let blob = sample
        .store
        .write_bytes(&lock, media_type::OCI_CONFIG, value.to_string().as_bytes())
        .unwrap();
    let mut value: Value = serde_json::from_slice(sample.image.manifest().bytes()).unwrap();
    value["config"] = json!(blob);
    manifest(&mut value);
    let blob = sample
        .store
        .write_bytes(
            &lock,
            media_type::OCI_MANIFEST,
            value.to_string().as_bytes(),
        )
        .unwrap();
    sample.store.image(&blob.digest).unwrap()
}

/// Writes the sample's only layer again as these bytes.
fn with_layer(sample: &TestImage, tar: &[u8], blob: &[u8]) -> Image {
    let lock = sample.store.share().unwrap();
    let blob = sample
        .store
        .write_bytes(&lock, media_type::OCI_LAYER_GZIP, blob)
        .unwrap();
    drop(lock);
    changed(
        sample,
        |config| config["rootfs"]["diff_ids"] = json!([Digest::of(tar)]),
        |manifest| manifest["layers"] = json!([blob]),
    )
}

#[track_caller]
fn check(sample: &TestImage, image: &Image, expected: &str) {
    let findings: Vec<String> = validate(&sample.store, image)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        matches!(findings.as_slice(), [only] if only.contains(expected)),
        "{findings:?} is not one finding about {expected:?}"
    );
}

fn sample() -> TestImage {
    image_of(&[&[("d/", b""), ("!d/y", b""), ("d/x", b"1")]])
}

#[test]
fn an_image_that_is_right_has_no_findings() {
    let sample = sample();
    assert!(validate(&sample.store, &sample.image).is_empty());
    let without = changed(
        &sample,
        |config| {
            config["history"] = Value::Null;
        },
        |_| {},
    );
    assert!(
        validate(&sample.store, &without).is_empty(),
        "history is optional"
    );
}

#[test]
fn documents_that_do_not_fit_are_found() {
    let sample = sample();
    let lines = changed(
        &sample,
        |config| config["history"] = json!([{"empty_layer": true}]),
        |_| {},
    );
    check(&sample, &lines, "history has 0 lines");
    let platform = changed(&sample, |config| config["os"] = json!(""), |_| {});
    check(&sample, &platform, "no operating system");
    let mixed = changed(
        &sample,
        |_| {},
        |manifest| manifest["layers"][0]["mediaType"] = json!(media_type::DOCKER_LAYER_GZIP),
    );
    check(&sample, &mixed, "does not go with");
    let unknown = changed(
        &sample,
        |_| {},
        |manifest| manifest["layers"][0]["mediaType"] = json!("text/plain"),
    );
    check(&sample, &unknown, "not the media type of a layer");
    let compressed = changed(
        &sample,
        |_| {},
        |manifest| manifest["layers"][0]["mediaType"] = json!(media_type::OCI_LAYER_ZSTD),
    );
    check(&sample, &compressed, "but its content is Gzip");
}

#[test]
fn layers_that_are_wrong_are_found() {
    let sample = sample();
    let tar = tar_of(&[("a", b"1")]);
    let twice = [&tar[..1024], &tar].concat();
    check(
        &sample,
        &with_layer(&sample, &twice, &gzip_of(&twice)),
        "twice",
    );
    check(
        &sample,
        &with_layer(&sample, b"other", &gzip_of(&tar)),
        "but the image config says",
    );
    let blob = gzip_of(&tar);
    check(
        &sample,
        &with_layer(&sample, &tar, &blob[..blob.len() - 4]),
        "cannot be decompressed",
    );
    let noise = b"no tar at all".repeat(100);
    check(
        &sample,
        &with_layer(&sample, &noise, &gzip_of(&noise)),
        "not a valid tar",
    );
}

#[test]
fn blobs_that_are_missing_or_corrupt_are_found() {
    let sample = sample();
    let blob = sample.image.layers()[0].descriptor.digest;
    let path = sample.store.root().join("blobs/sha256").join(blob.hex());
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, bytes).unwrap();
    check(&sample, &sample.image, "is corrupt");
    fs::remove_file(&path).unwrap();
    check(&sample, &sample.image, "does not have blob");
}
