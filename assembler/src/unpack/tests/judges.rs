//! GNU tar and umoci unpack the same layers: an ordinary one must look the same.

use std::process::Command;

use super::*;

fn have(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    if !there {
        skipped(&format!("there is no {tool}"));
    }
    there
}

/// A layer as a distribution has it.
fn ordinary() -> Raw {
    let long = "a-long-name-".repeat(15);
    let value = [b'v'; 100];
    // In the order of a walk: GNU tar sets a directory's time when it leaves it.
    Raw::default()
        .mode("./", b'5', 0o755)
        .symlink("bin", "usr/bin")
        .mode("run/", b'5', 0o700)
        .mode("run/pipe", b'6', 0o620)
        .mode("tmp/", b'5', 0o1777)
        .directory("usr/")
        .pax(&[("path", format!("usr/{long}").as_bytes())])
        .file("x", &"0123456789".repeat(100_000))
        .pax(&[("SCHILY.xattr.user.mime", &value)])
        .file("usr/attributed", "1")
        .directory("usr/bin/")
        .mode("usr/bin/sudo", b'0', 0o4755)
        .hard_link("usr/bin/sudoedit", "usr/bin/sudo")
        .symlink("usr/bin/broken", "../../nowhere/at all")
        .file("usr/empty", "")
        .file("usr/\u{e4}\u{f6}", "2")
}

/// Says everything about every node.
fn all(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![root.to_owned()];
    let mut inodes = std::collections::BTreeMap::new();
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            let names = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            open.extend(names);
        }
        let mut list = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut list[..]).unwrap_or_default();
        let attributes = String::from_utf8_lossy(&list[..length]).into_owned();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let content = match metadata.mode() & 0o170_000 {
            0o100_000 => fs::read(&path).unwrap(),
            0o120_000 => fs::read_link(&path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes(),
            _ => Vec::new(),
        };
        let links = if metadata.is_dir() {
            0
        } else {
            metadata.nlink()
        };
        inodes
            .entry(metadata.ino())
            .or_insert_with(Vec::new)
            .push(name.clone());
        lines.push(format!(
            "{} {:o} {}:{} {} {links} {} {attributes}",
            name.display(),
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
            crate::digest::Digest::of(&content),
        ));
    }
    lines.sort();
    lines
}

#[test]
fn gnu_tar_unpacks_an_ordinary_layer_to_the_same() {
    if !have("tar") {
        return;
    }
    let tar = ordinary().end();
    let place = Place::new();
    place.unpack(&tar).unwrap();
    let theirs = tempfile::tempdir().unwrap();
    let (archive, root) = (theirs.path().join("layer.tar"), theirs.path().join("root"));
    fs::write(&archive, &tar).unwrap();
    fs::create_dir(&root).unwrap();
    let status = Command::new("tar")
        // With -P it makes links at once, and not over placeholders, which change the time of their directory.
        .args([
            "-P",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "-xpf",
        ])
        .arg(&archive)
        .arg("-C")
        .arg(&root)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(all(&place.root()), all(&root));
}

#[test]
fn umoci_unpacks_an_ordinary_layer_to_the_same() {
    if !have("umoci") || !rustix::process::geteuid().is_root() {
        return;
    }
    let tar = ordinary().end();
    let place = Place::new();
    place.unpack(&tar).unwrap();
    let theirs = tempfile::tempdir().unwrap();
    let at = |name: &str| theirs.path().join(name);
    fs::write(at("layer.tar"), &tar).unwrap();
    let run = |arguments: &[&str]| {
        let status = Command::new("umoci")
            .args(arguments)
            .current_dir(theirs.path())
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
    };
    run(&["init", "--layout", "layout"]);
    run(&["new", "--image", "layout:one"]);
    run(&["raw", "add-layer", "--image", "layout:one", "layer.tar"]);
    run(&["unpack", "--image", "layout:one", "bundle"]);
    assert_eq!(all(&place.root()), all(&at("bundle/rootfs")));
}
