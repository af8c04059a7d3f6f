//! GNU tar reads what we write, and we read what it writes.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use layer::{Entry, EntryKind, LayerItem};

use crate::trees::{Items, path, read, write};

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

pub(crate) fn sample() -> Items {
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
