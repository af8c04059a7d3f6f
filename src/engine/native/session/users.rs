//! The users of an image, as its own lists have them: `etc/passwd` and `etc/group` of the topmost layer that has them.
//!
//! Invariant: an image is not trusted. Its links lead nowhere but into its own layer, only files are opened, and of those
//! no more is read than a list of users may have.

use std::{ffi::OsString, io::Read as _, os::fd::AsRawFd as _, path::Path};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2},
    io::Errno,
};

use crate::engine::native::error::NativeError;

const USERS: &str = "etc/passwd";
const GROUPS: &str = "etc/group";
/// The largest list that is read.
const LIMIT: u64 = 1 << 20;
/// Nobody: the kernel takes this number for `unchanged`.
const NOBODY: u32 = u32::MAX;

/// Finds the numbers of `user[:group]`, as the image has them.
pub(super) fn numbers(text: &str, layers: &[OsString]) -> Result<(u32, u32), NativeError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let unknown = || NativeError::Unsupported {
        what: format!("user `{text}`, whom the image does not know"),
    };
    let (uid, gid) = match (user, user.parse::<u32>()) {
        ("" | "root", _) => (0, 0),
        (_, Ok(uid)) => (
            uid,
            listed(layers, USERS, (2, user)).map_or(0, |line| line.gid),
        ),
        (name, Err(_)) => {
            let line = listed(layers, USERS, (0, name)).ok_or_else(unknown)?;
            (line.number, line.gid)
        }
    };
    let gid = match group.map(|group| (group, group.parse::<u32>())) {
        None => gid,
        Some((_, Ok(gid))) => gid,
        Some((name, Err(_))) => {
            listed(layers, GROUPS, (0, name))
                .ok_or_else(unknown)?
                .number
        }
    };
    if uid == NOBODY || gid == NOBODY {
        return Err(NativeError::Unsupported {
            what: format!("user `{text}`: {NOBODY} is nobody's number"),
        });
    }
    Ok((uid, gid))
}

/// Returns the home directory of a user: where engines have nothing better to say, it is `/`, but root's.
pub(super) fn home(uid: u32, layers: &[OsString]) -> String {
    let line = listed(layers, USERS, (2, &uid.to_string()));
    let home = line.map(|line| line.home).filter(|home| !home.is_empty());
    home.unwrap_or_else(|| if uid == 0 { "/root" } else { "/" }.to_owned())
}

/// Tells whether a directory is there in any of the layers.
pub(super) fn has_directory(path: &str, layers: &[OsString]) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
    layers.iter().any(|layer| {
        open(Path::new(layer), flags, Mode::empty()).is_ok_and(|root| {
            openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).is_ok()
        })
    })
}

/// A line of a list.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// The user's number, or the group's.
    number: u32,
    /// A user's group.
    gid: u32,
    /// A user's home.
    home: String,
}

/// Finds the line of `passwd` or `group` whose field is this one.
fn listed(layers: &[OsString], list: &str, (field, value): (usize, &str)) -> Option<Line> {
    let text = layers
        .iter()
        .find_map(|layer| match read(Path::new(layer), list) {
            Ok(text) => Some(Some(text)),
            // The layers below have one that is not seen.
            Err(Errno::NOENT | Errno::NOTDIR) => None,
            Err(_) => Some(None),
        })??;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        if fields.get(field) != Some(&value) {
            return None;
        }
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
        Some(Line {
            number: number(2)?,
            gid: number(3).unwrap_or_default(),
            home: fields
                .get(5)
                .map(|home| (*home).to_owned())
                .unwrap_or_default(),
        })
    })
}

/// Reads a list of one layer; what it is but no file, or is too large, is an error that is not `not found`.
fn read(layer: &Path, list: &str) -> Result<String, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = open(layer, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(&root, list, flags, Mode::empty(), resolve)?;
    // A device or a pipe is looked at, and never opened.
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let mut bytes = Vec::new();
    let mut file = fs_err::File::from_parts(file.into(), list).take(LIMIT + 1);
    file.read_to_end(&mut bytes).map_err(|_io| Errno::IO)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Errno::FBIG);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers, the topmost first, each with a list of users or none.
    fn layers(lists: &[Option<&str>]) -> (tempfile::TempDir, Vec<OsString>) {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..lists.len())
            .map(|number| directory.path().join(number.to_string()))
            .collect();
        for (path, list) in paths.iter().zip(lists) {
            fs_err::create_dir_all(path.join("etc")).unwrap();
            if let Some(text) = list {
                fs_err::write(path.join(USERS), text).unwrap();
            }
        }
        (directory, paths.into_iter().map(Into::into).collect())
    }

    const LIST: &str = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\nodd:x:4294967295:1::/:/\n";

    #[test]
    fn users_are_found_by_name_and_number_in_the_topmost_list() {
        let (_directory, all) = layers(&[None, Some(LIST), Some("node:x:7:8::/old:/\n")]);
        for (text, expected) in [
            ("", (0, 0)),
            ("node", (1000, 1001)),
            ("1000", (1000, 1001)),
            ("node:5", (1000, 5)),
            ("77", (77, 0)),
        ] {
            assert_eq!(numbers(text, &all).unwrap(), expected, "{text}");
        }
        assert_eq!(home(1000, &all), "/home/node");
        assert_eq!(home(0, &all), "/root");
        assert_eq!(home(77, &all), "/");
        for text in ["nobody-knows", "4294967295", "1:4294967295", "odd"] {
            assert!(numbers(text, &all).is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_of_an_image_leads_to_no_file_of_this_machine_and_no_pipe_is_opened() {
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("passwd");
        fs_err::write(&secret, LIST).unwrap();
        let (directory, all) = layers(&[None]);
        let list = directory.path().join("0").join(USERS);
        for target in [
            secret.clone(),
            Path::new("../../../").join(secret.strip_prefix("/").unwrap()),
        ] {
            fs_err::os::unix::fs::symlink(target, &list).unwrap();
            assert!(numbers("node", &all).is_err());
            fs_err::remove_file(&list).unwrap();
        }
        // Within the image it is followed, from the image's own root.
        fs_err::create_dir(directory.path().join("0/usr")).unwrap();
        fs_err::write(directory.path().join("0/usr/passwd"), LIST).unwrap();
        fs_err::os::unix::fs::symlink("/usr/passwd", &list).unwrap();
        assert_eq!(numbers("node", &all).unwrap(), (1000, 1001));
        fs_err::remove_file(&list).unwrap();
        rustix::fs::mknodat(CWD, &list, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(numbers("node", &all).is_err());
        fs_err::remove_file(&list).unwrap();
        let large = fs_err::File::create(&list).unwrap();
        large.set_len(LIMIT + 1).unwrap();
        assert!(numbers("node", &all).is_err());
    }
}
