//! Users and groups by the names that the container's own files give them, as builders of Dockerfiles look them up.
//!
//! Two rules that differ: a program runs as a user that must be known or a number, with the groups that list it;
//! an owner that nobody knows is root, and one number is user and group.

use std::io::Read as _;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

/// Most that is read of a file of users; the rest is as if it were not there.
const BOUND: u64 = 16 << 20;

/// As whom a program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// All groups, the first one included.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Why nobody can be become.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum UserError {
    #[error("there is no user {name} in /etc/passwd")]
    User { name: String },
    #[error("there is no group {name} in /etc/group")]
    Group { name: String },
}

/// What the container says of its users.
#[derive(Debug)]
pub(super) struct Users {
    passwd: String,
    group: String,
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl Users {
    /// Reads the files as they are now; what is no file says nothing.
    pub(super) fn read() -> Self {
        let [passwd, group] =
            ["/etc/passwd", "/etc/group"].map(|path| text(path).unwrap_or_default());
        Self { passwd, group }
    }

    /// Returns as whom `name|uid[:group|gid]` runs; root if there is no name.
    pub(super) fn who(&self, text: Option<&str>) -> Result<Who, UserError> {
        let (user, group) = split(text.unwrap_or_default());
        let user = user.unwrap_or("0");
        let number = user.parse::<u32>().ok();
        let known = self
            .users()
            .find(|known| known.name == user || Some(known.uid) == number);
        let uid = match (&known, number) {
            (Some(known), _) => known.uid,
            (None, Some(uid)) => uid,
            (None, None) => {
                return Err(UserError::User {
                    name: user.to_owned(),
                });
            }
        };
        let (gid, mut groups) = match group {
            Some(group) => (self.gid(group)?, Vec::new()),
            None => known.map_or((0, Vec::new()), |known| {
                (known.gid, self.groups_of(known.name))
            }),
        };
        groups.retain(|group| *group != gid);
        groups.insert(0, gid);
        let home = self.users().find(|known| known.uid == uid);
        let home = home.map_or("/", |known| known.home);
        Ok(Who {
            uid,
            gid,
            groups,
            home: if home.is_empty() { "/" } else { home }.to_owned(),
        })
    }

    /// Returns whose the files are that `name|uid[:group|gid]` owns.
    pub(super) fn owner(&self, text: &str) -> Owner {
        let (user, group) = split(text);
        let (uid, gid) = match user.map(|user| (user, user.parse::<u32>())) {
            None => (0, 0),
            Some((_, Ok(number))) => (number, number),
            Some((name, Err(_))) => {
                let known = self.users().find(|known| known.name == name);
                known.map_or((0, 0), |known| (known.uid, known.gid))
            }
        };
        let gid = match group.map(|group| (group, group.parse::<u32>())) {
            None => gid,
            Some((_, Ok(number))) => number,
            Some((name, Err(_))) => {
                let known = self.groups().find(|(known, ..)| *known == name);
                known.map_or(gid, |(_, gid, _)| gid)
            }
        };
        Owner { uid, gid }
    }

    fn gid(&self, group: &str) -> Result<u32, UserError> {
        let number = group.parse::<u32>().ok();
        let known = self
            .groups()
            .find(|(name, gid, _)| *name == group || Some(*gid) == number);
        known
            .map(|(_, gid, _)| gid)
            .or(number)
            .ok_or_else(|| UserError::Group {
                name: group.to_owned(),
            })
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        self.groups()
            .filter(|(_, _, members)| members.split(',').any(|member| member.trim() == user))
            .map(|(_, gid, _)| gid)
            .collect()
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            Some(User {
                name: fields.next()?,
                uid: fields.nth(1)?.parse().ok()?,
                gid: fields.next()?.parse().ok()?,
                home: fields.nth(1).unwrap_or_default(),
            })
        })
    }

    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let name = fields.next()?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some((name, gid, fields.next().unwrap_or_default()))
        })
    }
}

/// Splits `user:group`; an empty part is none.
fn split(text: &str) -> (Option<&str>, Option<&str>) {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let some = |part: &'_ str| !part.is_empty();
    (
        Some(user).filter(|part| some(part)),
        Some(group).filter(|part| some(part)),
    )
}

/// Reads a regular file; a pipe must not make us wait.
fn text(path: &str) -> std::io::Result<String> {
    let file = open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    fs_err::File::from_parts(file.into(), path)
        .take(BOUND)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        Users {
            passwd: "root:x:0:0:root:/root:/bin/sh\n# no user\nbob:x:5:6:Bob:/home/bob:/bin/sh\n7:x:8:9::/seven:\n".to_owned(),
            group: "root:x:0:\nbob:x:6:\nwheel:x:10:root,bob\nvideo:x:44:bob\n".to_owned(),
        }
    }

    #[track_caller]
    fn who(text: &str, uid: u32, groups: &[u32], home: &str) {
        let expected = Who {
            uid,
            gid: groups[0],
            groups: groups.to_vec(),
            home: home.to_owned(),
        };
        assert_eq!(users().who(Some(text)), Ok(expected), "{text}");
    }

    #[test]
    fn a_program_runs_as_a_known_user_with_its_groups_or_as_a_number() {
        who("", 0, &[0, 10], "/root");
        who("0", 0, &[0, 10], "/root");
        who("bob", 5, &[6, 10, 44], "/home/bob");
        who("5", 5, &[6, 10, 44], "/home/bob");
        who("bob:video", 5, &[44], "/home/bob");
        who("bob:99", 5, &[99], "/home/bob");
        who("5:6", 5, &[6], "/home/bob");
        who("1234", 1234, &[0], "/");
        who("7", 8, &[9], "/seven");
        assert_eq!(
            users().who(Some("nobody")),
            Err(UserError::User {
                name: "nobody".to_owned()
            })
        );
        assert_eq!(
            users().who(Some("bob:nogroup")),
            Err(UserError::Group {
                name: "nogroup".to_owned()
            })
        );
    }

    #[test]
    fn an_owner_that_nobody_knows_is_root_and_one_number_is_user_and_group() {
        for (text, uid, gid) in [
            ("bob", 5, 6),
            ("bob:video", 5, 44),
            ("5", 5, 5),
            ("5:1", 5, 1),
            (":video", 0, 44),
            ("nobody", 0, 0),
            ("nobody:nogroup", 0, 0),
        ] {
            assert_eq!(users().owner(text), Owner { uid, gid }, "{text}");
        }
    }
}
