//! What of this machine a session sees: the project, the agent's own state, and what was asked for.
//!
//! Invariant: the same absolute path inside as outside; the home directory itself, and anything above it, is never
//! given away.

use std::{
    collections::BTreeMap,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::{
    guard,
    share::{Share, Whose},
};
use crate::{
    context::Context,
    definition::{Source, agent::AgentDefinition},
    diagnostic::Diagnostic,
    engine::docker::{Access, SessionMount},
    exit_status::ExitStatus,
    settings::Settings,
};

/// Composes the mounts, outermost first, one for each path: of two for one path the first counts. `--share` comes first,
/// so that it decides how the project and the agent's own state are seen; other shares come last and do not.
pub fn compose(
    context: &Context,
    agent: &AgentDefinition,
    shares: &[Share],
) -> Result<Vec<SessionMount>, Diagnostic> {
    let settings = &context.settings;
    let project = &settings.directory;
    check(settings, agent)?;
    let (typed, others): (Vec<&Share>, Vec<&Share>) = shares
        .iter()
        .partition(|share| *share.whose() == Whose::CommandLine);
    let mut mounts = BTreeMap::new();
    for share in typed {
        add(&mut mounts, share.mount());
    }
    add(&mut mounts, at_its_own_place(project.clone()));
    for path in agent_state(settings, agent)? {
        add(&mut mounts, at_its_own_place(path));
    }
    for share in others {
        let mut mount = share.mount();
        // Another name for what is seen already makes no more of it.
        let same = mounts.values().find(|there| is_same(there, &mount.source));
        if let Some(there) = same {
            mount.access = there.access;
        }
        add(&mut mounts, mount);
    }
    Ok(without_repetition(mounts))
}

/// Refuses what is never mounted, before anything is made for it.
pub fn check(settings: &Settings, agent: &AgentDefinition) -> Result<(), Diagnostic> {
    let project = &settings.directory;
    guard::refuse_home(settings, project, "the project")?;
    guard::refuse_own(settings, project, "the project")?;
    let what = format!("the state of agent `{}`", agent.id);
    for (path, _) in state_paths(settings, agent) {
        guard::refuse_home(settings, &path, &what)
            .and_then(|()| guard::refuse_own(settings, &path, &what))
            .and_then(|()| guard::refuse_elsewhere(settings, &path, &what))
            .map_err(|refused| {
                let hint = match &agent.source {
                    Source::Custom(directory) => {
                        format!("correct `agent_path` in {}/agent.yml", directory.display())
                    }
                    Source::BuiltIn => {
                        "set `HOME` and `AICAGE_HOME` so that neither is inside the other's files"
                            .to_owned()
                    }
                };
                refused.hint(hint.as_str())
            })?;
    }
    Ok(())
}

fn add(mounts: &mut BTreeMap<PathBuf, SessionMount>, mount: SessionMount) {
    mounts.entry(mount.target.clone()).or_insert(mount);
}

fn at_its_own_place(path: PathBuf) -> SessionMount {
    SessionMount {
        source: path.clone(),
        target: path,
        access: Access::ReadWrite,
    }
}

fn is_same(mount: &SessionMount, source: &Path) -> bool {
    guard::real(&mount.source) == source
}

/// Leaves out what is seen in the same way through the mount around it.
fn without_repetition(mounts: BTreeMap<PathBuf, SessionMount>) -> Vec<SessionMount> {
    let mut kept: Vec<SessionMount> = Vec::new();
    for mount in mounts.into_values() {
        let around = kept
            .iter()
            .rfind(|around| mount.target.starts_with(&around.target));
        let is_seen = around.is_some_and(|around| {
            let inside = mount.target.strip_prefix(&around.target);
            let seen = inside.map(|inside| guard::real(&around.source).join(inside));
            around.access == mount.access && seen.is_ok_and(|seen| is_same(&mount, &seen))
        });
        if !is_seen {
            kept.push(mount);
        }
    }
    kept
}

/// Returns the files and directories in which the agent keeps its state; they are made where they are not there.
fn agent_state(settings: &Settings, agent: &AgentDefinition) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut state = Vec::new();
    for (path, kind) in state_paths(settings, agent) {
        create(&path, kind)?;
        state.push(path);
    }
    Ok(state)
}

fn state_paths<'a>(
    settings: &'a Settings,
    agent: &'a AgentDefinition,
) -> impl Iterator<Item = (PathBuf, Kind)> + 'a {
    let paths = &agent.settings.agent_path;
    let directories = paths.directories.iter().map(|path| (path, Kind::Directory));
    let files = paths.files.iter().map(|path| (path, Kind::File));
    directories
        .chain(files)
        .map(|(path, kind)| (settings.user_path(Path::new(path)), kind))
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
