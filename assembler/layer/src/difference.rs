//! What differs between two path indexes.

use crate::{IndexEntry, PathIndex};

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
pub fn diff<'a>(_before: &'a PathIndex, _after: &'a PathIndex) -> Vec<Change<'a>> {
    todo!()
}

/// Applies what [`diff`] found: `apply(diff(a, b), a) == b`.
pub fn apply(_changes: &[Change<'_>], _before: &PathIndex) -> PathIndex {
    todo!()
}
