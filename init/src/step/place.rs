//! Places in the container: where a path leads to, and the directories on the way.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use super::users::Owner;

/// As many symbolic links as are followed for one path.
const LINKS: usize = 255;
/// The mode of directories that nobody asked for.
pub(super) const DIRECTORY: u32 = 0o755;

/// What new directories are given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given {
    pub(super) owner: Option<Owner>,
    pub(super) mode: Option<u32>,
}

/// Follows all symbolic links of a path, the last one too; what is not there is taken as it is written.
pub(super) fn resolve(path: &str) -> io::Result<PathBuf> {
    // What is no link, or is not there, leads nowhere.
    resolve_in(Path::new(path), |place| fs::read_link(place).ok())
}

/// Follows all symbolic links of a path, as `link` tells of them.
pub(super) fn resolve_in(
    path: &Path,
    link: impl Fn(&Path) -> Option<PathBuf>,
) -> io::Result<PathBuf> {
    let mut done = PathBuf::from("/");
    let mut ahead: Vec<PathBuf> = components(path);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part.as_os_str() == ".." {
            done.pop();
            continue;
        }
        let place = done.join(&part);
        match link(&place) {
            Some(target) => {
                links += 1;
                if links > LINKS {
                    return Err(io::Error::from_raw_os_error(
                        rustix::io::Errno::LOOP.raw_os_error(),
                    ));
                }
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                ahead.extend(components(&target));
            }
            None => done = place,
        }
    }
    Ok(done)
}

/// The parts of a path, the first one last.
fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

/// Makes a directory and those that lead to it; returns whether there was something to make.
pub(super) fn make_directories(path: &Path, given: Given) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(false),
        Ok(_) => {
            let name = path.display();
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{name} is not a directory"),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(parent) = path.parent() {
        make_directories(parent, given)?;
    }
    fs::create_dir(path)?;
    if let Some(owner) = given.owner {
        fs::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid))?;
    }
    fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(given.mode.unwrap_or(DIRECTORY)),
    )?;
    Ok(true)
}

/// Gives a node a time of last change.
pub(super) fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Returns a node's time of last change, seconds and nanoseconds.
pub(super) fn mtime(path: &Path) -> io::Result<(i64, i64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.mtime(), metadata.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_to_the_end_and_what_is_missing_is_taken_literally() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        let at = |path: &str| top.join(path);
        fs::create_dir_all(at("real/sub")).unwrap();
        for (target, link) in [
            ("real", "one"),
            ("one/sub", "two"),
            ("../missing", "real/three"),
            ("loop", "loop"),
        ] {
            fs::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        fs::os::unix::fs::symlink(at("two"), at("absolute")).unwrap();
        let resolved = |path: &str| resolve(at(path).to_str().unwrap());
        for (path, place) in [
            ("one", "real"),
            ("two/../x", "real/x"),
            ("absolute/y/", "real/sub/y"),
            ("real/three/z", "missing/z"),
            ("no/../where", "where"),
        ] {
            assert_eq!(resolved(path).unwrap(), at(place), "{path}");
        }
        assert!(resolved("loop").is_err(), "a link to itself leads nowhere");
        assert_eq!(
            resolve("/../..").unwrap(),
            PathBuf::from("/"),
            "nothing is above the root"
        );
    }
}
