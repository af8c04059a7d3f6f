//! What a layer says, and what applying it gives, the slow and obvious way.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::rc::Rc;

use layer::tar::{LayerReader, Limits};
use layer::{Entry, EntryKind, LayerItem, LayerPath};

/// A node with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) entry: Entry,
    content: Vec<u8>,
}

/// A tree: names of one file share it.
pub(crate) type Tree = BTreeMap<LayerPath, Rc<Node>>;

pub(crate) fn items(layer: &[u8]) -> Vec<(LayerItem, Vec<u8>)> {
    let mut reader = LayerReader::new(layer, Limits::default());
    let mut items = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        items.push((item, content));
    }
    items
}

/// The names in a layer, in order: a removal with `-` before it, a directory with `/` behind it, another name of a file
/// with `=` and the first.
pub(crate) fn names(layer: &[u8]) -> Vec<String> {
    let name = |(item, _content)| match item {
        LayerItem::Entry(entry) => match entry.kind {
            EntryKind::Directory => format!("{}/", entry.path),
            EntryKind::HardLink { target } => format!("{}={target}", entry.path),
            _ => entry.path.to_string(),
        },
        LayerItem::Whiteout(path) => format!("-{path}"),
        LayerItem::Opaque(path) => format!("!{path}"),
    };
    items(layer).into_iter().map(name).collect()
}

/// Lays a layer over a tree.
pub(crate) fn lay(layer: &[u8], tree: &mut Tree) {
    for (item, content) in items(layer) {
        match item {
            LayerItem::Whiteout(path) => tree.retain(|there, _node| !there.starts_with(&path)),
            LayerItem::Opaque(path) => {
                tree.retain(|there, _node| !there.starts_with(&path) || *there == path);
            }
            LayerItem::Entry(entry) if entry.path.is_root() => {}
            LayerItem::Entry(mut entry) => {
                let path = entry.path.clone();
                if entry.kind != EntryKind::Directory {
                    tree.retain(|there, _node| !there.starts_with(&path));
                }
                let node = if let EntryKind::HardLink { target } = &entry.kind {
                    Rc::clone(tree.get(target).unwrap())
                } else {
                    entry.path = LayerPath::root();
                    Rc::new(Node { entry, content })
                };
                tree.insert(path, node);
            }
        }
    }
}

/// What is in a layer, where every name is a file of its own.
pub(crate) fn without_links(layer: &[u8]) -> Vec<(LayerItem, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut items = items(layer);
    for (item, content) in &mut items {
        let LayerItem::Entry(entry) = item else {
            continue;
        };
        match &entry.kind {
            EntryKind::File { .. } => {
                files.insert(entry.path.clone(), (entry.kind.clone(), content.clone()));
            }
            EntryKind::HardLink { target } => {
                let first: (EntryKind, Vec<u8>) = files[target].clone();
                (entry.kind, *content) = first;
            }
            _ => {}
        }
    }
    items
}
