//! Files beside the store that outlive their use: logs of steps, what killed runs left in `scratch/`, and definitions
//! that took others' place.
//!
//! `scratch/<owner>/` belongs to one process (`Owner`), which takes it away when it ends. Of a process that is gone
//! nothing is needed; what cannot be told goes after a week. Logs are bounded by age, number and size, the newest stay.
//! Of `state/bundles/` stays what a registry's name stands for and what was unpacked or used within a week; of
//! `state/certificates/` what a session was given within a month.
//!
//! Invariant: removing is best effort and never a reason to fail; what a process that lives may be using stays.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;

use crate::{
    certificates, clock, context::Context, definition_bundle, engine::docker::Owner, memory,
    settings::Settings,
};

const HOUR: Duration = Duration::from_hours(1);
/// After so long, nobody uses what we cannot tell the owner of.
const FORGOTTEN: Duration = Duration::from_hours(7 * 24);

/// After so long, no session that was given the file needs its name: what is mounted stays with whoever has it.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// How much of the logs stays.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// None that is older.
    pub age: Duration,
    /// No more than so many.
    pub number: usize,
    /// No more bytes than these.
    pub bytes: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            age: Duration::from_hours(30 * 24),
            number: 200,
            bytes: 512 << 20,
        }
    }
}

impl LogLimits {
    /// Nothing stays, but what may be being written.
    pub const NONE: Self = Self {
        age: Duration::ZERO,
        number: 0,
        bytes: 0,
    };
}

/// What a leftover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftoverKind {
    /// What a step printed.
    Log,
    /// Files of a run that is no more.
    Scratch,
    /// Definitions that were unpacked and that no name stands for any more.
    Bundle,
    /// Certificate authorities as a session was given them.
    Certificates,
}

/// A file or directory that may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// Where it is.
    pub path: PathBuf,
    /// How much room it takes.
    pub bytes: u64,
}

/// Returns the directory for this process' own files; it is made when it is needed.
pub fn scratch(settings: &Settings) -> PathBuf {
    settings.scratch().join(Owner::this_process().to_string())
}

/// Takes this process' own directory away; one that still holds something is left to the next run.
pub fn leave_scratch(settings: &Settings) {
    drop(fs::remove_dir(scratch(settings)));
}

/// Removes what may go by now; for whoever is about to make more of it.
pub fn sweep(context: &Context) {
    if let Ok(now) = clock::system(&context.now) {
        remove(find(&context.settings, now, LogLimits::default()), now);
    }
}

/// Finds what may go.
pub fn find(settings: &Settings, now: SystemTime, limits: LogLimits) -> Vec<Leftover> {
    let mut found = old_logs(&settings.logs(), now, limits);
    found.extend(dead_scratch(&settings.scratch(), now));
    found.extend(old_bundles(&settings.state(), now));
    found.extend(old_certificates(&settings.state(), now));
    found
}

/// Removes what may go, as far as the system lets us; returns what is gone. Certificates that a session was given since
/// they were found, while somebody was asked, stay.
pub fn remove(leftovers: Vec<Leftover>, now: SystemTime) -> Vec<Leftover> {
    let mut gone = leftovers;
    gone.retain(|leftover| match leftover.kind {
        LeftoverKind::Log => fs::remove_file(&leftover.path).is_ok(),
        LeftoverKind::Certificates => {
            is_unused(&leftover.path, now) && fs::remove_file(&leftover.path).is_ok()
        }
        LeftoverKind::Scratch | LeftoverKind::Bundle => remove_all(&leftover.path).is_ok(),
    });
    gone
}

/// Counts the files below a directory and their bytes.
pub fn usage(directory: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for path in list(directory) {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let (more, larger) = usage(&path);
            files += more;
            bytes += larger;
        } else {
            files += 1;
            bytes += metadata.len();
        }
    }
    (files, bytes)
}

