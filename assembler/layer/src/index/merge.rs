//! Lays one layer's index over the index of all that is below it.

use std::cmp::Ordering;

use super::{IndexKind, PathIndex};
use crate::path::{compare, is_at_or_below, is_below};

impl PathIndex {
    /// Lays a layer's own index over this one, applying its whiteouts, opaque markers and replacements.
    ///
    /// The result is a root filesystem: it has no markers. A directory over a directory keeps what is below it;
    /// anything else that the layer puts replaces the lower path with all that is below.
    #[must_use]
    pub fn merge(&self, upper: &Self) -> Self {
        let mut hidden = Hidden::of(upper);
        let mut merged = Self {
            arena: Vec::with_capacity(self.arena.len() + upper.arena.len()),
            records: Vec::with_capacity(self.records.len() + upper.records.len()),
        };
        let mut above = upper.iter().filter(|entry| !entry.is_marker()).peekable();
        for below in self.iter().filter(|entry| !entry.is_marker()) {
            while let Some(entry) =
                above.next_if(|entry| compare(entry.key, below.key) == Ordering::Less)
            {
                merged.push(&entry);
            }
            if hidden.covers(below.key) {
                continue;
            }
            let replaced = above.peek().is_some_and(|entry| {
                // A layer may put `a/b` without saying that `a`, once a file, is a directory now.
                entry.key == below.key
                    || (below.kind != IndexKind::Directory && is_below(entry.key, below.key))
            });
            if !replaced {
                merged.push(&below);
            }
        }
        above.for_each(|entry| merged.push(&entry));
        merged
    }
}

/// The subtrees of the lower layers that a layer hides, asked in path order.
struct Hidden {
    /// In path order; the flag says that the path itself stays (opaque).
    subtrees: Vec<(Vec<u8>, Reach)>,
    next: usize,
    /// The subtrees that the last asked path is in or under.
    current: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    WithRoot,
    BelowRoot,
}

impl Hidden {
    fn of(upper: &PathIndex) -> Self {
        let mut subtrees: Vec<(Vec<u8>, Reach)> = upper
            .iter()
            .filter_map(|entry| match entry.kind {
                IndexKind::Directory => None,
                IndexKind::Opaque => Some((entry.path().as_bytes().to_vec(), Reach::BelowRoot)),
                _ => Some((entry.path().as_bytes().to_vec(), Reach::WithRoot)),
            })
            .collect();
        subtrees.sort_by(|(a, _), (b, _)| compare(a, b));
        Self {
            subtrees,
            next: 0,
            current: None,
        }
    }

    fn covers(&mut self, path: &[u8]) -> bool {
        let inside = |subtree: &(Vec<u8>, Reach)| match subtree.1 {
            Reach::WithRoot => is_at_or_below(path, &subtree.0),
            Reach::BelowRoot => is_below(path, &subtree.0),
        };
        if self
            .current
            .is_some_and(|current| inside(&self.subtrees[current]))
        {
            return true;
        }
        // A subtree is contiguous in path order, so one that lies before `path` without holding it is done with; an
        // opaque directory is kept for what is below it.
        while let Some(subtree) = self.subtrees.get(self.next) {
            if compare(&subtree.0, path) == Ordering::Greater {
                break;
            }
            if inside(subtree) {
                self.current = Some(self.next);
                return true;
            }
            if subtree.0 == path {
                let more = self
                    .subtrees
                    .get(self.next + 1)
                    .is_some_and(|next| next.0 == path);
                if !more {
                    break;
                }
            }
            self.next += 1;
        }
        false
    }
}
