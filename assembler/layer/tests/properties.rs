//! Laws of layers, held against generated input and against GNU tar.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};

use layer::tar::{LayerReader, LayerWriter, Limits, WriteError, recanonicalise, write_sorted};
use layer::{Entry, EntryKind, IndexBuilder, IndexKind, LayerItem, LayerPath, PathIndex};
use proptest::prelude::*;

type Items = Vec<(LayerItem, Vec<u8>)>;

fn path(name: &[u8]) -> LayerPath {
    LayerPath::new(name).unwrap()
}

fn write(items: &Items) -> Vec<u8> {
    write_sorted(items.clone(), Vec::new()).unwrap()
}

fn read(bytes: &[u8]) -> Items {
    let mut reader = LayerReader::new(bytes, Limits::default());
    let mut items = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        items.push((item, content));
    }
    assert!(reader.has_end_marker());
    items
}

fn index(items: &Items) -> PathIndex {
    let mut builder = IndexBuilder::default();
    for (item, _) in items {
        builder.add(item);
    }
    builder.finish()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Markers {
    With,
    Without,
}

/// A tree as generated: names to nodes, directories made up for whatever lies deeper.
fn tree(markers: Markers) -> impl Strategy<Value = Items> {
    let name = prop_oneof![
        8 => "[a-c]",
        2 => "[ -~]{1,12}",
        1 => "[a-z]{60,120}",
    ];
    let names = prop::collection::vec(name.prop_map(String::into_bytes), 1..5);
    let odd = prop::collection::vec(any::<u8>(), 1..6);
    let place = prop_oneof![6 => names, 1 => odd.prop_map(|name| vec![name])];
    let node = (
        0..8_u8,
        0..0o10000_u32,
        0..3_000_000_u64,
        -5..10_000_000_000_i64,
        any::<bool>(),
    );
    prop::collection::vec((place, node), 0..24).prop_map(move |nodes| build(nodes, markers))
}

type Node = (u8, u32, u64, i64, bool);

#[expect(
    clippy::too_many_lines,
    reason = "one node after the other, each kind once"
)]
fn build(nodes: Vec<(Vec<Vec<u8>>, Node)>, markers: Markers) -> Items {
    let mut items: BTreeMap<LayerPath, (LayerItem, Vec<u8>)> = BTreeMap::new();
    let mut opaque = BTreeSet::new();
    'nodes: for (components, (kind, mode, owner, mtime, with_xattr)) in nodes {
        let Ok(full) = LayerPath::new(components.join(&b'/')) else {
            continue;
        };
        if full.is_root() {
            continue;
        }
        let mut parents = Vec::new();
        let mut at = full.parent();
        while let Some(directory) = at.filter(|directory| !directory.is_root()) {
            match items.get(&directory) {
                Some((
                    LayerItem::Entry(Entry {
                        kind: EntryKind::Directory,
                        ..
                    }),
                    _,
                )) => {}
                Some(_) => continue 'nodes,
                None => parents.push(directory.clone()),
            }
            at = directory.parent();
        }
        if items.contains_key(&full) {
            continue;
        }
        for directory in parents {
            let entry = Entry::directory(directory.clone(), 0o755);
            items.insert(directory, (LayerItem::Entry(entry), Vec::new()));
        }
        let content = vec![b'x'; (owner % 1500) as usize];
        let first_file = items
            .iter()
            .find(|(_, (item, _))| {
                matches!(
                    item,
                    LayerItem::Entry(Entry {
                        kind: EntryKind::File { .. },
                        ..
                    })
                )
            })
            .map(|(path, _)| path.clone())
            .filter(|first| *first < full);
        let kind = match (kind, first_file) {
            (0, _) => EntryKind::Directory,
            (1, _) => EntryKind::Symlink {
                target: components
                    .concat()
                    .into_iter()
                    .filter(|b| *b != 0)
                    .chain(*b"t")
                    .collect(),
            },
            (2, Some(target)) => EntryKind::HardLink { target },
            (3, _) => EntryKind::CharDevice {
                major: 5,
                minor: mode,
            },
            (4, _) => EntryKind::BlockDevice {
                major: mode,
                minor: 1,
            },
            (5, _) => EntryKind::Fifo,
            (6, _) if markers == Markers::With => {
                items.insert(full.clone(), (LayerItem::Whiteout(full), Vec::new()));
                continue;
            }
            _ => EntryKind::File {
                size: content.len() as u64,
            },
        };
        if markers == Markers::With && with_xattr && kind == EntryKind::Directory {
            opaque.insert(full.clone());
        }
        let xattrs = if with_xattr {
            BTreeMap::from([
                (b"user.a".to_vec(), vec![0, 255, b'\n']),
                (b"user.empty".to_vec(), Vec::new()),
            ])
        } else {
            BTreeMap::new()
        };
        let content = if matches!(kind, EntryKind::File { .. }) {
            content
        } else {
            Vec::new()
        };
        let entry = Entry {
            path: full.clone(),
            kind,
            mode,
            uid: owner,
            gid: owner / 2,
            mtime,
            xattrs,
        };
        items.insert(full, (LayerItem::Entry(entry), content));
    }
    items
        .into_values()
        .chain(
            opaque
                .into_iter()
                .map(|path| (LayerItem::Opaque(path), Vec::new())),
        )
        .collect()
}

