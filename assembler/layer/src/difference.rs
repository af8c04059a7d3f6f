//! What differs between two path indexes, for the listing of `image diff`.
//!
//! Content is compared by size and mtime only: an index has no more. `apply(diff(a, b), a) == b`.

use std::cmp::Ordering;

use crate::index::{IndexEntry, PathIndex};

/// One path that is not the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the second has it.
    Added {
        /// What the second has.
        after: IndexEntry<'a>,
    },
    /// Both have it, with other metadata.
    Changed {
        /// What the first has.
        before: IndexEntry<'a>,
        /// What the second has.
        after: IndexEntry<'a>,
    },
    /// Only the first has it.
    Removed {
        /// What the first has.
        before: IndexEntry<'a>,
    },
}

/// Returns what turns `before` into `after`, in path order.
pub fn diff<'a>(before: &'a PathIndex, after: &'a PathIndex) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let (mut left, mut right) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some(old), Some(new)) => old.place(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return changes,
        };
        let old = if order == Ordering::Greater {
            None
        } else {
            left.next()
        };
        let new = if order == Ordering::Less {
            None
        } else {
            right.next()
        };
        match (old, new) {
            (Some(before), Some(after)) if before != after => {
                changes.push(Change::Changed { before, after });
            }
            (Some(before), None) => changes.push(Change::Removed { before }),
            (None, Some(after)) => changes.push(Change::Added { after }),
            _ => {}
        }
    }
}

/// Applies what [`diff`] found.
pub fn apply(changes: &[Change<'_>], before: &PathIndex) -> PathIndex {
    let mut result = PathIndex::default();
    let mut changes = changes.iter().peekable();
    for old in before.iter() {
        while let Some(Change::Added { after }) =
            changes.next_if(|change| matches!(change, Change::Added { after } if after.place(&old) == Ordering::Less))
        {
            result.push(after);
        }
        let own = changes.next_if(|change| match change {
            Change::Changed { before, .. } | Change::Removed { before } => {
                before.place(&old) == Ordering::Equal
            }
            Change::Added { .. } => false,
        });
        match own {
            None => result.push(&old),
            Some(Change::Changed { after, .. } | Change::Added { after }) => result.push(after),
            Some(Change::Removed { .. }) => {}
        }
    }
    for change in changes {
        if let Change::Added { after } = change {
            result.push(after);
        }
    }
    result
}
