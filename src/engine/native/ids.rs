//! Who a cage's users are on this machine: the one mapping of user and group ids that a caller has.
//!
//! An ordinary user is himself inside, by the same number, and all other ids are his subordinate ones; so what he owns
//! belongs to him on both sides, and unpacked layers serve steps and sessions alike. Root keeps all ids that he sees.
//! **Invariant.** No two ids become one: what cannot be mapped is refused, never squashed.

use std::path::Path;

use assembler::store::rootfs::MappingName;
use serde::{Deserialize, Serialize};

use super::error::NativeError;
use crate::small_file::{self, SmallFile};

/// Files larger than this are no lists of subordinate ids.
const LIST_LIMIT: u64 = 1 << 20;
/// How many ids images use: those of Debian end with `nobody`.
const IDS: u32 = 65_536;
/// With fewer, no distribution's files can be unpacked.
const FEWEST: u32 = 1_000;

/// So many ids inside, from one on, are as many outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The first inside.
    pub inside: u32,
    /// The first outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The mapping of users and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMaps {
    /// Of users.
    pub users: Vec<Extent>,
    /// Of groups.
    pub groups: Vec<Extent>,
    /// How the kernel is told.
    pub(super) writer: Writer,
}

/// Who tells the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// `newuidmap` and `newgidmap`, which know what the caller may have.
    Tools,
    /// We, being root.
    Ourselves,
}

/// Subordinate ids: the first and how many.
type Range = (u32, u32);

impl IdMaps {
    /// Finds out the caller's mapping.
    pub fn of_caller(name: &str) -> Result<Self, NativeError> {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        if uid == 0 {
            return Ok(Self {
                users: identity(&read(Path::new("/proc/self/uid_map"))?),
                groups: identity(&read(Path::new("/proc/self/gid_map"))?),
                writer: Writer::Ourselves,
            });
        }
        Ok(Self {
            users: around(uid, &ranges_of("/etc/subuid", (name, uid))?),
            groups: around(gid, &ranges_of("/etc/subgid", (name, uid))?),
            writer: Writer::Tools,
        })
    }

    /// Finds out the mapping in which a tree was made that an ordinary user has, by the owner of its top; nothing where that
    /// is neither he himself nor the first of his subordinate ids.
    pub(super) fn of_tree(name: &str, owner: u32) -> Result<Option<Self>, NativeError> {
        let own = rustix::process::geteuid().as_raw();
        let own_group = rustix::process::getegid().as_raw();
        let users = ranges_of("/etc/subuid", (name, own))?;
        let groups = ranges_of("/etc/subgid", (name, own))?;
        let made = |own: u32, ranges: &[Range]| match ranges.first() {
            // As `unshare --map-root-user --map-auto` and Podman do: he is root.
            _ if owner == rustix::process::geteuid().as_raw() => Some(below(own, ranges)),
            // As `mmdebstrap` does: all are subordinate, and he is nobody of them.
            Some((first, _)) if is_first(&users, owner) => Some(above((*first, own), ranges)),
            _ => None,
        };
        let maps = made(own, &users).zip(made(own_group, &groups));
        Ok(maps.map(|(users, groups)| Self {
            users,
            groups,
            writer: Writer::Tools,
        }))
    }

    /// Finds whom a group stands for on this machine.
    pub(super) fn group(&self, group: u32) -> Option<&Extent> {
        let is_in = |extent: &&Extent| {
            let end = extent.inside.saturating_add(extent.count);
            (extent.inside..end).contains(&group)
        };
        self.groups.iter().find(is_in)
    }

    /// Names the mapping: what was unpacked under another one has other owners.
    pub fn mapping(&self) -> MappingName {
        let text = |extents: &[Extent]| lines(extents).replace('\n', ",");
        MappingName::of(&format!("u{}g{}", text(&self.users), text(&self.groups)))
    }
}

/// Reads a user's subordinate ids, which are enough for an image.
fn ranges_of(file: &'static str, (name, uid): (&str, u32)) -> Result<Vec<Range>, NativeError> {
    let text = read(Path::new(file)).unwrap_or_default();
    let ranges = subordinate(&text, name, uid);
    let found: u64 = ranges.iter().map(|(_, count)| u64::from(*count)).sum();
    if found < u64::from(FEWEST) {
        return Err(NativeError::SubIds {
            file,
            user: name.to_owned(),
            found,
        });
    }
    Ok(ranges)
}

fn is_first(ranges: &[Range], id: u32) -> bool {
    ranges.first().is_some_and(|(first, _)| *first == id)
}

/// Lays the first range of subordinate ids after one's own id, which is root's.
fn below(own: u32, ranges: &[Range]) -> Vec<Extent> {
    let root = Extent {
        inside: 0,
        outside: own,
        count: 1,
    };
    let rest = ranges.first().map(|&(first, count)| Extent {
        inside: 1,
        outside: first,
        count: count.min(IDS - 1),
    });
    std::iter::once(root).chain(rest).collect()
}