fn old_logs(directory: &Path, now: SystemTime, limits: LogLimits) -> Vec<Leftover> {
    let mut logs: Vec<(Duration, Leftover)> = Vec::new();
    for path in list(directory) {
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_file() {
            let log = Leftover {
                kind: LeftoverKind::Log,
                path,
                bytes: metadata.len(),
            };
            logs.push((age(&metadata, now), log));
        }
    }
    logs.sort();
    let mut number = 0;
    let mut bytes = 0;
    logs.retain(|(age, log)| {
        number += 1;
        bytes += log.bytes;
        *age >= HOUR && (*age > limits.age || number > limits.number || bytes > limits.bytes)
    });
    logs.into_iter().map(|(_age, log)| log).collect()
}

fn dead_scratch(directory: &Path, now: SystemTime) -> Vec<Leftover> {
    let mut dead = Vec::new();
    for path in list(directory) {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let owner = name.and_then(Owner::parse);
        if owner.is_some_and(|owner| owner.is_gone()) || age(&metadata, now) > FORGOTTEN {
            let (_files, below) = usage(&path);
            let own = if metadata.is_file() {
                metadata.len()
            } else {
                0
            };
            dead.push(Leftover {
                kind: LeftoverKind::Scratch,
                bytes: below + own,
                path,
            });
        }
    }
    dead
}

fn old_bundles(state: &Path, now: SystemTime) -> Vec<Leftover> {
    let known: Vec<String> = memory::recall_all(state, definition_bundle::KIND)
        .into_iter()
        .filter_map(|known| known.value)
        .collect();
    let mut old = Vec::new();
    for path in list(&definition_bundle::directory(state)) {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stays = if name.starts_with(definition_bundle::UNFINISHED) {
            age(&metadata, now) <= HOUR
        } else {
            age(&metadata, now) <= FORGOTTEN || known.iter().any(|known| *known == name)
        };
        if !stays {
            let (_files, bytes) = usage(&path);
            let kind = LeftoverKind::Bundle;
            old.push(Leftover { kind, path, bytes });
        }
    }
    old
}

fn old_certificates(state: &Path, now: SystemTime) -> Vec<Leftover> {
    let files = list(&certificates::directory(state)).into_iter();
    let old = files.filter_map(|path| {
        let bytes = fs::symlink_metadata(&path).ok()?.len();
        is_unused(&path, now).then_some(Leftover {
            kind: LeftoverKind::Certificates,
            bytes,
            path,
        })
    });
    old.collect()
}

fn is_unused(certificates: &Path, now: SystemTime) -> bool {
    fs::symlink_metadata(certificates)
        .is_ok_and(|metadata| metadata.is_file() && age(&metadata, now) > UNUSED)
}

