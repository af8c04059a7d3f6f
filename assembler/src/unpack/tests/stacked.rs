//! Layers on top of each other, as the kernel sees them.

use std::{os::fd::AsFd as _, process::Command};

use super::*;

/// Layers unpacked side by side, the lowest first.
struct Stack {
    directory: tempfile::TempDir,
    indexes: Vec<PathIndex>,
}

impl Stack {
    fn of(layers: Vec<Raw>) -> Self {
        let directory = roomy();
        let mut indexes = Vec::new();
        for (at, layer) in layers.into_iter().enumerate() {
            let path = directory.path().join(at.to_string());
            fs::create_dir(&path).unwrap();
            let root = fs::File::open(&path).unwrap();
            let tar = layer.end();
            let unpacked = unpack(
                &mut tar.as_slice(),
                root.file().as_fd(),
                &UnpackLimits::default(),
            );
            let unpacked = unpacked.unwrap();
            let below: Vec<fs::File> = (0..at)
                .rev()
                .map(|at| fs::File::open(directory.path().join(at.to_string())).unwrap())
                .collect();
            let below: Vec<_> = below.iter().map(|layer| layer.file().as_fd()).collect();
            settle(root.file().as_fd(), &unpacked.implied, &below).unwrap();
            indexes.push(unpacked.index);
        }
        Self { directory, indexes }
    }

    /// Mounts them in namespaces of our own and lists what is there; none where that is not allowed here.
    fn mounted(&self) -> Option<Vec<String>> {
        let lowers: Vec<String> = (0..self.indexes.len())
            .rev()
            .map(|at| at.to_string())
            .collect();
        fs::create_dir(self.directory.path().join("merged")).unwrap();
        // An overlay of lower directories alone needs two of them.
        fs::create_dir(self.directory.path().join("bottom")).unwrap();
        let script = format!(
            "mount -t overlay overlay -o userxattr,lowerdir={}:bottom merged && echo mounted && \
             cd merged && find . -mindepth 1 -printf '%y %m %P %l\\n'",
            lowers.join(":")
        );
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .current_dir(self.directory.path())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).unwrap();
        let Some(text) = text.strip_prefix("mounted\n") else {
            skipped(&String::from_utf8_lossy(&output.stderr));
            return None;
        };
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.sort();
        Some(lines)
    }

    /// Lists what the merged indexes say, with directories that none of them names.
    fn merged(&self) -> Vec<String> {
        let merged = self
            .indexes
            .iter()
            .fold(PathIndex::default(), |below, layer| below.merge(layer));
        let mut lines = Vec::new();
        let mut named = std::collections::BTreeSet::new();
        for entry in merged.iter() {
            let path = entry.path();
            let mut above = path.parent();
            while let Some(path) = above.filter(|path| !path.is_root()) {
                if named.insert(path.clone()) && merged.get(&path).is_none() {
                    lines.push(format!("d 755 {}", layer::printable(path.as_bytes())));
                }
                above = path.parent();
            }
            if path.is_root() {
                continue;
            }
            let name = layer::printable(path.as_bytes());
            lines.push(match entry.kind {
                layer::IndexKind::Directory => format!("d {:o} {name}", entry.mode),
                layer::IndexKind::Symlink(target) => {
                    format!("l 777 {name} {}", layer::printable(target))
                }
                layer::IndexKind::Fifo => format!("p {:o} {name}", entry.mode),
                _ => format!("f {:o} {name}", entry.mode),
            });
        }
        lines.sort();
        lines
    }
}

#[track_caller]
fn check(layers: Vec<Raw>, expected: &[&str]) {
    let stack = Stack::of(layers);
    if let Some(mounted) = stack.mounted() {
        assert_eq!(mounted, expected, "what the kernel sees");
    }
    assert_eq!(stack.merged(), expected, "what the path indexes say");
}

#[test]
fn whiteouts_opaque_directories_and_replacements_hide_what_is_below() {
    check(
        vec![
            Raw::default()
                .directory("etc/")
                .file("etc/gone", "1")
                .file("etc/kept", "1")
                .directory("opaque/")
                .file("opaque/old", "1")
                .directory("tree/")
                .file("tree/x", "1")
                .directory("becomes-file/")
                .file("becomes-file/x", "1")
                .file("becomes-directory", "1")
                .directory("again/")
                .file("again/old", "1"),
            Raw::default()
                .mode("etc/", b'5', 0o700)
                .file("etc/.wh.gone", "")
                .directory("opaque/")
                .file("opaque/.wh..wh..opq", "")
                .file("opaque/new", "2")
                .file(".wh.tree", "")
                .file("becomes-file", "2")
                .directory("becomes-directory/")
                .file("becomes-directory/x", "2")
                .file(".wh.again", "")
                .directory("again/")
                .file("again/new", "2"),
        ],
        &[
            "d 700 etc",
            "d 755 again",
            "d 755 becomes-directory",
            "d 755 opaque",
            "f 644 again/new",
            "f 644 becomes-directory/x",
            "f 644 becomes-file",
            "f 644 etc/kept",
            "f 644 opaque/new",
        ],
    );
}

#[test]
fn a_link_of_a_lower_layer_is_hidden_by_a_directory_as_on_every_overlay() {
    check(
        vec![
            Raw::default()
                .directory("usr/")
                .directory("usr/bin/")
                .file("usr/bin/old", "1")
                .symlink("bin", "usr/bin"),
            Raw::default().file("bin/x", "2"),
        ],
        &[
            "d 755 bin",
            "d 755 usr",
            "d 755 usr/bin",
            "f 644 bin/x",
            "f 644 usr/bin/old",
        ],
    );
}

#[test]
fn directories_that_a_layer_leaves_out_are_as_the_layers_below_have_them() {
    check(
        vec![
            Raw::default()
                .mode("tmp/", b'5', 0o1777)
                .mode("home/", b'5', 0o711)
                .mode("home/a/", b'5', 0o700)
                .mode("gone/", b'5', 0o700),
            Raw::default()
                .mode("home/", b'5', 0o751)
                .file(".wh.gone", ""),
            Raw::default()
                .file("tmp/x", "3")
                .file("home/a/b/c", "3")
                .file("gone/x", "3")
                .file("nothing/.wh.there", ""),
        ],
        &[
            "d 1777 tmp",
            "d 700 home/a",
            "d 751 home",
            "d 755 gone",
            "d 755 home/a/b",
            "f 644 gone/x",
            "f 644 home/a/b/c",
            "f 644 tmp/x",
        ],
    );
}

#[test]
fn a_whiteout_alone_hides_no_link_of_a_lower_layer() {
    check(
        vec![
            Raw::default()
                .directory("usr/")
                .file("usr/x", "1")
                .symlink("l", "usr"),
            Raw::default().file("l/.wh.x", ""),
        ],
        &["d 755 usr", "f 644 usr/x", "l 777 l usr"],
    );
}
