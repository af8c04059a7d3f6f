//! What was put at or below mountpoints, where no walk can see it.
//!
//! A file that is put below a mountpoint belongs to the directory that the mount hides, not to what is mounted. Nobody
//! can get there without taking the mount away, so the nodes are kept here until the layer is written.
//!
//! **Invariant.** All content is in one file that is open here and needs no name, so no program can change it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::io::{pread, pwrite};

use super::upper::names_below;
use crate::entry::{Entry, EntryKind};
use crate::path::LayerPath;

/// Nodes that mounts hide, by path.
#[derive(Debug, Default)]
pub struct Beneath {
    nodes: BTreeMap<LayerPath, Node>,
    content: Option<OwnedFd>,
    length: u64,
    files: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) entry: Entry,
    /// Which file it is a name of.
    pub(super) file: u64,
    begin: u64,
}

impl Beneath {
    /// Keeps content in an open file, which is empty and best without a name.
    pub fn kept_in(content: OwnedFd) -> Self {
        Self {
            content: Some(content),
            ..Self::default()
        }
    }

    /// Puts a node with its content, of which there is as much as the entry says; a node of that path is replaced.
    pub fn put(&mut self, entry: Entry, content: &mut dyn Read) -> io::Result<()> {
        let size = entry.kind.content_size();
        let begin = self.length;
        let mut buffer = vec![0; 1 << 16];
        let mut content = content.take(size);
        loop {
            let length = content.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            self.append(buffer.get(..length).unwrap_or_default())?;
        }
        if self.length - begin != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.files += 1;
        let file = self.files;
        self.nodes
            .insert(entry.path.clone(), Node { entry, file, begin });
        Ok(())
    }

    /// Gives a file another name; tells whether there is such a file.
    pub fn link(&mut self, path: LayerPath, target: &LayerPath) -> bool {
        let Some(node) = self.nodes.get(target) else {
            return false;
        };
        let node = Node {
            entry: Entry {
                path: path.clone(),
                ..node.entry.clone()
            },
            ..*node
        };
        self.nodes.insert(path, node);
        true
    }

    /// Returns what was put at a path.
    pub fn get(&self, path: &LayerPath) -> Option<&Entry> {
        self.nodes.get(path).map(|node| &node.entry)
    }

    /// Returns the content of the file at a path.
    pub fn content(&self, path: &LayerPath) -> impl Read + '_ {
        let nothing = Content {
            file: None,
            at: 0,
            left: 0,
        };
        let node = self.nodes.get(path);
        node.map_or(nothing, |node| self.content_of(node))
    }

    /// Sets when a node was last changed.
    pub fn set_mtime(&mut self, path: &LayerPath, mtime: i64) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.entry.mtime = mtime;
        }
    }

    /// Forgets what is at a path and below it.
    pub fn remove(&mut self, path: &LayerPath) {
        self.nodes.retain(|there, _node| !there.starts_with(path));
    }

    /// Tells whether anything is at a path or below it.
    pub fn reaches(&self, path: &LayerPath) -> bool {
        self.at_or_below(path).next().is_some()
    }

    pub(super) fn at_or_below<'a>(
        &'a self,
        path: &'a LayerPath,
    ) -> impl Iterator<Item = &'a Node> + 'a {
        self.nodes
            .range(path..)
            .take_while(|(there, _node)| there.starts_with(path))
            .map(|(_there, node)| node)
    }

    /// Returns the names in a directory that lead to what is here.
    pub(super) fn names_in(&self, directory: &LayerPath) -> BTreeSet<Vec<u8>> {
        names_below(
            directory,
            self.nodes.range(directory..).map(|(path, _node)| path),
        )
    }

    /// Returns a node's path that is in none of these places.
    pub(super) fn outside(&self, places: &[LayerPath]) -> Option<&LayerPath> {
        self.nodes
            .keys()
            .find(|path| !places.iter().any(|place| path.starts_with(place)))
    }

    pub(super) fn content_of(&self, node: &Node) -> Content<'_> {
        Content {
            file: self.content.as_ref(),
            at: node.begin,
            left: match node.entry.kind {
                EntryKind::File { size } => size,
                _ => 0,
            },
        }
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let file = self.content.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        while !bytes.is_empty() {
            let written = pwrite(file, bytes, self.length)?;
            self.length += written as u64;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Reads a node's content.
pub(super) struct Content<'a> {
    file: Option<&'a OwnedFd>,
    at: u64,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let (Some(file), Some(buffer)) = (self.file, buffer.get_mut(..most)) else {
            return Ok(0);
        };
        let length = pread(file, buffer, self.at)?;
        self.at += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}
