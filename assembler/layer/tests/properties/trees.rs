//! Trees as generated, and what applying a layer to one gives, the slow and obvious way.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

use layer::{
    Entry, EntryKind, IndexBuilder, LayerItem, LayerPath, PathIndex,
    tar::{LayerReader, Limits, write_sorted},
};
use proptest::prelude::*;

pub(crate) type Items = Vec<(LayerItem, Vec<u8>)>;

pub(crate) fn path(name: &[u8]) -> LayerPath {
    LayerPath::new(name).unwrap()
}

pub(crate) fn write(items: &Items) -> Vec<u8> {
    write_sorted(items.clone(), Vec::new()).unwrap()
}

pub(crate) fn read(bytes: &[u8]) -> Items {
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

pub(crate) fn index(items: &Items) -> PathIndex {
    let mut builder = IndexBuilder::default();
    for (item, _) in items {
        builder.add(item);
    }
    builder.finish()
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Markers {
    With,
    Without,
}

/// A tree as generated: names to nodes, directories made up for whatever lies deeper.
pub(crate) fn tree(markers: Markers) -> impl Strategy<Value = Items> {
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
pub(crate) fn merged_slowly(lower: &Items, upper: &Items) -> Items {
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