/// Lays the first range of subordinate ids from root on, and one's own id, which no file of the tree has, behind it.
fn above((first, own): (u32, u32), ranges: &[Range]) -> Vec<Extent> {
    let count = ranges.first().map_or(1, |(_, count)| (*count).min(IDS));
    let extent = |inside, outside, count| Extent {
        inside,
        outside,
        count,
    };
    vec![extent(0, first, count), extent(count, own, 1)]
}

/// Spells a mapping as the kernel takes it.
pub(super) fn lines(extents: &[Extent]) -> String {
    let line = |extent: &Extent| {
        let Extent {
            inside,
            outside,
            count,
        } = extent;
        format!("{inside} {outside} {count}\n")
    };
    extents.iter().map(line).collect()
}

fn read(path: &Path) -> Result<String, NativeError> {
    let content = small_file::read(path, LIST_LIMIT)
        .map_err(NativeError::host(format!("read {}", path.display())))?;
    Ok(match content {
        SmallFile::Content(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        SmallFile::Missing | SmallFile::TooLarge(_) => String::new(),
    })
}

/// Keeps every id that the kernel's list has inside.
fn identity(list: &str) -> Vec<Extent> {
    let extent = |line: &str| {
        let mut words = line.split_whitespace().map(str::parse::<u32>);
        let (inside, count) = (words.next()?.ok()?, words.nth(1)?.ok()?);
        Some(Extent {
            inside,
            outside: inside,
            count,
        })
    };
    list.lines().filter_map(extent).collect()
}

/// Returns what a list of subordinate ids has for a user, by name or number.
fn subordinate(list: &str, name: &str, uid: u32) -> Vec<Range> {
    let number = uid.to_string();
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let user = fields.next()?;
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        let whole = first.checked_add(count).is_some() && count > 0;
        (whole && (user == name || user == number)).then_some((first, count))
    };
    let mut ranges: Vec<Range> = Vec::new();
    for (first, count) in list.lines().filter_map(range) {
        // Listed twice, they are there once.
        let overlaps = |&(other, many): &Range| first < other + many && other < first + count;
        if !ranges.iter().any(overlaps) {
            ranges.push((first, count));
        }
    }
    ranges
}

/// Lays subordinate ids around one's own.
fn around(own: u32, ranges: &[Range]) -> Vec<Extent> {
    let mut extents = Vec::new();
    let mut inside = 0;
    for &(first, count) in ranges {
        let (mut outside, mut left) = (first, count.min(IDS - inside));
        while left > 0 {
            if inside == own {
                // The subordinate id of that number stays unused.
                (inside, outside, left) = (inside + 1, outside + 1, left - 1);
                continue;
            }
            let count = if own > inside {
                left.min(own - inside)
            } else {
                left
            };
            extents.push(Extent {
                inside,
                outside,
                count,
            });
            (inside, outside, left) = (inside + count, outside + count, left - count);
        }
    }
    extents.push(Extent {
        inside: own,
        outside: own,
        count: 1,
    });
    extents.sort_by_key(|extent| extent.inside);
    extents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(own: u32, ranges: &[Range]) -> String {
        lines(&around(own, ranges))
    }

    #[test]
    fn a_user_is_himself_and_all_others_are_subordinate() {
        assert_eq!(
            spelled(1000, &[(100_000, 65_536)]),
            "0 100000 1000\n1000 1000 1\n1001 101001 64535\n"
        );
        assert_eq!(
            spelled(1000, &[(100_000, 500), (200_000, 70_000)]),
            "0 100000 500\n500 200000 500\n1000 1000 1\n1001 200501 64535\n"
        );
        assert_eq!(
            spelled(2_000_000, &[(100_000, 65_536)]),
            "0 100000 65536\n2000000 2000000 1\n",
            "a number beyond those of images"
        );
        assert_eq!(
            spelled(1000, &[(100_000, 1000)]),
            "0 100000 1000\n1000 1000 1\n"
        );
    }

    #[test]
    fn a_tree_is_read_with_the_numbers_that_it_was_made_with() {
        let ranges = [(100_000, 65_536)];
        assert_eq!(lines(&below(1000, &ranges)), "0 1000 1\n1 100000 65535\n");
        assert_eq!(
            lines(&above((100_000, 1000), &ranges)),
            "0 100000 65536\n65536 1000 1\n"
        );
    }

    #[test]
    fn lists_name_users_by_name_or_number_and_damaged_lines_count_for_nothing() {
        let list = "me:100000:65536\nother:1:2\n1000:300000:10\nme:100000:65536\nme:x:1\nme:4294967295:9\nme:9\n";
        assert_eq!(
            subordinate(list, "me", 1000),
            [(100_000, 65_536), (300_000, 10)]
        );
    }

    #[test]
    fn root_keeps_what_its_own_namespace_has() {
        let list = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(lines(&identity(list)), "0 0 1\n1 1 65536\n");
    }
}
