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

/// Returns where a path really is; of what is not there, where it would be made.
pub fn real(path: &Path) -> PathBuf {
    path.ancestors()
        .find_map(|there| {
            let rest = path.strip_prefix(there).ok()?;
            Some(tidy(&there.canonicalize().ok()?.join(rest)))
        })
        .unwrap_or_else(|| tidy(path))
}

/// Returns a path without what says nothing in it.
pub fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}