/// What a merge must give, the slow and obvious way.
fn merged_slowly(lower: &Items, upper: &Items) -> Items {
    let mut tree: BTreeMap<LayerPath, (LayerItem, Vec<u8>)> = BTreeMap::new();
    for layer in [lower, upper] {
        for (item, _) in layer {
            match item {
                LayerItem::Whiteout(gone) => tree.retain(|path, _| !path.starts_with(gone)),
                LayerItem::Opaque(gone) => {
                    tree.retain(|path, _| path == gone || !path.starts_with(gone));
                }
                LayerItem::Entry(_) => {}
            }
        }
        for (item, content) in layer {
            let LayerItem::Entry(entry) = item else {
                continue;
            };
            if entry.kind != EntryKind::Directory {
                tree.retain(|path, _| !path.starts_with(&entry.path));
            }
            tree.insert(entry.path.clone(), (item.clone(), content.clone()));
        }
    }
    tree.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_what_is_read(items in tree(Markers::With)) {
        let bytes = write(&items);
        let mut back = read(&bytes);
        let mut items = items;
        let key = |(item, _): &(LayerItem, Vec<u8>)| format!("{item:?}");
        back.sort_by_key(key);
        items.sort_by_key(key);
        prop_assert_eq!(back, items);
    }

    #[test]
    fn the_order_in_which_items_are_given_does_not_reach_the_bytes(items in tree(Markers::With), turn in 0..24_usize) {
        let mut turned = items.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
            turned.reverse();
        }
        prop_assert_eq!(write(&items), write(&turned));
        prop_assert_eq!(index(&items), index(&turned));
    }

    #[test]
    fn a_canonical_layer_is_copied_byte_for_byte(items in tree(Markers::With)) {
        let bytes = write(&items);
        let reader = LayerReader::new(bytes.as_slice(), Limits::default());
        let (copy, found) = recanonicalise(reader, LayerWriter::new(Vec::new())).unwrap();
        prop_assert_eq!(copy, bytes);
        prop_assert_eq!(found, index(&items));
    }

    #[test]
    fn an_index_survives_its_bytes(items in tree(Markers::With)) {
        let index = index(&items);
        prop_assert_eq!(PathIndex::from_bytes(&index.to_bytes()).unwrap(), index);
    }

    #[test]
    fn a_flipped_byte_of_an_index_is_found(items in tree(Markers::With), at in any::<prop::sample::Index>()) {
        let mut bytes = index(&items).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 0x10;
        prop_assert!(PathIndex::from_bytes(&bytes).is_err());
    }

    #[test]
    fn a_merge_is_what_applying_the_layer_gives(lower in tree(Markers::Without), upper in tree(Markers::With)) {
        let fast = index(&lower).merge(&index(&upper));
        let slow = index(&merged_slowly(&lower, &upper));
        // A hard link whose other name a later layer took has no file to take its metadata from.
        let paths = |index: &PathIndex| {
            let mtime = |entry: &layer::IndexEntry<'_>| match entry.kind {
                IndexKind::HardLink(_) => 0,
                _ => entry.mtime,
            };
            index.iter().map(|entry| format!("{} {:?} {}", entry.path(), entry.kind, mtime(&entry))).collect::<Vec<_>>()
        };
        prop_assert_eq!(paths(&fast), paths(&slow));
    }

    #[test]
    fn applying_a_difference_gives_the_other_index(before in tree(Markers::With), after in tree(Markers::With)) {
        let (before, after) = (index(&before), index(&after));
        prop_assert_eq!(layer::difference::apply(&layer::difference::diff(&before, &after), &before), after);
    }

    #[test]
    fn no_bytes_make_the_reader_fall_over(mut items in tree(Markers::With).prop_map(|items| write(&items)), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for (at, byte) in edits {
            let at = at.index(items.len());
            items[at] = byte;
        }
        let mut reader = LayerReader::new(items.as_slice(), Limits { total_bytes: 1 << 20, ..Limits::default() });
        while let Ok(Some(_)) = reader.next_item() {
            if io::copy(&mut reader, &mut io::sink()).is_err() {
                break;
            }
        }
    }
}

