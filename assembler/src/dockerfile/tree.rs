//! Trees that a Dockerfile copies from: the build context, or the filesystem of an image in the store.
//!
//! Invariant: paths stay inside of the tree: `..` at its root is its root, and symbolic links are followed as if the tree
//! were the whole filesystem.

use std::{collections::VecDeque, io};

use layer::{IndexKind, LayerPath, PathIndex};
use tempfile::TempPath;

use super::{
    context::{BuildContext, ContextKind},
    glob::{Glob, is_pattern},
};
use crate::{
    image::Image,
    store::{BlobStore, SharedLock, StoreError},
};

/// How many symbolic links one path may lead through.
const LINKS: usize = 255;

/// A tree to copy from.
#[derive(Debug)]
pub(crate) enum Tree<'a> {
    /// The build context.
    Context(&'a BuildContext),
    /// An image's filesystem.
    Image {
        /// The image.
        image: &'a Image,
        /// Its merged index.
        index: PathIndex,
    },
}

/// What a source of `COPY` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it is called.
    pub(crate) called: LayerPath,
    /// Where it really is.
    pub(crate) real: LayerPath,
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    Symlink(Vec<u8>),
    Other,
}

/// Where temporary files go and layers are read from.
#[derive(Clone, Copy)]
pub(crate) struct Shelf<'a> {
    pub(crate) store: &'a BlobStore,
    pub(crate) lock: &'a SharedLock,
}

impl Shelf<'_> {
    /// Makes a file that the next prune removes if we are killed.
    pub(crate) fn file(&self) -> io::Result<(fs_err::File, TempPath)> {
        let file = tempfile::Builder::new()
            .prefix("tmp-dockerfile-")
            .tempfile_in(self.store.root().join("ingest"))?;
        let (file, path) = file.into_parts();
        let file = fs_err::File::from_parts(file, path.to_path_buf());
        Ok((file, path))
    }
}

impl<'a> Tree<'a> {
    /// Opens an image's filesystem.
    pub(crate) fn of_image(shelf: Shelf<'_>, image: &'a Image) -> Result<Self, StoreError> {
        let index = shelf.store.image_index(shelf.lock, image)?;
        Ok(Self::Image { image, index })
    }

    pub(crate) fn node(&self, path: &LayerPath) -> Option<Node> {
        match self {
            Self::Context(context) => match &context.get(path)?.kind {
                ContextKind::File { .. } => Some(Node::Other),
                ContextKind::Directory => Some(Node::Directory),
                ContextKind::Symlink(target) => Some(Node::Symlink(target.clone())),
            },
            Self::Image { index, .. } => match index.get(path)?.kind {
                IndexKind::Directory => Some(Node::Directory),
                IndexKind::Symlink(target) => Some(Node::Symlink(target.to_vec())),
                _ => Some(Node::Other),
            },
        }
    }

