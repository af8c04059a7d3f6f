//! Extended attributes as a layer holds them: all but those of the host's own making.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::fs::{fgetxattr, flistxattr, getxattr, listxattr};
use rustix::io::Errno;

use crate::entry::is_of_host;

type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// The kernel's bound for one value and for the list of names.
const BOUND: usize = 1 << 16;

/// Reads the attributes of an open file or directory.
pub(super) fn of_open(file: BorrowedFd<'_>) -> Result<Attributes, Errno> {
    read(
        |to| flistxattr(file, to),
        |name, to| fgetxattr(file, name, to),
    )
}

/// Reads the attributes of a node that cannot be opened for reading: a link, a device, a pipe, held by `O_PATH`.
pub(super) fn of_node(node: BorrowedFd<'_>) -> Result<Attributes, Errno> {
    let path = format!("/proc/self/fd/{}", node.as_raw_fd());
    match read(
        |to| listxattr(path.as_str(), to),
        |name, to| getxattr(path.as_str(), name, to),
    ) {
        // A script may have unmounted /proc; such nodes have no attributes but the host's in practice.
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(Attributes::new()),
        other => other,
    }
}

fn read(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> Result<Attributes, Errno> {
    let mut names = [0; 1024];
    let long;
    let names = match list(&mut names) {
        Ok(length) => &names[..length],
        Err(Errno::RANGE) => {
            let mut all = vec![0; BOUND];
            let length = list(&mut all)?;
            all.truncate(length);
            long = all;
            &long[..]
        }
        Err(Errno::OPNOTSUPP) => return Ok(Attributes::new()),
        Err(error) => return Err(error),
    };
    let mut attributes = Attributes::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && !is_of_host(name))
    {
        let mut value = vec![0; BOUND];
        match get(name, &mut value) {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(error) => return Err(error),
        }
        if name == b"security.capability" {
            value = without_namespace(value);
        }
        attributes.insert(name.to_vec(), value);
    }
    Ok(attributes)
}

/// Turns a capability of a user namespace (version 3, with the namespace's root at its end) into the version 2 that
/// holds wherever the layer is unpacked.
fn without_namespace(mut value: Vec<u8>) -> Vec<u8> {
    const VERSION: usize = 3;
    if value.len() == 24 && value.get(VERSION) == Some(&3) {
        value.truncate(20);
        value[VERSION] = 2;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_of_a_namespace_becomes_a_plain_one() {
        let inside = [vec![1, 0, 0, 3], vec![7; 16], vec![9; 4]].concat();
        assert_eq!(
            without_namespace(inside),
            [vec![1, 0, 0, 2], vec![7; 16]].concat()
        );
        let plain = [vec![1, 0, 0, 2], vec![7; 16]].concat();
        assert_eq!(without_namespace(plain.clone()), plain);
    }

    #[test]
    fn attributes_of_the_host_are_known() {
        for name in [
            "security.selinux",
            "trusted.overlay.opaque",
            "user.overlay.origin",
        ] {
            assert!(is_of_host(name.as_bytes()), "{name}");
        }
        for name in [
            "security.capability",
            "user.overlayx",
            "system.posix_acl_access",
        ] {
            assert!(!is_of_host(name.as_bytes()), "{name}");
        }
    }
}
