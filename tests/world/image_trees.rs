//! The trees and configs of images in OCI layouts, made fit to be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
    process::Command,
};

use serde_json::Value;

use crate::ground::Said;

/// What an image of ours says of itself.
pub(crate) const OURS: [&str; 2] = ["io.github.aicage.", "org.opencontainers.image.base."];

/// What is at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) what: String,
    /// When it was last changed; nothing for directories and for what is as new as the images.
    pub(crate) changed: Option<i64>,
    /// The first of the names that it has.
    pub(crate) first: Option<String>,
}

/// Lists a tree; what was changed after `begin` has no time.
pub(crate) fn tree(root: &Path, begin: i64) -> BTreeMap<String, Node> {
    let mut found = BTreeMap::new();
    let mut names: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(place) = ahead.pop() {
        let metadata = fs_err::symlink_metadata(&place).unwrap();
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            for entry in fs_err::read_dir(&place).unwrap() {
                ahead.push(entry.unwrap().path());
            }
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("link to {}", fs_err::read_link(&place).unwrap().display())
        } else if kind.is_fifo() {
            "pipe".to_owned()
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("device {}", metadata.rdev())
        } else {
            let content = fs_err::read(&place).unwrap();
            let shown: String = String::from_utf8_lossy(&content)
                .chars()
                .take(300)
                .collect();
            let digest = assembler::digest::Digest::of(&content);
            format!("file {} {shown:?}", digest.short())
        };
        let name = place
            .strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        if !kind.is_dir() && metadata.nlink() > 1 {
            names
                .entry(metadata.ino())
                .or_default()
                .insert(name.clone());
        }
        let node = Node {
            what: format!("{mode:o} {uid}:{gid} {what} {}", attributes(&place)),
            changed: Some(metadata.mtime()).filter(|time| !kind.is_dir() && *time < begin),
            first: None,
        };
        found.insert(name, node);
    }
    for same in names.values() {
        for name in same {
            if let Some(node) = found.get_mut(name) {
                node.first = same.first().cloned();
            }
        }
    }
    found
}

fn attributes(place: &Path) -> String {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(place, &mut names).unwrap_or_default();
    names.truncate(length);
    let mut shown = BTreeSet::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(place, name, &mut value).unwrap();
        value.truncate(length);
        let name = String::from_utf8_lossy(name).into_owned();
        // umoci keeps its own notes there.
        if !name.starts_with("user.rootlesscontainers") {
            shown.insert(format!("{name}={value:?}"));
        }
    }
    shown.into_iter().collect::<Vec<_>>().join(" ")
}

/// Unpacks a layout's only image; returns its tree and its config.
pub(crate) fn unpack(layout: &Path, to: &Path, begin: i64) -> (BTreeMap<String, Node>, Value) {
    let index = json(&layout.join("index.json"));
    let mut descriptor = index["manifests"][0].clone();
    let blob = |digest: &Value| {
        let digest = digest.as_str().unwrap().replace(':', "/");
        json(&layout.join("blobs").join(digest))
    };
    let mut manifest = blob(&descriptor["digest"]);
    if manifest["manifests"].is_array() {
        descriptor = manifest["manifests"][0].clone();
        manifest = blob(&descriptor["digest"]);
    }
    let config = blob(&manifest["config"]["digest"]);
    descriptor["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "it"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [descriptor]});
    fs_err::write(layout.join("index.json"), index.to_string()).unwrap();
    let image = format!("{}:it", layout.display());
    Said::of(
        Command::new("umoci")
            .args(["raw", "unpack", "--image", &image])
            .arg(to),
        0,
    );
    (tree(to, begin), config)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// Leaves of a config what means something.
pub(crate) fn plain(config: &Value) -> BTreeMap<String, Value> {
    let mut plain = BTreeMap::new();
    let run = config["config"].as_object().cloned().unwrap_or_default();
    for (name, mut value) in run {
        if name == "Labels"
            && let Some(labels) = value.as_object_mut()
        {
            labels.retain(|label, _| !OURS.iter().any(|ours| label.starts_with(ours)));
        }
        let is_empty = match &value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        if !is_empty {
            plain.insert(name, value);
        }
    }
    for name in ["architecture", "os", "variant", "author"] {
        if !config[name].is_null() {
            plain.insert(name.to_owned(), config[name].clone());
        }
    }
    plain
}

/// Lists what differs.
pub(crate) fn differences<V: PartialEq + std::fmt::Debug>(
    ours: &BTreeMap<String, V>,
    theirs: &BTreeMap<String, V>,
) -> Vec<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| {
            format!(
                "  {name}\n    ours   {:?}\n    theirs {:?}",
                ours.get(name),
                theirs.get(name)
            )
        })
        .collect()
}
