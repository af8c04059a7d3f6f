//! Which directory stood where before a change began, by inode.
//!
//! A directory that is renamed takes what is below it along, with the ctimes it has; where one takes the place of another,
//! names, sizes and mtimes of the files in it may be as before, as those of two versions of one package are. Filesystems
//! that copy on such a rename give new ctimes (overlayfs without `redirect_dir`), others do not.
//!
//! **Invariant.** A directory that did not change since is never taken for another, even where the filesystem gives it
//! another inode number after a while.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, statat};

use crate::index::{IndexKind, PathIndex};

/// The directories of an index, by path and inode.
#[derive(Debug, Clone, Default)]
pub struct Places(BTreeMap<Vec<u8>, u64>);

impl Places {
    /// Looks at every directory that `index` names; one that cannot be looked at is not known.
    pub fn of(root: BorrowedFd<'_>, index: &PathIndex) -> Self {
        let directories = index
            .iter()
            .filter(|entry| entry.kind == IndexKind::Directory && !entry.key.is_empty());
        let places = directories.filter_map(|entry| {
            let stat = statat(root, entry.key, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Some((entry.key.to_vec(), stat.st_ino))
        });
        Self(places.collect())
    }

    /// Tells whether another directory than before is at a path.
    pub(super) fn is_another(&self, path: &[u8], inode: u64) -> bool {
        self.0.get(path).is_some_and(|before| *before != inode)
    }
}
