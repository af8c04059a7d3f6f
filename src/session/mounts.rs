//! What of this machine a session sees: the project, the agent's own state, and what was asked for.
//!
//! Invariant: the same absolute path inside as outside; the home directory itself, and anything above it, is never
//! given away.

use std::{
    collections::BTreeMap,
    os::unix::fs::DirBuilderExt as _,
    path::{Component, Path, PathBuf},
};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use crate::{
    context::Context,
    definition::agent::AgentDefinition,
    diagnostic::Diagnostic,
    engine::docker::{Access, SessionMount},
    exit_status::ExitStatus,
    settings::Settings,
};

/// Composes the mounts, outermost first, one for each path.
pub fn compose(
    context: &Context,
    agent: &AgentDefinition,
    shares: &[String],
) -> Result<Vec<SessionMount>, Diagnostic> {
    let settings = &context.settings;
    let home = &settings.user_home;
    let mut mounts: BTreeMap<PathBuf, (PathBuf, Access)> = BTreeMap::new();
    let project = &settings.directory;
    refuse_home(home, project, "the project")?;
    refuse_own(settings, project, "the project")?;
    mounts.insert(project.clone(), (project.clone(), Access::ReadWrite));
    for share in shares {
        let (path, access) = match share.strip_suffix(":ro") {
            Some(path) => (path, Access::ReadOnly),
            None => (share.as_str(), Access::ReadWrite),
        };
        let path = settings.user_path(Path::new(path));
        if !path.exists() {
            return Err(Diagnostic::new(
                "share-missing",
                ExitStatus::Usage,
                format!("cannot share {}: there is nothing", path.display()),
            )
            .hint("`--share` takes a file or directory that exists, and `:ro` after it"));
        }
        refuse_home(home, &path, "a share")?;
        refuse_own(settings, &path, "a share")?;
        mounts.insert(path.clone(), (path, access));
    }
    let paths = &agent.settings.agent_path;
    for (path, kind) in paths
        .directories
        .iter()
        .map(|path| (path, Kind::Directory))
        .chain(paths.files.iter().map(|path| (path, Kind::File)))
    {
        let path = settings.user_path(Path::new(path));
        refuse_home(home, &path, "the agent's state")?;
        create(&path, kind)?;
        // A share that names the agent's own state decides how it is seen.
        mounts
            .entry(path.clone())
            .or_insert((path, Access::ReadWrite));
    }
    Ok(mounts
        .into_iter()
        .map(|(target, (source, access))| SessionMount {
            source,
            target,
            access,
        })
        .collect())
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Directory,
}

fn create(path: &Path, kind: Kind) -> Result<(), Diagnostic> {
    let make = || -> std::io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        match kind {
            Kind::Directory => private_directory(path),
            Kind::File => {
                if let Some(parent) = path.parent() {
                    private_directory(parent)?;
                }
                fs_err::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o600)
                    .open(path)
                    .map(drop)
            }
        }
    };
    make().map_err(|error| {
        Diagnostic::new(
            "agent-state",
            ExitStatus::Failed,
            format!(
                "cannot make {}, where the agent keeps its state",
                path.display()
            ),
        )
        .caused_by(Some(&error))
    })
}

/// Agents keep tokens there.
fn private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Refuses what would give the agent aicage's own files: the store, tokens, the configuration.
fn refuse_own(settings: &Settings, path: &Path, what: &str) -> Result<(), Diagnostic> {
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

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_missing| tidy(path))
}

fn refuse_home(home: &Path, path: &Path, what: &str) -> Result<(), Diagnostic> {
    if !real(home).starts_with(real(path)) {
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

fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}
