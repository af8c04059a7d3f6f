//! What is no layer is neither written nor read.

use std::{io, process::Command};

use layer::{
    Entry, EntryKind, LayerItem,
    tar::{LayerReader, LayerWriter, Limits, WriteError, recanonicalise},
};

use crate::{
    gnu_tar::sample,
    trees::{path, write},
};

#[track_caller]
fn refused(items: &[LayerItem], expected: fn(&WriteError) -> bool) {
    let mut writer = LayerWriter::new(Vec::new());
    let last = items
        .iter()
        .map(|item| writer.append(item, io::empty()))
        .last()
        .unwrap();
    let error = last.unwrap_err();
    assert!(expected(&error), "refused for another reason: {error}");
}

#[test]
fn what_is_no_layer_is_not_written() {
    let directory = |name: &str| LayerItem::Entry(Entry::directory(path(name.as_bytes()), 0o755));
    let file = |name: &str, size| LayerItem::Entry(Entry::file(path(name.as_bytes()), 0o644, size));
    let link = LayerItem::Entry(Entry {
        kind: EntryKind::HardLink { target: path(b"z") },
        ..Entry::file(path(b"b"), 0o644, 0)
    });
    let gone = |name: &str| LayerItem::Whiteout(path(name.as_bytes()));
    refused(&[file("b", 0), file("a", 0)], |error| {
        matches!(error, WriteError::Unsorted { .. })
    });
    refused(&[file("a", 0), gone("c")], |error| {
        matches!(error, WriteError::Unsorted { .. })
    });
    refused(&[file("a", 0), file("a", 0)], |error| {
        matches!(error, WriteError::Duplicate { .. })
    });
    refused(&[file("a/b", 0)], |error| {
        matches!(error, WriteError::NoDirectory { .. })
    });
    refused(&[file("a", 0), file("a/b", 0)], |error| {
        matches!(error, WriteError::NoDirectory { .. })
    });
    refused(
        &[directory("a"), directory("b"), file("b/c/d", 0)],
        |error| matches!(error, WriteError::NoDirectory { .. }),
    );
    refused(&[gone("a"), directory("a")], |error| {
        matches!(error, WriteError::RemovedAndPut { .. })
    });
    refused(&[file("a", 0), link], |error| {
        matches!(error, WriteError::DanglingLink { .. })
    });
    refused(&[file("a", 5)], |error| {
        matches!(
            error,
            WriteError::ShortContent {
                size: 5,
                found: 0,
                ..
            }
        )
    });
    let error = LayerWriter::new(Vec::new())
        .append(&file("a", 1), &b"two"[..])
        .unwrap_err();
    assert!(matches!(error, WriteError::LongContent { .. }), "{error}");
}

/// Writes an archive with GNU tar's transformations, to get names that our writer refuses.
fn hostile(name: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("f"), b"x").unwrap();
    let transform = format!("--transform=s|^f$|{name}|");
    let archive = Command::new("tar")
        .args(["-cPf", "-", &transform, "-C"])
        .arg(directory.path())
        .arg("f")
        .output()
        .unwrap();
    assert!(archive.status.success());
    archive.stdout
}

#[test]
fn hostile_names_are_refused_and_named() {
    for name in [
        "../etc/passwd",
        "a/../../b",
        "a/.wh.b/c",
        "x/.wh.",
        "x/.wh..",
    ] {
        let archive = hostile(name);
        let error = LayerReader::new(archive.as_slice(), Limits::default())
            .next_item()
            .unwrap_err();
        let text = format!(
            "{error} {:?}",
            std::error::Error::source(&error).map(ToString::to_string)
        );
        assert!(text.contains(name), "{name} gave: {text}");
    }
    for (name, taken) in [("/etc/x", "etc/x"), ("./a//b", "a/b")] {
        let archive = hostile(name);
        let item = LayerReader::new(archive.as_slice(), Limits::default())
            .next_item()
            .unwrap()
            .unwrap();
        assert_eq!(item.path().to_string(), taken);
    }
}

#[test]
fn limits_hold() {
    let bytes = write(&sample());
    for limits in [
        Limits {
            entries: 3,
            ..Limits::default()
        },
        Limits {
            path_bytes: 100,
            ..Limits::default()
        },
        Limits {
            names_bytes: 100,
            ..Limits::default()
        },
        Limits {
            header_bytes: 100,
            ..Limits::default()
        },
        Limits {
            total_bytes: 2000,
            ..Limits::default()
        },
    ] {
        let mut reader = LayerReader::new(bytes.as_slice(), limits.clone());
        let error = loop {
            match reader.next_item() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{limits:?} did not hold"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("limit"), "{error}");
    }
}

#[test]
fn a_cut_layer_is_not_taken_over() {
    let bytes = write(&sample());
    for cut in (0..bytes.len() - 1).step_by(97) {
        let reader = LayerReader::new(&bytes[..cut], Limits::default());
        assert!(
            recanonicalise(reader, LayerWriter::new(io::sink())).is_err(),
            "cut at {cut}"
        );
    }
    let longer = [bytes, vec![0]].concat();
    let reader = LayerReader::new(longer.as_slice(), Limits::default());
    assert!(
        recanonicalise(reader, LayerWriter::new(io::sink())).is_err(),
        "a byte behind the layer"
    );
}
