//! All that a layer says about each path of a tree.

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

pub(crate) fn is_outside(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.is_empty() || name.starts_with(".aicage-n1") || name == "dev" || name == "proc"
}

/// All that a layer says about each path below a directory.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut nodes = BTreeMap::new();
    let mut groups: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs_err::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if is_outside(&relative) {
                continue;
            }
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            if kind.is_dir() {
                ahead.push(path.clone());
            }
            let content = if kind.is_symlink() {
                format!("-> {}", fs_err::read_link(&path).unwrap().display())
            } else if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
                format!("{kind:?} {}", metadata.rdev())
            } else if kind.is_dir() {
                "directory".to_owned()
            } else {
                if metadata.nlink() > 1 {
                    groups
                        .entry(metadata.ino())
                        .or_default()
                        .push(relative.clone());
                }
                let mut content = Vec::new();
                fs_err::File::open(&path)
                    .unwrap()
                    .read_to_end(&mut content)
                    .unwrap();
                format!("{} {:x?}", content.len(), checksum(&content))
            };
            let node = format!(
                "{content} {:o} {}:{} {} {}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.mtime(),
                attributes(&path)
            );
            nodes.insert(relative, node);
        }
    }
    for mut group in groups.into_values().filter(|group| group.len() > 1) {
        group.sort();
        for path in &group {
            let node = nodes.get_mut(path).unwrap();
            *node = format!("{node} linked {group:?}");
        }
    }
    nodes
}

fn checksum(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(crate) fn attributes(path: &Path) -> String {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let mut found = Vec::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        found.push(format!(
            "{}={:?}",
            String::from_utf8_lossy(name),
            &value[..length]
        ));
    }
    found.sort();
    found.join(" ")
}
