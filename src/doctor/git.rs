//! The project directory and its git repository: a linked worktree keeps its data elsewhere, and a container sees only
//! what is mounted.

use std::path::{Path, PathBuf};

use crate::{session::guard, settings::Settings};

use super::finding::{Check, Finding};

/// What `.git` turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Repository {
    /// None in the project and above.
    None,
    /// `.git` is a directory in this one.
    Whole(PathBuf),
    /// `.git` is a file: a linked worktree or a submodule.
    Linked {
        /// Where the file is.
        file: PathBuf,
        /// Where the data of this worktree is.
        data: PathBuf,
        /// Where the data of all worktrees is.
        common: PathBuf,
        /// Whether both are there.
        is_there: bool,
    },
    /// `.git` is a file that names nothing.
    Unreadable(PathBuf),
}

/// Looks at the project directory.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let project = &settings.directory;
    vec![directory(settings), judge(project, &find(project))]
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

/// Finds the repository that a directory is in.
pub(super) fn find(directory: &Path) -> Repository {
    let Some(file) = directory
        .ancestors()
        .map(|directory| directory.join(".git"))
        .find(|git| fs_err::symlink_metadata(git).is_ok())
    else {
        return Repository::None;
    };
    if file.is_dir() {
        let root = file.parent().unwrap_or(directory);
        return Repository::Whole(root.to_owned());
    }
    let named = |file: &Path, prefix: &str| {
        let text = fs_err::read_to_string(file).ok()?;
        let path = text
            .trim_end_matches(['\n', '\r'])
            .strip_prefix(prefix)?
            .trim();
        Some(file.parent()?.join(path))
    };
    let Some(data) = named(&file, "gitdir:") else {
        return Repository::Unreadable(file);
    };
    let common = named(&data.join("commondir"), "").unwrap_or_else(|| data.clone());
    let is_there = data.join("HEAD").exists() && common.join("objects").is_dir();
    let real = |path: PathBuf| fs_err::canonicalize(&path).unwrap_or(path);
    Repository::Linked {
        file,
        data: real(data),
        common: real(common),
        is_there,
    }
}

/// Judges a repository.
pub(super) fn judge(project: &Path, repository: &Repository) -> Finding {
    match repository {
        Repository::None => Finding::ok(Check::Git, "the project is in no git repository"),
        Repository::Whole(root) if root == project => {
            Finding::ok(Check::Git, "a repository of its own")
        }
        Repository::Whole(root) => Finding::note(
            Check::Git,
            format!(
                "the repository begins above the project, at {}",
                root.display()
            ),
        )
        .why("git works inside only if that directory is mounted too."),
        Repository::Linked {
            data,
            common,
            is_there: false,
            ..
        } => Finding::problem(
            Check::Git,
            format!(
                "a linked worktree whose data is not at {}",
                if common.exists() {
                    data.display()
                } else {
                    common.display()
                }
            ),
            "The repository was moved or removed; git does not work here either.",
        )
        .next("git worktree repair"),
        Repository::Linked { common, .. } => Finding::note(
            Check::Git,
            format!("a linked worktree; its repository is {}", common.display()),
        )
        .why("git works inside only if that directory is mounted at the same path."),
        Repository::Unreadable(file) => Finding::problem(
            Check::Git,
            format!("{} is a file that names no repository", file.display()),
            "git does not work here.",
        )
        .next("git status"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_linked_worktree_is_followed_to_its_repository_and_a_broken_one_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(directory.path()).unwrap();
        let project = root.join("linked/below");
        fs_err::create_dir_all(&project).unwrap();
        assert_eq!(find(&project), Repository::None);

        let git = root.join("main/.git");
        let data = git.join("worktrees/linked");
        fs_err::create_dir_all(git.join("objects")).unwrap();
        fs_err::create_dir_all(&data).unwrap();
        fs_err::write(data.join("HEAD"), "ref: x\n").unwrap();
        fs_err::write(data.join("commondir"), "../..\n").unwrap();
        let file = root.join("linked/.git");
        fs_err::write(&file, "gitdir: ../main/.git/worktrees/linked\n").unwrap();
        let found = find(&project);
        assert_eq!(
            found,
            Repository::Linked {
                file: file.clone(),
                data,
                common: git.clone(),
                is_there: true,
            }
        );
        assert_eq!(judge(&project, &found).state, State::Note);

        let found = find(&root.join("main"));
        assert_eq!(found, Repository::Whole(root.join("main")));
        assert_eq!(judge(&root.join("main"), &found).state, State::Ok);
        assert_eq!(judge(&root.join("main/sub"), &found).state, State::Note);

        fs_err::remove_dir_all(&git).unwrap();
        let found = judge(&project, &find(&project));
        assert_eq!(found.next.as_deref(), Some("git worktree repair"));
        fs_err::write(&file, "nonsense").unwrap();
        assert_eq!(judge(&project, &find(&project)).state, State::Problem);
    }
}