#[test]
fn names_of_every_length_survive() {
    for length in 1..=400 {
        let name = vec![b'n'; length.min(255)];
        let mut items: Items = Vec::new();
        let mut full = name.clone();
        if length > 255 {
            items.push((
                LayerItem::Entry(Entry::directory(path(&name), 0o755)),
                Vec::new(),
            ));
            full.push(b'/');
            full.extend(vec![b'm'; length - 255]);
        }
        items.push((
            LayerItem::Entry(Entry::file(path(&full), 0o644, 1)),
            b"x".to_vec(),
        ));
        let mut link = full.clone();
        link.push(b'l');
        items.push((
            LayerItem::Entry(Entry::symlink(path(&link), full)),
            Vec::new(),
        ));
        assert_eq!(read(&write(&items)), items, "at length {length}");
    }
}

/// Runs GNU tar with an archive on its standard input.
fn gnu_tar(arguments: &[&str], archive: &[u8]) -> String {
    let mut child = Command::new("tar")
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(archive).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "tar {arguments:?} failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn sample() -> Items {
    let file = |name: &[u8], mode, content: &[u8]| {
        (
            LayerItem::Entry(Entry {
                mtime: 1_700_000_000,
                ..Entry::file(path(name), mode, content.len() as u64)
            }),
            content.to_vec(),
        )
    };
    let long = [vec![b'd'; 200], vec![b'/'], vec![b'e'; 200]].concat();
    let node = |name: &[u8], kind| Entry {
        kind,
        ..Entry::file(path(name), 0o600, 0)
    };
    vec![
        (
            LayerItem::Entry(Entry::directory(path(b"bin"), 0o755)),
            Vec::new(),
        ),
        (LayerItem::Whiteout(path(b"bin/old")), Vec::new()),
        file(b"bin/su", 0o4755, b"#!"),
        (
            LayerItem::Entry(node(
                b"bin/su2",
                EntryKind::HardLink {
                    target: path(b"bin/su"),
                },
            )),
            Vec::new(),
        ),
        (
            LayerItem::Entry(Entry::symlink(path(b"bin/link"), "../x")),
            Vec::new(),
        ),
        (
            LayerItem::Entry(Entry::directory(path(&long[..200]), 0o1777)),
            Vec::new(),
        ),
        file(&long, 0o600, &[7; 1025]),
        file("ü\nx".as_bytes(), 0o644, b"y"),
        (
            LayerItem::Entry(node(b"null", EntryKind::CharDevice { major: 1, minor: 3 })),
            Vec::new(),
        ),
        (LayerItem::Entry(node(b"pipe", EntryKind::Fifo)), Vec::new()),
        (
            LayerItem::Entry(Entry {
                uid: 3_000_000,
                gid: 5,
                ..node(b"owned", EntryKind::File { size: 0 })
            }),
            Vec::new(),
        ),
    ]
}

