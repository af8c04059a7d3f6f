//! Ranges of user and group ids, which a rootless engine needs to give containers users of their own.

use std::path::{Path, PathBuf};

use crate::{
    engine::docker::EngineInfo,
    settings::{Account, Settings},
};

use super::finding::{Check, Finding};

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
    let uids = count(&seen.subuid, account);
    let gids = count(&seen.subgid, account);
    let short = [("/etc/subuid", uids), ("/etc/subgid", gids)]
        .into_iter()
        .find(|(_, count)| *count < ENOUGH);
    let name = &account.name;
    let severe = |seen: String, why: &str| match info {
        Some(_) => Finding::problem(Check::SubIds, seen, why),
        None => Finding::note(Check::SubIds, seen).why(why),
    };
    if let Some((file, count)) = short {
        return severe(format!("{file} gives {name} {count} ids"), WHY).next(format!(
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        ));
    }
    if let Some(program) = seen.missing.first() {
        return severe(format!("`{program}` is not installed"), WHY)
            .next("sudo apt-get install uidmap");
    }
    Finding::ok(
        Check::SubIds,
        format!("{name} has {uids} user ids and {gids} group ids"),
    )
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
            missing: Vec::new(),
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
        let missing = Seen {
            missing: vec!["newuidmap"],
            ..seen("me:1:65536\n")
        };
        check(rootless, &missing, State::Problem, "newuidmap");
    }
}
