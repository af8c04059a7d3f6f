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

/// Whom a program runs as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// All groups that he is in.
    pub(super) groups: Vec<u32>,
}

/// Finds `user[:group]`, as the image has them: by name, or else by number. Nobody at all is root.
///
/// As engines have it, somebody who is listed is in all groups that list him, unless a group was given.
pub(super) fn find(text: &str, layers: &Layers) -> Result<User, NativeError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let unknown = || NativeError::Unsupported {
        what: format!("user `{text}`, whom the image does not know"),
    };
    let line = match lines(layers, USERS) {
        // Root needs no list.
        Err(_) if ["0", "root"].contains(&user) => None,
        all => all?.into_iter().find(|line| line.is(user)),
    };
    let (uid, mut gid) = match (&line, user.parse()) {
        (Some(line), _) => (line.number, line.gid),
        (None, Ok(uid)) => (uid, 0),
        (None, Err(_)) if user == "root" => (0, 0),
        (None, Err(_)) => return Err(unknown()),
    };
    let mut groups = Vec::new();
    if let Some(group) = group {
        let mut all = lines(layers, GROUPS)?.into_iter();
        let number = all.find(|line| line.is(group)).map(|line| line.number);
        gid = number.or_else(|| group.parse().ok()).ok_or_else(unknown)?;
    } else if let Some(line) = line {
        let all = lines(layers, GROUPS)?.into_iter();
        let his = all.filter(|group| group.members.contains(&line.name));
        groups.extend(his.map(|group| group.number));
    }
    if uid == NOBODY || gid == NOBODY {
        return Err(NativeError::Unsupported {
            what: format!("user `{text}`: {NOBODY} is nobody's number"),
        });
    }
    // He cannot lose his own by becoming another one's.
    groups.insert(0, gid);
    groups.retain(|group| *group != NOBODY);
    Ok(User { uid, gid, groups })
}

/// Returns the home directory of a user: where engines have nothing better to say, it is `/`, but root's.
pub(super) fn home(uid: u32, layers: &Layers) -> String {
    let mut all = lines(layers, USERS).unwrap_or_default().into_iter();
    let home = all
        .find(|line| line.number == uid)
        .map(|line| line.home)
        .filter(|home| !home.is_empty());
    home.unwrap_or_else(|| if uid == 0 { "/root" } else { "/" }.to_owned())
}

/// A line of a list.
#[derive(Debug)]
struct Line {
    name: String,
    /// The user's number, or the group's.
    number: u32,
    /// A user's group.
    gid: u32,
    /// A group's members.
    members: Vec<String>,
    /// A user's home.
    home: String,
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        Some(Self {
            name: field(0).to_owned(),
            number: field(2).parse().ok()?,
            gid: field(3).parse().unwrap_or_default(),
            members: field(3).split(',').map(str::to_owned).collect(),
            home: field(5).to_owned(),
        })
    }

    /// Tells whether this is its name or its number.
    fn is(&self, text: &str) -> bool {
        self.name == text || text.parse() == Ok(self.number)
    }
}

/// Reads `passwd` or `group`; what is no line of it is passed over.
fn lines(layers: &Layers, list: &str) -> Result<Vec<Line>, NativeError> {
    let bytes = image_file::read(layers, list, LIMIT)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(Line::read).collect())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    /// Layers, the topmost first, each with a list of users or none, the lowest with a list of groups.
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
        fs_err::write(paths.last().unwrap().join(GROUPS), GROUP_LIST).unwrap();
        (directory, paths.into_iter().map(Into::into).collect())
    }

    const LIST: &str = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\nodd:x:4294967295:1::/:/\n";
    const GROUP_LIST: &str = "wheel:x:10:root,node\nno line\nvideo:x:44:other,node\nnodes:x:45:nodes\nodd:x:4294967295:node\n";

    #[test]
    fn users_are_found_by_name_and_number_in_the_topmost_list_with_their_groups() {
        let (_directory, all) = layers(&[None, Some(LIST), Some("node:x:7:8::/old:/\n")]);
        for (text, uid, gid, groups) in [
            ("", 0, 0, &[0, 10][..]),
            ("root", 0, 0, &[0, 10]),
            ("node", 1000, 1001, &[1001, 10, 44]),
            ("1000", 1000, 1001, &[1001, 10, 44]),
            ("node:5", 1000, 5, &[5]),
            ("node:video", 1000, 44, &[44]),
            (":44", 0, 44, &[44]),
            ("77", 77, 0, &[0]),
        ] {
            let groups = groups.to_vec();
            let expected = User { uid, gid, groups };
            assert_eq!(find(text, &all).unwrap(), expected, "{text}");
        }
        assert_eq!(home(1000, &all), "/home/node");
        assert_eq!(home(0, &all), "/root");
        assert_eq!(home(77, &all), "/");
        for text in [
            "nobody-knows",
            "4294967295",
            "1:4294967295",
            "odd",
            "node:nobody-knows",
        ] {
            assert!(find(text, &all).is_err(), "{text}");
        }
        let (_directory, none) = layers(&[None]);
        assert_eq!(find("root", &none).unwrap().groups, [0]);
    }
}
