//! Bases from a directory with a root file system: the same as from its tarball, whoever reads it.

use std::{
    collections::BTreeMap,
    fs::Permissions,
    io::{BufReader, Read as _},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
    process::Command,
};

use assembler::{digest::Digest, store::BlobStore};
use flate2::read::MultiGzDecoder;
use layer::{
    EntryKind, LayerItem,
    tar::{LayerReader, Limits},
};

use crate::ground::{Ground, Said, on_this_machine, variable};

/// What the first layer of a base has, by path: all of it that is not a matter of order.
fn tree(ground: &Ground, base: &str) -> BTreeMap<String, String> {
    let store = ground.aicage_home().join("store");
    let opened = BlobStore::open(&store).unwrap();
    let name = format!("aicage-image-base-custom:{base}").parse().unwrap();
    let record = opened.tagged(&name).unwrap().unwrap();
    let image = opened.image(&record.manifest.digest).unwrap();
    let layer = &image.layers()[0].descriptor;
    let blob = fs_err::File::open(store.join("blobs/sha256").join(layer.digest.hex())).unwrap();
    let tar = BufReader::new(MultiGzDecoder::new(blob));
    let mut reader = LayerReader::new(tar, Limits::default());
    let (mut found, mut links) = (BTreeMap::new(), Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        assert!(matches!(item, LayerItem::Entry(_)), "{item:?}");
        let LayerItem::Entry(entry) = item else {
            continue;
        };
        let path = entry.path.to_string();
        if path.starts_with("dev/") {
            continue;
        }
        if let EntryKind::HardLink { target } = &entry.kind {
            links.push((path, target.to_string()));
            continue;
        }
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        let (mode, xattrs) = (entry.mode, &entry.xattrs);
        let (uid, gid, mtime) = (entry.uid, entry.gid, entry.mtime);
        let said = format!(
            "{:?} {mode:o} {uid}:{gid} {mtime} {xattrs:?} {}",
            entry.kind,
            Digest::of(&content)
        );
        found.insert(path, said);
    }
    // Which of a file's names comes first is a matter of order.
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, target) in links {
        names.entry(target).or_default().push(path);
    }
    for (target, mut paths) in names {
        let file = found[&target].clone();
        paths.push(target);
        paths.sort();
        for path in &paths {
            found.insert(path.clone(), format!("{file} {paths:?}"));
        }
    }
    found
}

fn unpack(directory: &Path, tarball: &str, by: &[&str]) {
    let mut words: Vec<&str> = by.to_vec();
    words.extend([
        "tar",
        "--numeric-owner",
        "--xattrs",
        "--exclude=./dev/*",
        "-xpf",
        tarball,
        "-C",
    ]);
    let mut tar = Command::new(words[0]);
    Said::of(tar.args(&words[1..]).arg(directory).current_dir("/"), 0);
}

#[track_caller]
fn assert_same((one, other): (&BTreeMap<String, String>, &BTreeMap<String, String>)) {
    assert!(one.len() > 5000, "it is a whole distribution");
    for (path, entry) in one {
        assert_eq!(Some(entry), other.get(path), "{path}");
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn a_directory_becomes_the_same_base_as_its_tarball() {
    let Some(tarball) = variable("AICAGE_TEST_ROOTFS") else {
        return;
    };
    on_this_machine(|ground| {
        // Not among what is given to who runs the program.
        let elsewhere = tempfile::tempdir().unwrap();
        fs_err::set_permissions(elsewhere.path(), Permissions::from_mode(0o755)).unwrap();
        let root = elsewhere.path().join("root");
        let place = root.display().to_string();
        ground.run(&["base", "import", "packed", &tarball], 0);
        let Some(caller) = &ground.caller else {
            fs_err::create_dir(&root).unwrap();
            unpack(&root, &tarball, &["env"]);
            // What is not of the root file system: a socket, what is mounted, what the kernel shows.
            let _socket = UnixListener::bind(root.join("run/socket")).unwrap();
            let mount = |kind: &str, at: &str| {
                let mut mount = Command::new("mount");
                Said::of(mount.args(["-t", kind, "none"]).arg(root.join(at)), 0);
            };
            mount("tmpfs", "mnt");
            // The same filesystem: nothing but the list of mounts tells.
            let private = elsewhere.path().join("private");
            fs_err::create_dir(&private).unwrap();
            fs_err::write(private.join("key"), "secret").unwrap();
            let mut bind = Command::new("mount");
            Said::of(bind.arg("--bind").args([&private, &root.join("home")]), 0);
            fs_err::write(root.join("mnt/other"), "other").unwrap();
            fs_err::write(root.join("proc/file"), "file").unwrap();
            let said = ground.aicage(&["base", "import", "read", &place]).output();
            let mut umount = Command::new("umount");
            Said::of(umount.args([root.join("mnt"), root.join("home")]), 0);
            let said = said.unwrap();
            let stderr = String::from_utf8_lossy(&said.stderr);
            assert!(said.status.success(), "{stderr}");
            assert!(stderr.contains("the socket run/socket is not"), "{stderr}");
            assert!(
                stderr.contains("what is mounted at home is left out"),
                "{stderr}"
            );
            let told = |words: &str| stderr.matches(words).count();
            assert_eq!((told(" mnt"), told(" home")), (1, 1), "once: {stderr}");
            let (mut found, packed) = (tree(ground, "read"), tree(ground, "packed"));
            // The directories in which something was put have another time.
            for path in ["run", "proc", "mnt", "home"] {
                found.insert(path.to_owned(), packed[path].clone());
            }
            assert_same((&packed, &found));
            return;
        };
        // Made by root, it can be read by others as far as they may.
        fs_err::create_dir(&root).unwrap();
        unpack(&root, &tarball, &["env"]);
        let refused = ground.run(&["base", "import", "read", &place], 1);
        assert!(
            refused.stderr.contains("cannot open "),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("sudo tar"), "{}", refused.stderr);
        fs_err::remove_dir_all(&root).unwrap();
        // Made in the user's own mapping, as `unshare` has it.
        fs_err::create_dir(&root).unwrap();
        Said::of(Command::new("chown").arg(&caller.name).arg(&root), 0);
        let as_user = [
            "setpriv",
            "--reuid",
            &caller.name,
            "--regid",
            &caller.name,
            "--init-groups",
        ];
        let inside = ["unshare", "--map-root-user", "--map-auto"];
        unpack(&root, &tarball, &[as_user.as_slice(), &inside].concat());
        ground.run(&["base", "import", "read", &place], 0);
        assert_same((&tree(ground, "packed"), &tree(ground, "read")));
    });
}