fn remove_all(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// What comes from the future is young: clocks are set back sometimes.
fn age(metadata: &std::fs::Metadata, now: SystemTime) -> Duration {
    let modified = metadata.modified().ok();
    modified
        .and_then(|modified| now.duration_since(modified).ok())
        .unwrap_or_default()
}

fn list(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn file(directory: &Path, name: &str, age: Duration, bytes: usize) {
        fs::create_dir_all(directory).unwrap();
        let path = directory.join(name);
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(now() - age).unwrap();
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + 20_000 * DAY
    }

    #[track_caller]
    fn check(limits: LogLimits, expected: &[&str]) {
        let home = tempfile::tempdir().unwrap();
        file(home.path(), "now.log", Duration::ZERO, 40);
        file(home.path(), "day.log", DAY, 30);
        file(home.path(), "week.log", 7 * DAY, 20);
        file(home.path(), "year.log", 365 * DAY, 10);
        file(home.path(), "year.txt", 365 * DAY, 10);
        let found = old_logs(home.path(), now(), limits);
        let names: Vec<_> = found
            .iter()
            .map(|log| log.path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, expected);
        assert_eq!(remove(found.clone(), now()), found);
        assert!(
            home.path().join("now.log").exists(),
            "it may be being written"
        );
    }

    #[test]
    fn logs_are_bounded_by_age_by_number_and_by_size() {
        check(LogLimits::default(), &["year.log"]);
        let number = LogLimits {
            number: 2,
            ..LogLimits::default()
        };
        check(number, &["week.log", "year.log"]);
        let bytes = LogLimits {
            bytes: 80,
            ..LogLimits::default()
        };
        check(bytes, &["week.log", "year.log"]);
        check(LogLimits::NONE, &["day.log", "week.log", "year.log"]);
    }

    #[test]
    fn definitions_that_no_name_stands_for_go_after_a_week_and_halves_after_an_hour() {
        let state = tempfile::tempdir().unwrap();
        let bundles = definition_bundle::directory(state.path());
        let ages = [
            ("known", 30 * DAY),
            ("old", 8 * DAY),
            ("young", 6 * DAY),
            (".new-old", 2 * HOUR),
            (".new-young", HOUR / 2),
        ];
        for (name, age) in ages {
            let directory = bundles.join(name);
            file(&directory, "agent.yml", Duration::ZERO, 10);
            let directory = fs::File::open(directory).unwrap();
            directory.set_modified(now() - age).unwrap();
        }
        let known = memory::Remembered::new(Some("known".to_owned()), "2026-01-01T00:00:00Z");
        memory::remember(
            state.path(),
            definition_bundle::KIND,
            "ghcr.io/o/n:1",
            &known,
        )
        .unwrap();
        let found = old_bundles(state.path(), now());
        let names: Vec<_> = found
            .iter()
            .map(|found| found.path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, [".new-old", "old"]);
        assert!(found.iter().all(|found| found.bytes == 10), "{found:?}");
        assert_eq!(remove(found, now()).len(), 2);
        assert!(bundles.join("known").exists() && !bundles.join("old").exists());
    }

    #[test]
    fn authorities_that_no_session_was_given_for_a_month_go() {
        let state = tempfile::tempdir().unwrap();
        let directory = certificates::directory(state.path());
        file(&directory, "old.pem", 31 * DAY, 10);
        file(&directory, "young.pem", 29 * DAY, 10);
        file(&directory, "again.pem", 31 * DAY, 10);
        let mut found = old_certificates(state.path(), now());
        // Between looking and removing, a session is given one of them.
        file(&directory, "again.pem", Duration::ZERO, 10);
        let gone = remove(found.clone(), now());
        found.retain(|one| !one.path.ends_with("again.pem"));
        assert_eq!(gone, found);
        assert!(directory.join("again.pem").exists());
        assert!(directory.join("young.pem").exists() && !directory.join("old.pem").exists());
        assert_eq!(found[0].bytes, 10);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn scratch_of_the_dead_goes_and_of_the_living_stays() {
        let home = tempfile::tempdir().unwrap();
        let ours = Owner::this_process().to_string();
        let (before, start) = ours.rsplit_once('-').unwrap();
        let dead = format!("{before}-{}", start.parse::<u64>().unwrap() + 1);
        let elsewhere = "ffffffff-1-1-1";
        for name in [&ours, &dead, elsewhere] {
            file(&home.path().join(name), "a", Duration::ZERO, 10);
        }
        file(home.path(), "old", 30 * DAY, 5);
        file(home.path(), "young", DAY, 5);
        let found = dead_scratch(home.path(), now());
        let mut names: Vec<_> = found
            .iter()
            .map(|found| {
                (
                    found.path.file_name().unwrap().to_str().unwrap(),
                    found.bytes,
                )
            })
            .collect();
        names.sort_unstable();
        let mut expected = vec![(dead.as_str(), 10), ("old", 5)];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(remove(found, now()).len(), 2);
        assert!(home.path().join(&ours).exists() && !home.path().join(&dead).exists());
    }
}
