//! Collects items in any order into an index.

use super::{IndexEntry, IndexKind, PathIndex, hash_xattrs};
use crate::entry::{EntryKind, LayerItem};
use crate::path::compare;

/// Collects items in any order into a [`PathIndex`].
#[derive(Debug, Default)]
pub struct IndexBuilder {
    /// In the order they came.
    unsorted: PathIndex,
}

impl IndexBuilder {
    /// Takes one more item; of two with the same path the later one stays.
    pub fn add(&mut self, item: &LayerItem) {
        let key = item.key();
        let marker = |kind| IndexEntry {
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            xattrs: None,
            key: &key,
        };
        let entry = match item {
            LayerItem::Whiteout(_) => marker(IndexKind::Whiteout),
            LayerItem::Opaque(_) => marker(IndexKind::Opaque),
            LayerItem::Entry(entry) => IndexEntry {
                kind: match &entry.kind {
                    EntryKind::File { .. } => IndexKind::File,
                    EntryKind::Directory => IndexKind::Directory,
                    EntryKind::Symlink { target } => IndexKind::Symlink(target),
                    EntryKind::HardLink { target } => IndexKind::HardLink(target.as_bytes()),
                    EntryKind::CharDevice { major, minor } => IndexKind::CharDevice(*major, *minor),
                    EntryKind::BlockDevice { major, minor } => {
                        IndexKind::BlockDevice(*major, *minor)
                    }
                    EntryKind::Fifo => IndexKind::Fifo,
                },
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                size: item.content_size(),
                mtime: entry.mtime,
                xattrs: hash_xattrs(&entry.xattrs),
                key: &key,
            },
        };
        self.unsorted.push(&entry);
    }

    /// Sorts what was added, and gives hard links the metadata of the file they are names of.
    pub fn finish(self) -> PathIndex {
        let unsorted = self.unsorted;
        let mut order: Vec<usize> = (0..unsorted.records.len()).collect();
        let key = |at: usize| unsorted.span(unsorted.records[at].key);
        order.sort_by(|a, b| compare(key(*a), key(*b)).then(a.cmp(b)));
        let mut sorted = PathIndex::default();
        for (place, at) in order.iter().enumerate() {
            if order
                .get(place + 1)
                .is_none_or(|next| key(*next) != key(*at))
            {
                sorted.push(&unsorted.entry(&unsorted.records[*at]));
            }
        }
        sorted.resolve_hard_links();
        sorted
    }
}

impl PathIndex {
    fn resolve_hard_links(&mut self) {
        let resolved: Vec<(usize, usize)> = self
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| match entry.kind {
                IndexKind::HardLink(target) => {
                    let place = self.lower_bound(target);
                    let found = self
                        .records
                        .get(place)
                        .is_some_and(|record| self.span(record.key) == target);
                    found.then_some((at, place))
                }
                _ => None,
            })
            .collect();
        for (link, target) in resolved {
            let target = self.records[target];
            let link = &mut self.records[link];
            (link.mode, link.uid, link.gid) = (target.mode, target.uid, target.gid);
            (link.size, link.mtime, link.xattrs) = (target.size, target.mtime, target.xattrs);
        }
    }
}
