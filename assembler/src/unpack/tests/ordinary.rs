//! What becomes of what.

use super::*;

#[track_caller]
fn check(tar: Raw, expected: &[&str]) -> Unpacked {
    let place = Place::new();
    let unpacked = place.unpack(&tar.end()).unwrap();
    assert_eq!(place.tree(), expected);
    let index = &unpacked.index;
    assert_eq!(place.check(index), [] as [&str; 0], "it checks as it is");
    place.remove();
    unpacked
}

#[test]
fn nodes_are_what_the_tar_says_and_directories_keep_their_times_and_closed_modes() {
    let tar = Raw::default()
        .mode("./", b'5', 0o1777)
        .mode("closed/", b'5', 0o000)
        .file("closed/in", "a")
        .mode("set", b'0', 0o6755)
        .symlink("link", "/etc/passwd")
        .hard_link("again", "closed/in")
        .mode("pipe", b'6', 0o622);
    let place = Place::new();
    let unpacked = place.unpack(&tar.end()).unwrap();
    assert!(unpacked.has_root);
    assert_eq!(unpacked.implied, []);
    for name in ["", "closed", "closed/in", "set", "link", "again", "pipe"] {
        if let Ok(metadata) = fs::symlink_metadata(place.root().join(name)) {
            assert_eq!(metadata.mtime(), 1_600_000_000, "{name}");
            assert_eq!(metadata.mtime_nsec(), 0, "{name}");
        }
    }
    let mode = |name: &str| {
        fs::symlink_metadata(place.root().join(name))
            .unwrap()
            .mode()
            & 0o7777
    };
    assert_eq!(
        [mode(""), mode("closed"), mode("set"), mode("pipe")],
        [0o1777, 0, 0o6755, 0o622]
    );
    assert_eq!(fs::read(place.root().join("again")).unwrap(), b"a");
    assert_eq!(fs::metadata(place.root().join("again")).unwrap().nlink(), 2);
    place.remove();
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one_with_all_that_is_below_it() {
    check(
        Raw::default()
            .directory("a/")
            .directory("a/b/")
            .file("a/b/c", "1")
            .file("a/b", "file now")
            .file("x", "1")
            .directory("x/")
            .file("x/y", "2")
            .symlink("z", "x")
            .file("z", "no link")
            .file("twice", "1")
            .file("twice", "2"),
        &[
            "d 755 ",
            "d 755 a",
            "f 644 a/b \"file now\"",
            "f 644 twice \"2\"",
            "d 755 x",
            "f 644 x/y \"2\"",
            "f 644 z \"no link\"",
        ],
    );
}

#[test]
fn a_directory_that_is_there_twice_keeps_what_is_in_it_and_has_what_was_said_last() {
    check(
        Raw::default()
            .mode("a/", b'5', 0o700)
            .file("a/b", "1")
            .mode("a/", b'5', 0o2750),
        &["d 755 ", "d 2750 a", "f 644 a/b \"1\""],
    );
}

#[test]
fn whiteouts_and_opaque_directories_speak_of_lower_layers_wherever_they_are() {
    check(
        Raw::default()
            .directory("d/")
            .file("d/.wh.gone", "")
            .directory("o/")
            .file("o/new", "1")
            .file("o/.wh..wh..opq", "")
            .file("o/.wh.needless", "")
            .file(".wh.both", "")
            .directory("both/")
            .file("both/.wh.needless", "")
            .file("file", "2")
            .file(".wh.file", "")
            .file(".wh..wh.plnk", ""),
        &[
            "d 755 ",
            "d 755 both opaque",
            "d 755 d",
            "w 0 d/gone",
            "f 644 file \"2\"",
            "d 755 o opaque",
            "f 644 o/new \"1\"",
        ],
    );
}

#[test]
fn an_opaque_root_hides_all_lower_layers() {
    let unpacked = check(
        Raw::default().directory("a/").file(".wh..wh..opq", ""),
        &["d 755  opaque", "d 755 a"],
    );
    assert!(unpacked.hides_all);
}

#[test]
fn directories_that_are_left_out_are_made_and_told() {
    let unpacked = check(
        Raw::default()
            .file("a/b/c", "1")
            .file("w/x/.wh.gone", "")
            .directory("b/"),
        &[
            "d 755 ",
            "d 755 a",
            "d 755 a/b",
            "f 644 a/b/c \"1\"",
            "d 755 b",
            "d 755 w",
            "d 755 w/x",
            "w 0 w/x/gone",
        ],
    );
    let told: Vec<_> = unpacked
        .implied
        .iter()
        .map(|implied| (implied.path.to_string(), implied.for_markers))
        .collect();
    let expected = [("/a", false), ("/a/b", false), ("/w", true), ("/w/x", true)];
    let told: Vec<_> = told
        .iter()
        .map(|(path, markers)| (path.trim_start_matches('/'), *markers))
        .collect();
    assert_eq!(
        told,
        expected.map(|(path, markers)| (path.trim_start_matches('/'), markers))
    );
}

#[test]
fn a_name_that_leads_through_a_link_of_the_layer_is_put_where_the_link_leads() {
    let place = Place::new();
    let tar = Raw::default()
        .directory("usr/")
        .directory("usr/bin/")
        .symlink("bin", "usr/bin")
        .symlink("absolute", "/usr")
        .symlink("up", "../../../usr/bin/../lib")
        .symlink("again", "bin")
        .file("bin/a", "1")
        .file("absolute/b", "2")
        .file("up/c", "3")
        .file("again/d", "4")
        .hard_link("bin/e", "again/d")
        .file("bin/.wh.f", "");
    place.unpack(&tar.end()).unwrap();
    assert_eq!(
        place.tree(),
        [
            "d 755 ",
            "l 0 absolute -> /usr",
            "l 0 again -> bin",
            "l 0 bin -> usr/bin",
            "l 0 up -> ../../../usr/bin/../lib",
            "d 755 usr",
            "f 644 usr/b \"2\"",
            "d 755 usr/bin",
            "f 644 usr/bin/a \"1\"",
            "f 644 usr/bin/d \"4\"",
            "f 644 usr/bin/e \"4\"",
            "w 0 usr/bin/f",
            "d 755 usr/lib",
            "f 644 usr/lib/c \"3\"",
        ]
    );
    place.remove();
}

#[test]
fn devices_are_left_out_and_told_and_take_the_place_of_what_was_there() {
    let unpacked = check(
        Raw::default()
            .directory("dev/")
            .entry(b"dev/null", b'3', b"")
            .entry(b"dev/sda", b'4', b"")
            .hard_link("dev/again", "dev/null")
            .file("replaced", "1")
            .entry(b"replaced", b'3', b""),
        &["d 755 ", "d 755 dev"],
    );
    let told: Vec<String> = unpacked
        .skipped
        .first
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].contains("dev/null is a device"), "{told:?}");
}