#[test]
fn gnu_tar_lists_the_same_layer() {
    let listing = gnu_tar(
        &["-tvf", "-", "--numeric-owner", "--quoting-style=escape"],
        &write(&sample()),
    );
    let lines: Vec<String> = listing
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let (d, e) = ("d".repeat(200), "e".repeat(200));
    assert_eq!(
        lines,
        [
            "drwxr-xr-x 0/0 0 1970-01-01 00:00 bin/".to_owned(),
            "-rw-r--r-- 0/0 0 1970-01-01 00:00 bin/.wh.old".to_owned(),
            "lrwxrwxrwx 0/0 0 1970-01-01 00:00 bin/link -> ../x".to_owned(),
            "-rwsr-xr-x 0/0 2 2023-11-14 22:13 bin/su".to_owned(),
            "hrw------- 0/0 0 1970-01-01 00:00 bin/su2 link to bin/su".to_owned(),
            format!("drwxrwxrwt 0/0 0 1970-01-01 00:00 {d}/"),
            format!("-rw------- 0/0 1025 2023-11-14 22:13 {d}/{e}"),
            "crw------- 0/0 1,3 1970-01-01 00:00 null".to_owned(),
            "-rw------- 3000000/5 0 1970-01-01 00:00 owned".to_owned(),
            "prw------- 0/0 0 1970-01-01 00:00 pipe".to_owned(),
            "-rw-r--r-- 0/0 1 2023-11-14 22:13 ü\\nx".to_owned(),
        ]
    );
}

#[test]
fn what_gnu_tar_writes_is_read_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (deep, long) = ("d".repeat(80), "l".repeat(80));
    fs_err::create_dir_all(at("tree").join(&deep)).unwrap();
    fs_err::write(at("tree/plain"), b"hello").unwrap();
    fs_err::write(at("tree").join(&deep).join(&long), b"long").unwrap();
    fs_err::hard_link(at("tree/plain"), at("tree/zlink")).unwrap();
    let sparse = fs_err::File::create(at("tree/sparse")).unwrap();
    let mut dense = vec![0; 3 << 20];
    for place in [0, 1 << 20, 2 << 20] {
        use std::os::unix::fs::FileExt as _;
        sparse.file().write_all_at(b"island", place as u64).unwrap();
        dense[place..place + 6].copy_from_slice(b"island");
    }
    sparse.set_len(3 << 20).unwrap();
    let formats: [&[&str]; 7] = [
        &["--format=gnu"],
        &["--format=ustar"],
        &["--format=posix"],
        &["--format=gnu", "-S"],
        &["--format=posix", "-S", "--sparse-version=0.0"],
        &["--format=posix", "-S", "--sparse-version=0.1"],
        &["--format=posix", "-S", "--sparse-version=1.0"],
    ];
    for format in formats {
        let archive = Command::new("tar")
            .args(format)
            .args(["-cf", "-", "-C"])
            .arg(at("tree"))
            .arg(".")
            .output()
            .unwrap();
        assert!(archive.status.success());
        let mut items = read(&archive.stdout);
        items.sort_by(|(a, _), (b, _)| a.path().cmp(b.path()));
        let names: Vec<String> = items
            .iter()
            .map(|(item, _)| item.path().to_string())
            .collect();
        assert_eq!(
            names,
            [
                ".".to_owned(),
                deep.clone(),
                format!("{deep}/{long}"),
                "plain".to_owned(),
                "sparse".to_owned(),
                "zlink".to_owned()
            ],
            "{format:?}"
        );
        assert_eq!(items[2].1, b"long", "{format:?}");
        assert!(items[4].1 == dense, "the sparse file differs in {format:?}");
        let links = [&items[3].0, &items[5].0].map(|item| {
            matches!(
                item,
                LayerItem::Entry(Entry {
                    kind: EntryKind::HardLink { .. },
                    ..
                })
            )
        });
        assert_eq!(links.iter().filter(|link| **link).count(), 1, "{format:?}");
    }
}

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