    /// Follows symbolic links to what is really there.
    pub(crate) fn resolve(&self, path: &[u8]) -> Option<LayerPath> {
        let mut todo: VecDeque<Vec<u8>> = components(path).collect();
        let mut at: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                at.pop();
                continue;
            }
            at.push(name);
            let here = LayerPath::new(at.join(&b'/')).ok()?;
            if let Some(Node::Symlink(target)) = self.node(&here) {
                links += 1;
                if links > LINKS {
                    return None;
                }
                at.pop();
                if target.starts_with(b"/") {
                    at.clear();
                }
                for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
                    todo.push_front(component);
                }
            }
        }
        let here = LayerPath::new(at.join(&b'/')).ok()?;
        (here.is_root() || self.node(&here).is_some()).then_some(here)
    }

    /// Finds what a source of `COPY` names; a pattern may fit nothing. The error is what is named and not there: the
    /// source, or a link that fits it and leads nowhere.
    pub(crate) fn find(&self, source: &str) -> Result<Vec<Found>, String> {
        let parts: Vec<Vec<u8>> = normal(source.as_bytes());
        let split = parts
            .iter()
            .position(|part| std::str::from_utf8(part).is_ok_and(is_pattern))
            .unwrap_or(parts.len());
        let (plain, pattern) = parts.split_at(split);
        let directory = self.resolve(&plain.join(&b'/'));
        let none = || source.to_owned();
        if pattern.is_empty() {
            let called = LayerPath::new(plain.join(&b'/')).map_err(|_unfit| none())?;
            let real = directory.ok_or_else(none)?;
            return Ok(vec![Found { called, real }]);
        }
        let Some(directory) = directory else {
            return Ok(Vec::new());
        };
        let pattern = String::from_utf8_lossy(&pattern.join(&b'/')).into_owned();
        let glob = Glob::of_copy(&pattern).ok_or_else(none)?;
        let mut found: Vec<Found> = Vec::new();
        for path in self.below(&directory) {
            let inside = |last: &Found| path.starts_with(&last.called);
            if path == directory || found.last().is_some_and(inside) {
                continue;
            }
            if glob.matches(below_of(&path, &directory)) {
                let real = self.resolve(path.as_bytes());
                let real = real.ok_or_else(|| path.to_string())?;
                found.push(Found { called: path, real });
            }
        }
        Ok(found)
    }

    /// Lists a path and all below it, in the order of a layer.
    pub(crate) fn below(&self, directory: &LayerPath) -> Vec<LayerPath> {
        match self {
            Self::Context(context) => context
                .iter()
                .map(|(path, _)| path)
                .filter(|path| path.starts_with(directory))
                .cloned()
                .collect(),
            Self::Image { index, .. } => index
                .iter()
                .map(|entry| entry.path())
                .filter(|path| path.starts_with(directory))
                .collect(),
        }
    }

    /// Says whether a path is a directory; the root is one.
    pub(crate) fn is_directory(&self, path: &LayerPath) -> bool {
        path.is_root() || self.node(path) == Some(Node::Directory)
    }
}

/// Splits a path, leaving out what is nothing.
fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
}

/// Resolves `..` by name alone, as `COPY` does with what it is given.
fn normal(path: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    for part in components(path) {
        if part == b".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}

/// Returns the part of a path below a directory that it is in.
pub(crate) fn below_of<'p>(path: &'p LayerPath, directory: &LayerPath) -> &'p [u8] {
    let rest = path
        .as_bytes()
        .get(directory.as_bytes().len()..)
        .unwrap_or_default();
    rest.strip_prefix(b"/").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::context::ContextEntry;

    fn context(paths: &[(&str, &str)]) -> BuildContext {
        let entries = paths.iter().map(|(path, content)| {
            let entry = if path.ends_with('/') {
                ContextEntry {
                    kind: ContextKind::Directory,
                    mode: 0o755,
                    mtime: 1,
                }
            } else if let Some(target) = content.strip_prefix("->") {
                ContextEntry {
                    kind: ContextKind::Symlink(target.into()),
                    mode: 0o777,
                    mtime: 1,
                }
            } else {
                ContextEntry::file(content.as_bytes(), 0o644, 1)
            };
            (LayerPath::new(path).unwrap(), entry)
        });
        BuildContext::new(entries.collect())
    }

    #[test]
    fn sources_are_found_through_links_and_patterns() {
        let context = context(&[
            ("a.txt", "a"),
            ("b.txt", "b"),
            ("d/", ""),
            ("d/e/", ""),
            ("d/e/f.txt", "f"),
            ("link", "->d/e"),
            ("loop", "->loop"),
            ("out", "->../../a.txt"),
        ]);
        let tree = Tree::Context(&context);
        let find = |source: &str| {
            tree.find(source).map(|found| {
                found
                    .iter()
                    .map(|found| format!("{}={}", found.called, found.real))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        for (source, found) in [
            ("a.txt", Ok("a.txt=a.txt")),
            ("./d//e/", Ok("d/e=d/e")),
            (".", Ok(".=.")),
            ("/", Ok(".=.")),
            ("link", Ok("link=d/e")),
            ("link/f.txt", Ok("link/f.txt=d/e/f.txt")),
            ("*.txt", Ok("a.txt=a.txt b.txt=b.txt")),
            ("d/*/f*", Ok("d/e/f.txt=d/e/f.txt")),
            ("link/*", Ok("d/e/f.txt=d/e/f.txt")),
            ("none*", Ok("")),
            ("none", Err("none")),
            ("loop", Err("loop")),
            ("out", Ok("out=a.txt")),
            ("[", Err("[")),
            ("lo*", Err("loop")),
            ("l*", Err("loop")),
        ] {
            let said = find(source);
            let said = said.as_deref().map_err(String::as_str);
            assert_eq!(said, found, "{source}");
        }
    }
}
