//! The users of an image, as its own lists have them.
//!
//! Invariant: a number that the kernel takes for none is nobody's.

use super::image_file::{self, Layers};
use crate::engine::native::error::NativeError;

const USERS: &str = "etc/passwd";
const GROUPS: &str = "etc/group";
/// The largest list that is read.
const LIMIT: u64 = 1 << 20;
/// Nobody: the kernel takes this number for `unchanged`.
const NOBODY: u32 = u32::MAX;

/// Finds the numbers of `user[:group]`, as the image has them.
pub(super) fn numbers(text: &str, layers: &Layers) -> Result<(u32, u32), NativeError> {
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
pub(super) fn home(uid: u32, layers: &Layers) -> String {
    let line = listed(layers, USERS, (2, &uid.to_string()));
    let home = line.map(|line| line.home).filter(|home| !home.is_empty());
    home.unwrap_or_else(|| if uid == 0 { "/root" } else { "/" }.to_owned())
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
fn listed(layers: &Layers, list: &str, (field, value): (usize, &str)) -> Option<Line> {
    let bytes = image_file::read(layers, list, LIMIT)?;
    let text = String::from_utf8_lossy(&bytes);
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

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
}
