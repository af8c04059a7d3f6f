//! What is never given away: the home directory, anything above it, and aicage's own files.
//!
//! Invariant: what counts is where a path really is, not what it is called.

use std::path::{Component, Path, PathBuf};

use crate::{diagnostic::Diagnostic, exit_status::ExitStatus, settings::Settings};

/// Refuses what would give the agent all of the home directory; `what` says whose path it is.
pub fn refuse_home(settings: &Settings, path: &Path, what: &str) -> Result<(), Diagnostic> {
    if !real(&settings.user_home).starts_with(real(path)) {
        return Ok(());
    }
    Err(Diagnostic::new(
        "home-exposed",
        ExitStatus::Refused,
        format!(
            "{what} is {}, which would give the agent all of your home directory",
            path.display()
        ),
    )
    .hint("start it in a directory below your home directory, one for each project"))
}

/// Refuses what would give the agent aicage's own files: the store, tokens, the configuration.
pub fn refuse_own(settings: &Settings, path: &Path, what: &str) -> Result<(), Diagnostic> {
    let own = real(&settings.home);
    let path = real(path);
    if !own.starts_with(&path) && !path.starts_with(&own) {
        return Ok(());
    }
    Err(Diagnostic::new(
        "own-files-exposed",
        ExitStatus::Refused,
        format!(
            "{what} is {}, where aicage keeps its own files",
            path.display()
        ),
    )
    .hint("choose another directory; `AICAGE_HOME` says where aicage keeps its own"))
}

/// Directories that every image has as its own; what is below most of them may be mounted.
const OF_IMAGES: [&str; 15] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/opt",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/local",
    "/var",
];

/// Refuses what would be seen in place of what the image itself needs.
pub fn refuse_system(path: &Path, what: &str) -> Result<(), Diagnostic> {
    let path = tidy(path);
    let whole = OF_IMAGES.iter().any(|of_image| Path::new(of_image) == path);
    let kernels = ["/proc", "/sys"];
    if !whole
        && !kernels.iter().any(|kernels| path.starts_with(kernels))
        && !path.starts_with("/opt/aicage")
    {
        return Ok(());
    }
    Err(Diagnostic::new(
        "system-path",
        ExitStatus::Refused,
        format!(
            "{what} is {}, and would take the place of the image's own",
            path.display()
        ),
    )
    .hint("share a directory below it, or what you need of it from another place"))
}

/// Refuses an agent's state elsewhere than in the home directory.
pub fn refuse_elsewhere(settings: &Settings, path: &Path, what: &str) -> Result<(), Diagnostic> {
    let home = &settings.user_home;
    if tidy(path).starts_with(tidy(home)) || real(path).starts_with(real(home)) {
        return Ok(());
    }
    Err(Diagnostic::new(
        "outside-home",
        ExitStatus::Refused,
        format!(
            "{what} is {}, which is not in your home directory",
            path.display()
        ),
    ))
}

/// Returns where a path really is; of what is not there, where it would be made: engines take a `..` behind a name that is
/// not there for a step back, and make the rest.
pub fn real(path: &Path) -> PathBuf {
    let found = path
        .ancestors()
        .find_map(|there| Some((there.canonicalize().ok()?, path.strip_prefix(there).ok()?)));
    let Some((mut real, rest)) = found else {
        return tidy(path);
    };
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            Component::Normal(name) => real.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    if climbs(rest) {
        // Behind the steps back something may be there again, and be a link.
        self::real(&real)
    } else {
        real
    }
}

/// Tells whether a path has a `..`, which means one thing to who follows links and another to who does not.
pub fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// Returns a path without what says nothing in it.
pub fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_way_back_from_what_is_not_there_leads_to_what_is() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        fs_err::create_dir_all(top.join("home/project")).unwrap();
        symlink("home/project", top.join("link")).unwrap();
        for (path, place) in [
            ("home/nope/..", "home"),
            ("home/nope/../..", ""),
            ("home/nope/../nope/../project", "home/project"),
            ("nope/../link/new", "home/project/new"),
            ("link/..", "home"),
            ("link/new/../../..", ""),
            ("home/./new/file", "home/new/file"),
        ] {
            let expected: PathBuf = top.join(place).components().collect();
            assert_eq!(real(&top.join(path)), expected, "{path}");
        }
    }
}