#[test]
fn holes_of_sparse_files_stay_holes() {
    let place = Place::new();
    let mut tar = Raw::default().pax(&[
        ("GNU.sparse.major", b"0"),
        ("GNU.sparse.size", b"1073741824"),
        ("GNU.sparse.map", b"536870912,5"),
    ]);
    tar.put((b"sparse", b'0', b""), (0o644, 5), b"hello");
    let unpacked = place.unpack(&tar.end()).unwrap();
    let metadata = fs::metadata(place.root().join("sparse")).unwrap();
    assert_eq!(metadata.len(), 1 << 30);
    assert!(metadata.blocks() < 1000, "{} blocks", metadata.blocks());
    assert!(unpacked.bytes < 1 << 20, "{}", unpacked.bytes);
    assert_eq!(place.check(&unpacked.index), [] as [&str; 0]);
    place.remove();
}

#[test]
fn attributes_are_set_and_those_of_overlays_and_hosts_are_not() {
    let place = Place::new();
    let tar = Raw::default()
        .pax(&[
            ("SCHILY.xattr.user.mime", b"text"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"system_u"),
        ])
        .directory("d/")
        .pax(&[("SCHILY.xattr.user.mime", b"text")])
        .file("f", "1");
    place.unpack(&tar.end()).unwrap();
    for name in ["d", "f"] {
        let mut list = vec![0; 4096];
        let length = rustix::fs::llistxattr(place.root().join(name), &mut list[..]).unwrap();
        let names = String::from_utf8_lossy(&list[..length]).into_owned();
        assert!(names.contains("user.mime"), "{name}: {names}");
        assert!(!names.contains("overlay"), "{name}: {names}");
    }
    place.remove();
}

#[test]
fn names_that_differ_in_case_only_are_different_names() {
    check(
        Raw::default()
            .file("a", "1")
            .file("A", "2")
            .directory("B/")
            .file("b", "3"),
        &[
            "d 755 ",
            "f 644 A \"2\"",
            "d 755 B",
            "f 644 a \"1\"",
            "f 644 b \"3\"",
        ],
    );
}

#[test]
fn capabilities_survive_the_owner_and_the_mode() {
    // Version 2, with one bit set: CAP_NET_RAW, effective.
    let mut value = [0; 20];
    value[..4].copy_from_slice(&[1, 0, 0, 2]);
    value[5] = 0x20;
    let tar = Raw::default()
        .pax(&[("SCHILY.xattr.security.capability", &value)])
        .mode("ping", b'0', 0o755);
    let place = Place::new();
    let unpacked = place.unpack(&tar.end()).unwrap();
    let mut there = [0; 64];
    let length = rustix::fs::getxattr(
        place.root().join("ping"),
        "security.capability",
        &mut there[..],
    );
    match length {
        Ok(length) => assert_eq!(there[..length], value),
        // An ordinary user cannot give a capability, and is told that it was not given.
        Err(_) => assert_eq!(unpacked.skipped.first.len(), 1),
    }
    place.remove();
}
