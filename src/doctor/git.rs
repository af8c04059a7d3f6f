//! The project directory and its git repository: what of it is outside the project a container sees only if it is mounted.

use std::path::Path;

use crate::{
    access::git::{Found, Repository},
    session::guard,
    settings::Settings,
};

use super::finding::{Check, Finding};

/// Looks at the project directory.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    vec![directory(settings), judge(settings, &Found::look(settings))]
}

fn directory(settings: &Settings) -> Finding {
    let project = &settings.directory;
    if let Err(refused) = guard::refuse_home(settings, project, "the project")
        .and_then(|()| guard::refuse_own(settings, project, "the project"))
    {
        return Finding::problem(
            Check::Directory,
            refused.sentence(),
            "An agent is never given the home directory or what is above it.",
        )
        .next("cd PROJECT");
    }
    Finding::ok(Check::Directory, project.display().to_string())
}

/// Judges what a start finds.
fn judge(settings: &Settings, found: &Found) -> Finding {
    match found {
        Found::Nothing => Finding::ok(Check::Git, "the project is in no git repository"),
        Found::Gone { from, to } => Finding::problem(
            Check::Git,
            format!("{} leads to {}, which is not there", from.display(), to.display()),
            "The repository was moved or removed; git does not work here either.",
        )
        .next(repair(to)),
        Found::Stranger { from, to } => Finding::problem(
            Check::Git,
            format!(
                "{} leads to {}, which does not know this project",
                from.display(),
                to.display()
            ),
            "It is not mounted, so that no agent can lead a session to another's files; git does not work inside.",
        )
        .next(repair(to)),
        Found::Repository(repository) => of_repository(settings, repository),
    }
}

/// Git itself mends both; a submodule's data is in the `modules` of its superproject.
fn repair(to: &Path) -> &'static str {
    if to.components().any(|part| part.as_os_str() == "modules") {
        "git submodule update --init"
    } else {
        "git worktree repair"
    }
}

fn of_repository(settings: &Settings, repository: &Repository) -> Finding {
    let project = guard::real(&settings.directory);
    let Repository {
        top,
        directory,
        common,
    } = repository;
    let outside = || {
        [top, common]
            .into_iter()
            .filter(|path| !path.starts_with(&project))
    };
    let seen = if directory != common {
        format!("a linked worktree; its repository is {}", common.display())
    } else if !common.starts_with(top) {
        format!("a submodule; its repository is {}", common.display())
    } else if *top != project {
        format!(
            "the repository begins above the project, at {}",
            top.display()
        )
    } else {
        "a repository of its own".to_owned()
    };
    if outside().next().is_none() {
        return Finding::ok(Check::Git, seen);
    }
    let refused = outside().find_map(|path| {
        let what = "the repository of this project";
        guard::refuse_home(settings, path, what)
            .and_then(|()| guard::refuse_own(settings, path, what))
            .err()
    });
    if let Some(refused) = refused {
        return Finding::note(Check::Git, format!("{seen}: {}", refused.sentence()))
            .why("Without it git finds no repository inside; start the agent in a repository of its own.");
    }
    Finding::note(Check::Git, seen)
        .why(
            "Inside it is seen read only, unless you decided otherwise: git reads it, and `git commit` does not write to it.",
        )
        .next("aicage --allow gitroot AGENT")
}
