//! Removing trees, and seeing damage.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_tree_is_removed_however_deep_and_closed_it_is() {
    let place = Place::new();
    // Deeper than any path is long.
    let mut here = fs::File::open(place.root()).unwrap().into_parts().0;
    for _ in 0..3000 {
        rustix::fs::mkdirat(&here, "d", rustix::fs::Mode::RWXU).unwrap();
        rustix::fs::symlinkat("../../outside", &here, "l").unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
        let below = rustix::fs::openat(&here, "d", flags, rustix::fs::Mode::empty()).unwrap();
        here = below.into();
    }
    let work = place.root().join("work/work");
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("x"), "").unwrap();
    for closed in [work.clone(), place.root().join("work")] {
        fs::set_permissions(closed, std::fs::Permissions::from_mode(0o0)).unwrap();
    }
    place.remove();
}

#[test]
fn what_is_not_there_is_removed_already_and_paths_are_no_names() {
    let place = Place::new();
    let directory = fs::File::open(place.directory.path()).unwrap();
    let directory = directory.file().as_fd();
    remove_tree(directory, b"nothing").unwrap();
    for name in [&b"."[..], b"..", b"", b"outside/deep", b"/"] {
        assert!(remove_tree(directory, name).is_err());
    }
    // A link goes, not what it leads to.
    std::os::unix::fs::symlink("../outside", place.root().join("l")).unwrap();
    let root = fs::File::open(place.root()).unwrap();
    remove_tree(root.file().as_fd(), b"l").unwrap();
    assert_eq!(snapshot(place.directory.path()), place.before);
}

#[test]
fn a_tree_takes_what_is_in_it_and_nothing_that_links_lead_to() {
    let place = Place::new();
    let directory = fs::File::open(place.directory.path()).unwrap();
    let measure = |name: &str| measure_tree(directory.file().as_fd(), name.as_bytes()).unwrap();
    assert_eq!(measure("nothing"), Room::default());
    let empty = measure("root");
    assert_eq!(empty.nodes, 1, "itself");
    fs::write(place.root().join("one"), vec![1; 1 << 20]).unwrap();
    fs::hard_link(place.root().join("one"), place.root().join("two")).unwrap();
    std::os::unix::fs::symlink("../outside", place.root().join("l")).unwrap();
    let full = measure("root");
    assert_eq!(full.nodes, 4, "a link is a node");
    let content = full.bytes - empty.bytes;
    assert!(
        (1 << 20..3 << 19).contains(&content),
        "a file with two names is one: {content}"
    );
    // Deeper than files may be open.
    let mut deep = place.root().join("deep");
    for _ in 0..900 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let deep = measure("root").nodes;
    assert!(
        (100..=905).contains(&deep),
        "as far as it is looked into: {deep}"
    );
}

type Damage = fn(&Path);

#[test]
fn every_kind_of_damage_is_seen() {
    let damages: [(&str, Damage); 9] = [
        ("f is missing", |root| {
            fs::remove_file(root.join("f")).unwrap();
        }),
        ("f has another size", |root| {
            fs::write(root.join("f"), "").unwrap();
        }),
        ("f was changed", |root| {
            let content = fs::read(root.join("f")).unwrap();
            fs::write(root.join("f"), content).unwrap();
        }),
        ("f has another mode", |root| {
            fs::set_permissions(root.join("f"), std::fs::Permissions::from_mode(0o600)).unwrap();
        }),
        ("l leads elsewhere", |root| {
            fs::remove_file(root.join("l")).unwrap();
            std::os::unix::fs::symlink("elsewhere", root.join("l")).unwrap();
        }),
        ("h is no hard link any more", |root| {
            fs::rename(root.join("h"), root.join("old")).unwrap();
            fs::copy(root.join("old"), root.join("h")).unwrap();
            fs::remove_file(root.join("old")).unwrap();
        }),
        ("d/new is not of the layer", |root| {
            fs::write(root.join("d/new"), "").unwrap();
        }),
        ("d is something else", |root| {
            fs::remove_dir_all(root.join("d")).unwrap();
            fs::write(root.join("d"), "").unwrap();
        }),
        ("f is something else", |root| {
            fs::remove_file(root.join("f")).unwrap();
            std::os::unix::fs::symlink("d", root.join("f")).unwrap();
        }),
    ];
    for (expected, damage) in damages {
        let place = Place::new();
        let tar = Raw::default()
            .mode("./", b'5', 0o755)
            .directory("d/")
            .file("d/in", "1")
            .file("d/.wh.gone", "")
            .file("f", "content")
            .hard_link("h", "f")
            .symlink("l", "f");
        let unpacked = place.unpack(&tar.end()).unwrap();
        assert_eq!(place.check(&unpacked.index), [] as [&str; 0]);
        damage(&place.root());
        let found = place.check(&unpacked.index).join("\n").replace('/', "");
        assert!(
            found.contains(&expected.replace('/', "")),
            "{expected}: {found}"
        );
    }
}
