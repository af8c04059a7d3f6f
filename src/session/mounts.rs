//! What of this machine a session sees: the project, the agent's own state, and what was asked for.
//!
//! Invariant: the same absolute path inside as outside; the home directory itself, and anything above it, is never
//! given away.

use std::{
    collections::BTreeMap,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{
    guard,
    share::{Share, Whose},
};
use crate::{
    access::Given,
    context::Context,
    definition::{Source, agent::AgentDefinition},
    diagnostic::Diagnostic,
    engine::session::{Access, SessionMount},
    exit_status::ExitStatus,
    printer::printable,
    settings::Settings,
    whole_file::{self, WholeFileError},
};

/// Composes the mounts, outermost first, one for each path: of two for one path the first counts. `--share` comes first,
/// so that it decides how the project and the agent's own state are seen; other shares come last and do not. At
/// `laid_over` container options mount something of their own.
pub fn compose(
    context: &Context,
    agent: &AgentDefinition,
    (shares, given, laid_over): (&[Share], &Given, &[&Path]),
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
    for path in agent_state(context, agent)? {
        // Of a link, what it leads to is seen under its own name, too: programs write that name down.
        let real = guard::real(&path);
        add(&mut mounts, at_its_own_place(path));
        add(&mut mounts, at_its_own_place(real));
    }
    for mount in &given.mounts {
        add(&mut mounts, mount.clone());
    }
    for mount in &given.withheld {
        let shared = others.iter().map(|share| share.mount().target);
        let is_seen = |path: &Path| mount.target.starts_with(path);
        // What is not seen anyway is not to be seen for being read only.
        if mounts.keys().any(|path| is_seen(path))
            || shared.into_iter().any(|path| is_seen(&path))
            || laid_over.iter().any(|path| is_seen(path))
        {
            add(&mut mounts, mount.clone());
        }
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
    let mounts = without_repetition(mounts);
    check_text(&mounts)?;
    Ok(mounts)
}

/// Refuses paths that no engine can be told: its interface takes only Unicode.
fn check_text(mounts: &[SessionMount]) -> Result<(), Diagnostic> {
    let paths = mounts
        .iter()
        .flat_map(|mount| [&mount.source, &mount.target]);
    let Some(path) = paths.into_iter().find(|path| path.to_str().is_none()) else {
        return Ok(());
    };
    Err(Diagnostic::new(
        "path-encoding",
        ExitStatus::Usage,
        format!(
            "{} cannot be mounted: its name is not UTF-8 text, and engines take nothing else",
            printable(&path.display().to_string())
        ),
    )
    .hint("give it another name; `mv` with a pattern such as `caf*` finds it"))
}

/// Refuses what is never mounted, before anything is made for it.
pub fn check(settings: &Settings, agent: &AgentDefinition) -> Result<(), Diagnostic> {
    let project = &settings.directory;
    if !project.is_dir() {
        return Err(Diagnostic::new(
            "project-gone",
            ExitStatus::Usage,
            format!("the project {} is not there any more", project.display()),
        )
        .hint("change to a directory that exists"));
    }
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
        source: guard::real(&path),
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
fn agent_state(context: &Context, agent: &AgentDefinition) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut state = Vec::new();
    for (path, kind) in state_paths(&context.settings, agent) {
        if !context.is_dry() {
            create(agent, &path, kind)?;
        }
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

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
        }
    }
}

fn create(agent: &AgentDefinition, path: &Path, kind: Kind) -> Result<(), Diagnostic> {
    made(path, kind).map_err(|cause| {
        let (id, what) = (&agent.id, kind.name());
        let what = match &agent.source {
            Source::BuiltIn => format!("make it {what} of yours"),
            Source::Custom(directory) => format!(
                "make it {what} of yours, or correct `agent_path` in {}/agent.yml",
                directory.display()
            ),
        };
        let message = format!(
            "cannot make {}, where agent `{id}` keeps its state",
            path.display()
        );
        let hint = format!("`ls -ld` shows what is there, and whose it is; {what}");
        Diagnostic::new("agent-state", ExitStatus::Failed, message)
            .caused_by(Some(&cause))
            .hint(hint.as_str())
    })
}

fn made(path: &Path, kind: Kind) -> Result<(), WholeFileError> {
    let failed = |source| WholeFileError::Write {
        path: path.to_owned(),
        source,
    };
    if is_made(path, kind).map_err(failed)? {
        return Ok(());
    }
    match (kind, path.parent()) {
        (Kind::File, Some(parent)) => {
            private_directory(parent).map_err(failed)?;
            let lock = whole_file::lock(parent)?;
            // Another first start may have been here while we waited.
            if is_made(path, kind).map_err(failed)? {
                return Ok(());
            }
            whole_file::replace(&lock, path, empty(path).as_bytes())
        }
        (Kind::Directory | Kind::File, _) => private_directory(path).map_err(failed),
    }
}

/// Tells whether it is there; what has its place and is something else is an error.
fn is_made(path: &Path, kind: Kind) -> std::io::Result<bool> {
    if let Ok(there) = fs_err::metadata(path) {
        return match (kind, there.is_dir()) {
            (Kind::File, true) => Err(std::io::ErrorKind::IsADirectory.into()),
            (Kind::Directory, false) => Err(std::io::ErrorKind::NotADirectory.into()),
            (Kind::File, false) | (Kind::Directory, true) => Ok(true),
        };
    }
    if fs_err::symlink_metadata(path).is_ok() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "it is a symbolic link that leads nowhere",
        ));
    }
    Ok(false)
}

/// What a new file holds: an agent that finds an empty one may take it for a damaged one.
fn empty(path: &Path) -> &'static str {
    match path.extension() {
        Some(extension) if extension == "json" => "{}\n",
        Some(_) | None => "",
    }
}

/// Agents keep tokens there.
fn private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}
