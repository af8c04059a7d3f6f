//! Where the walk looks for changes: in the whole root, or in the upper directory that the caller gave.
//!
//! Invariant: an upper directory is only used if it is that of our root and keeps its marks where we may read them.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use layer::PathIndex;
use layer::capture::{Extent, Places};
use rustix::fs::{AtFlags, statat};

/// Where changes are found.
pub(super) enum Looking {
    /// In the whole root, whose directories were in these places.
    Everywhere(Places),
    /// In the upper directory of the root.
    In(OwnedFd),
}

impl Looking {
    /// Looks in the upper directory.
    pub(super) fn inside(upper: OwnedFd) -> io::Result<Self> {
        if keeps_marks_for_users(&fs_err::read("/proc/self/mountinfo")?) {
            Ok(Self::In(upper))
        } else {
            Err(refused(
                "/ is no overlay filesystem that is mounted with userxattr",
            ))
        }
    }

    /// Looks in the whole root, after noting where its directories are.
    pub(super) fn everywhere(root: BorrowedFd<'_>, index: &PathIndex) -> Self {
        Self::Everywhere(Places::of(root, index))
    }

    pub(super) fn extent(&self) -> Extent<'_> {
        match self {
            Self::Everywhere(places) => Extent::Anywhere(places),
            Self::In(upper) => Extent::Upper(upper.as_fd()),
        }
    }

    /// Checks that a file that was just made is in the upper directory.
    pub(super) fn prove(&self, made: &Path) -> io::Result<()> {
        let Self::In(upper) = self else {
            return Ok(());
        };
        let relative = made.strip_prefix("/").unwrap_or(made);
        match statat(upper, relative, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_stat) => Ok(()),
            Err(_) => Err(refused("what is made in / is not in it")),
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Tells whether the root is an overlay filesystem whose marks are attributes of users, as `mountinfo` says. Such a one also
/// never moves a directory by reference.
fn keeps_marks_for_users(mountinfo: &[u8]) -> bool {
    let fields = |line: &[u8]| -> Vec<Vec<u8>> {
        line.split(|byte| *byte == b' ')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut mounts = mountinfo.split(|byte| *byte == b'\n').map(fields);
    let root = mounts.rfind(|fields| fields.get(4).is_some_and(|place| place == b"/"));
    let Some(fields) = root else {
        return false;
    };
    let Some(end) = fields.iter().position(|field| field == b"-") else {
        return false;
    };
    let (kind, options) = (fields.get(end + 1), fields.get(end + 3));
    kind.is_some_and(|kind| kind == b"overlay")
        && options.is_some_and(|options| {
            options
                .split(|byte| *byte == b',')
                .any(|option| option == b"userxattr")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_overlay_for_users_keeps_marks_for_users() {
        for (mountinfo, expected) in [
            (
                "1 0 0:1 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b,userxattr\n2 1 0:2 / /proc rw - proc p rw\n",
                true,
            ),
            (
                "1 0 0:1 / / rw shared:1 master:2 - overlay overlay rw,userxattr,lowerdir=/a\n",
                true,
            ),
            (
                "1 0 0:1 / / rw - overlay overlay rw,lowerdir=/userxattr,upperdir=/b\n",
                false,
            ),
            ("1 0 0:1 / / rw - ext4 /dev/vda rw,userxattr\n", false),
            ("1 0 0:1 / /a rw - overlay overlay rw,userxattr\n", false),
            (
                "1 0 0:1 / / rw - overlay overlay rw,userxattr\n2 1 0:1 / / rw - overlay overlay rw\n",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(
                keeps_marks_for_users(mountinfo.as_bytes()),
                expected,
                "{mountinfo}"
            );
        }
    }
}
