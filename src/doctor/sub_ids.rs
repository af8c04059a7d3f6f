//! Ranges of user and group ids, which a rootless engine needs to give containers users of their own.

use std::path::{Path, PathBuf};

use crate::{
    engine::docker::EngineInfo,
    settings::{Account, Settings},
};

use super::{
    distribution::Distribution,
    finding::{Check, Finding},
};

const WHY: &str = "Without them a rootless engine has one user for everything: images with users of their own cannot \
                   be unpacked, and `apt` fails.";
/// What an image's users take; distributions give 65536.
const ENOUGH: u64 = 65_536;

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) subuid: String,
    pub(super) subgid: String,
    pub(super) missing: Vec<&'static str>,
    pub(super) system: Distribution,
}

/// Looks, if the engine is rootless or if there is none yet.
pub(super) fn look(settings: &Settings, info: Option<&EngineInfo>) -> Finding {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let path = settings.environment.path.as_deref().unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(path)
        .chain(["/usr/bin".into(), "/usr/sbin".into()])
        .collect();
    let there = |name: &str| {
        directories
            .iter()
            .any(|one| Path::new(one).join(name).is_file())
    };
    let seen = Seen {
        subuid: read("/etc/subuid"),
        subgid: read("/etc/subgid"),
        missing: ["newuidmap", "newgidmap"]
            .into_iter()
            .filter(|name| !there(name))
            .collect(),
        system: Distribution::here(),
    };
    judge(&settings.account, info, &seen)
}

/// Judges what there is for the engine that is used.
pub(super) fn judge(account: &Account, info: Option<&EngineInfo>, seen: &Seen) -> Finding {
    if cfg!(not(target_os = "linux")) {
        return Finding::skipped(Check::SubIds, "only Linux has them");
    }
    if info.is_some_and(|info| !info.is_rootless()) {
        return Finding::skipped(Check::SubIds, "the engine is not rootless");
    }
    if account.uid == 0 {
        return Finding::skipped(Check::SubIds, "you are root");
    }
    let name = &account.name;
    if let Some(finding) = lacking(account, seen) {
        return match info {
            Some(_) => Finding::problem(Check::SubIds, finding.seen, WHY),
            None => Finding::note(Check::SubIds, finding.seen).why(WHY),
        }
        .next(finding.next.unwrap_or_default());
    }
    if let Some(program) = seen.missing.first() {
        let what = format!("`{program}` is not installed");
        return match info {
            Some(_) => Finding::problem(Check::SubIds, what, WHY),
            None => Finding::note(Check::SubIds, what).why(WHY),
        }
        .next(seen.system.id_tools());
    }
    let (uids, gids) = (count(&seen.subuid, account), count(&seen.subgid, account));
    Finding::ok(
        Check::SubIds,
        format!("{name} has {uids} user ids and {gids} group ids"),
    )
}

/// Says which ids an account lacks to be many users by itself.
pub(super) fn short(account: &Account) -> Option<Finding> {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let seen = Seen {
        subuid: read("/etc/subuid"),
        subgid: read("/etc/subgid"),
        ..Seen::default()
    };
    lacking(account, &seen).filter(|_| account.uid != 0)
}

fn lacking(account: &Account, seen: &Seen) -> Option<Finding> {
    let name = &account.name;
    let uids = count(&seen.subuid, account);
    let gids = count(&seen.subgid, account);
    let listed = [("/etc/subuid", uids), ("/etc/subgid", gids)];
    let (file, count) = listed.into_iter().find(|(_, count)| *count < ENOUGH)?;
    let why = "Files of an image belong to users of its own, and each of them needs an id here.";
    let finding = Finding::problem(
        Check::Native,
        format!("{file} gives {name} {count} ids, and 65536 are needed"),
        why,
    );
    let first = free(&seen.subuid).max(free(&seen.subgid));
    let last = first + ENOUGH - 1;
    Some(finding.next(format!(
        "sudo usermod --add-subuids {first}-{last} --add-subgids {first}-{last} {name}"
    )))
}

/// Returns the first id behind all that are given to anybody.
fn free(file: &str) -> u64 {
    let behind = |line: &str| {
        let mut numbers = line.trim().split(':').skip(1).map(str::parse::<u64>);
        let (first, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        first.checked_add(count)
    };
    // Below are the users of the machine itself.
    file.lines().filter_map(behind).fold(100_000, u64::max)
}

/// Adds up the ranges of an account, listed by name or number.
fn count(file: &str, account: &Account) -> u64 {
    let uid = account.uid.to_string();
    file.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let number: u64 = fields.nth(1)?.parse().ok()?;
            (owner == account.name || owner == uid).then_some(number)
        })
        .fold(0, u64::saturating_add)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::doctor::{finding::State, tests::engine_info};
    use crate::engine::docker::EngineUsers;

    #[track_caller]
    fn check(users: Option<EngineUsers>, seen: &Seen, state: State, words: &str) {
        let account = Account {
            uid: 1000,
            gid: 1000,
            name: "me".to_owned(),
            home: None,
        };
        let info = users.map(|users| EngineInfo {
            users,
            ..engine_info()
        });
        let found = judge(&account, info.as_ref(), seen);
        assert_eq!(found.state, state, "{found:?}");
        assert!(found.seen.contains(words), "{found:?}");
    }

    #[test]
    fn only_a_rootless_engine_needs_ids_and_then_enough_of_them() {
        let seen = |subuid: &str| Seen {
            subuid: subuid.to_owned(),
            subgid: "me:1:65536\n".to_owned(),
            ..Seen::default()
        };
        let rootless = Some(EngineUsers::Rootless);
        check(
            Some(EngineUsers::Same),
            &seen(""),
            State::Skipped,
            "not rootless",
        );
        check(
            rootless,
            &seen("me:100000:65536\n"),
            State::Ok,
            "65536 user ids",
        );
        check(
            rootless,
            &seen("1000:1:65000\nme:1:536\n"),
            State::Ok,
            "65536",
        );
        check(
            rootless,
            &seen("you:1:65536\n"),
            State::Problem,
            "/etc/subuid gives me 0",
        );
        check(
            rootless,
            &seen("me:1:many\n#me:1:9\n"),
            State::Problem,
            "0 ids",
        );
        check(None, &seen(""), State::Note, "0 ids");
        let others = Seen {
            subuid: "you:100000:65536\nthem:165536:65536\n".to_owned(),
            ..Seen::default()
        };
        let account = Account {
            uid: 1000,
            gid: 1000,
            name: "me".to_owned(),
            home: None,
        };
        let next = lacking(&account, &others).unwrap().next.unwrap();
        assert_eq!(
            next, "sudo usermod --add-subuids 231072-296607 --add-subgids 231072-296607 me",
            "nobody else's ids are given"
        );
        let missing = Seen {
            missing: vec!["newuidmap"],
            ..seen("me:1:65536\n")
        };
        check(rootless, &missing, State::Problem, "newuidmap");
    }
}
