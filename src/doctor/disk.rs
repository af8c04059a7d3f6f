//! Room on the disks of the store and of the engine.

use std::path::Path;

use crate::{
    engine::docker::{EngineFiles, EngineInfo, Particulars},
    printer::bytes,
};

use super::finding::{Check, Finding};

/// With less than this, an image does not fit any more.
const FULL: u64 = 1_000_000_000;
/// With less than this, a few images fill it.
const SHORT: u64 = 5_000_000_000;

/// What a file system has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) free: u64,
    pub(super) total: u64,
    pub(super) free_files: u64,
    pub(super) total_files: u64,
}

/// Looks at the file system that `path` is on, or will be on when it is made.
pub(super) fn room(path: &Path) -> std::io::Result<Room> {
    let there = path
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let found = rustix::fs::statvfs(there)?;
    Ok(Room {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free_files: found.f_favail,
        total_files: found.f_files,
    })
}

/// Looks at the store's disk.
pub(super) fn store(path: &Path) -> Finding {
    let next = "aicage cache prune";
    match room(path) {
        Ok(room) => judge((Check::Disk, "the store", next), path, room),
        Err(error) => Finding::note(
            Check::Disk,
            format!("cannot tell the room at {}: {error}", path.display()),
        ),
    }
}

/// Looks at the engine's disk, where it is a disk of this machine's.
pub(super) fn engine(info: &EngineInfo, particulars: &Particulars) -> Finding {
    let root = particulars.docker_root_dir.as_deref().unwrap_or_default();
    let path = Path::new(root);
    if info.files == EngineFiles::Elsewhere || root.is_empty() {
        return Finding::skipped(Check::EngineDisk, "its files are on another machine")
            .next(format!("{} system df", info.program()));
    }
    if !path.exists() {
        return Finding::skipped(
            Check::EngineDisk,
            format!("its directory {root} is not to be seen from here"),
        )
        .next(format!("{} system df", info.program()));
    }
    let next = format!("{} system prune", info.program());
    match room(path) {
        Ok(room) => judge((Check::EngineDisk, "the engine", &next), path, room),
        Err(error) => Finding::skipped(
            Check::EngineDisk,
            format!("cannot tell the room at {root}: {error}"),
        ),
    }
}

/// Judges what is left.
pub(super) fn judge((check, whose, next): (Check, &str, &str), path: &Path, room: Room) -> Finding {
    let seen = format!(
        "{whose} has {} of {} left at {}",
        bytes(room.free),
        bytes(room.total),
        path.display()
    );
    // Some file systems have no table of files, and say 0 of 0.
    if room.total_files > 0 && room.free_files < 10_000 && room.free_files * 20 < room.total_files {
        return Finding::problem(
            check,
            format!(
                "{whose} has only {} files left at {}",
                room.free_files,
                path.display()
            ),
            "An image is tens of thousands of files; there may be room left and yet no file can be made.",
        )
        .next(next);
    }
    if room.free < FULL {
        Finding::problem(
            check,
            seen,
            "Images take 1 to 5 GB; pulling or building one ends with \"no space left on device\".",
        )
        .next(next)
    } else if room.free < SHORT {
        Finding::note(check, seen)
            .why("Images take 1 to 5 GB; a few more and it is full.")
            .next(next)
    } else {
        Finding::ok(check, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_disk_is_judged_by_what_an_image_takes_and_by_files_too() {
        let roomy = Room {
            free: 50 * SHORT,
            total: 100 * SHORT,
            free_files: 1_000_000,
            total_files: 2_000_000,
        };
        for (room, state) in [
            (roomy, State::Ok),
            (
                Room {
                    free: SHORT - 1,
                    ..roomy
                },
                State::Note,
            ),
            (
                Room {
                    free: FULL - 1,
                    ..roomy
                },
                State::Problem,
            ),
            (
                Room {
                    free_files: 9,
                    ..roomy
                },
                State::Problem,
            ),
            (
                Room {
                    free_files: 0,
                    total_files: 0,
                    ..roomy
                },
                State::Ok,
            ),
        ] {
            let found = judge(
                (Check::Disk, "the store", "aicage cache prune"),
                Path::new("/s"),
                room,
            );
            assert_eq!(found.state, state, "{found:?}");
            assert_eq!(found.next.is_some(), state != State::Ok, "{found:?}");
        }
    }

    #[test]
    fn the_room_of_a_directory_that_is_not_there_yet_is_that_of_the_one_above() {
        let directory = tempfile::tempdir().unwrap();
        let here = room(directory.path()).unwrap();
        let below = room(&directory.path().join("a/b")).unwrap();
        assert_eq!(here.total, below.total);
        assert!(here.total > 0);
    }
}
