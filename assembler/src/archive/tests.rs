//! Archives: their length, their shape, and what happens when the store does not hold what it should.

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use fs_err as fs;

use super::*;
use crate::testing::{TestImage, image_of};

fn plan(encoding: Encoding, omit: &[usize]) -> HybridPlan {
    HybridPlan {
        names: vec!["aicage:codex-debian".parse().unwrap()],
        omit: omit.iter().copied().collect(),
        encoding,
    }
}

fn written(archive: &HybridArchive) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = archive.write_to(&mut bytes).unwrap();
    assert_eq!(count, archive.total_bytes(), "the length was announced");
    assert_eq!(bytes.len() as u64, count);
    bytes
}

/// Lists an archive with GNU tar.
fn listed(bytes: &[u8]) -> Vec<String> {
    let mut tar = Command::new("tar")
        .args(["-tf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success(), "GNU tar reads the archive");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_hybrid_shape_has_both_indexes_and_every_blob_once() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")], &[("b", b"2")], &[("a", b"1")]]);
    let archive = HybridArchive::new(&store, &image, &plan(Encoding::Canonical, &[])).unwrap();
    let names = listed(&written(&archive));
    let layers = image.layers();
    assert_eq!(layers[0], layers[2], "the first and the third are one blob");
    let expected = [
        "blobs/".to_owned(),
        "blobs/sha256/".to_owned(),
        "oci-layout".to_owned(),
        "index.json".to_owned(),
        blob_name(image.digest()),
        blob_name(image.config().digest()),
        blob_name(&layers[0].descriptor.digest),
        blob_name(&layers[1].descriptor.digest),
        "manifest.json".to_owned(),
    ];
    assert_eq!(names, expected);
}

#[test]
fn omitted_layers_are_left_out_unless_another_position_needs_them() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", b"1")], &[("b", b"2")], &[("a", b"1")]]);
    let names = |omit: &[usize]| {
        let plan = plan(Encoding::Canonical, omit);
        listed(&written(
            &HybridArchive::new(&store, &image, &plan).unwrap(),
        ))
    };
    let first = blob_name(&image.layers()[0].descriptor.digest);
    let second = blob_name(&image.layers()[1].descriptor.digest);
    assert!(names(&[0]).contains(&first), "position 2 is the same blob");
    assert!(!names(&[0, 2]).contains(&first));
    assert!(names(&[0, 2]).contains(&second));
    assert!(!names(&[0, 1, 2]).contains(&second));
}

#[test]
fn uncompressed_layers_lie_under_their_diff_ids_without_an_oci_part() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", &[b'x'; 9000])]]);
    let archive = HybridArchive::new(&store, &image, &plan(Encoding::Uncompressed, &[])).unwrap();
    let bytes = written(&archive);
    let names = listed(&bytes);
    assert!(names.contains(&blob_name(image.layers()[0].diff_id.digest())));
    assert!(!names.contains(&"oci-layout".to_owned()));
    let mut read = Vec::new();
    archive.into_reader().read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes, "reader and writer give the same");
}

#[test]
fn a_corrupt_blob_ends_the_archive_in_an_error() {
    let TestImage {
        store,
        image,
        _directory,
    } = image_of(&[&[("a", &[b'x'; 9000])]]);
    let blob = &image.layers()[0].descriptor;
    let path = store.root().join(blob_name(&blob.digest));
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, bytes).unwrap();
    let archive = HybridArchive::new(&store, &image, &plan(Encoding::Canonical, &[])).unwrap();
    let error = archive.write_to(&mut io::sink()).unwrap_err();
    assert!(
        matches!(error, ArchiveError::Store(StoreError::Corrupt { .. })),
        "{error:?}"
    );
}

#[test]
fn a_size_beyond_eight_gibibytes_and_a_long_name_fit_the_header() {
    let digest = "sha512:".to_owned() + &"ab".repeat(64);
    let member = Member {
        name: blob_name(&digest.parse().unwrap()),
        size: OCTAL_EXAMPLE,
        content: Content::Bytes([].into()),
    };
    let mut archive = Vec::new();
    // GNU tar reads the header and then misses the content.
    let reader = ArchiveReader::owned(image_of(&[]).store, vec![member]);
    reader.take(512 * 3).read_to_end(&mut archive).unwrap();
    let mut tar = Command::new("tar")
        .args(["-tvf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&archive).unwrap();
    let listing = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
    assert!(listing.contains(&OCTAL_EXAMPLE.to_string()), "{listing}");
    assert!(listing.contains(&"ab".repeat(64)), "{listing}");
}

const OCTAL_EXAMPLE: u64 = (8 << 30) + 12345;
