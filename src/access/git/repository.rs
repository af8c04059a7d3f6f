//! Finds the repository that a project is in, and which of its directories are outside the project.
//!
//! Invariant: a `.git` file is the project's, so that an agent can write it. What it leads to counts only if what it
//! leads to knows the project: a linked worktree is listed by its repository, a submodule's directory names its working
//! tree. As git has it, a repository of another user is none.

use std::{
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use crate::{
    session::guard::{real, tidy},
    settings::Settings,
    small_file::{self, SmallFile},
};

/// How much of a small file is read.
const LIMIT: u64 = 64 << 10;

/// The repository of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The top of the working tree.
    pub top: PathBuf,
    /// The directory of this working tree: `.git`, or what the `.git` file names.
    pub directory: PathBuf,
    /// The directory that all working trees have in common; mostly the same.
    pub common: PathBuf,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No repository.
    Nothing,
    /// A repository.
    Repository(Repository),
    /// A `.git` that leads to what is not there.
    Gone {
        /// The `.git`.
        from: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// A `.git` that leads to what does not know the project.
    Stranger {
        /// The `.git`.
        from: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
}

impl Found {
    /// Looks for the repository of the project, from the project's directory upwards.
    pub fn look(settings: &Settings) -> Self {
        let project = real(&settings.directory);
        let Ok(start) = fs_err::metadata(&project) else {
            return Self::Nothing;
        };
        for top in project.ancestors() {
            // As git has it: not beyond the file system.
            if fs_err::metadata(top).is_ok_and(|there| there.dev() != start.dev()) {
                return Self::Nothing;
            }
            let git = top.join(".git");
            let Ok(there) = fs_err::symlink_metadata(&git) else {
                continue;
            };
            let is_ours = there.uid() == settings.account.uid;
            if !is_ours && top != project {
                return Self::Nothing;
            }
            let found = if there.is_file() {
                of_file(top, &git)
            } else {
                of_directory(top, &git)
            };
            if let Some(found) = found {
                return found;
            }
        }
        Self::Nothing
    }
}

fn of_directory(top: &Path, git: &Path) -> Option<Found> {
    let directory = git.canonicalize().ok().filter(|path| is_repository(path))?;
    // Git would follow `commondir` here, too; nobody needs that who does no harm.
    let leads = directory != top.join(".git") || directory.join("commondir").exists();
    if leads {
        return Some(Found::Stranger {
            from: git.to_owned(),
            to: pointed(&directory, "commondir", "").unwrap_or(directory),
        });
    }
    Some(Found::Repository(Repository {
        top: top.to_owned(),
        common: directory.clone(),
        directory,
    }))
}

fn of_file(top: &Path, git: &Path) -> Option<Found> {
    let to = pointed(top, ".git", "gitdir: ")?;
    let Ok(directory) = to.canonicalize() else {
        return Some(Found::Gone {
            from: git.to_owned(),
            to,
        });
    };
    let stranger = || Found::Stranger {
        from: git.to_owned(),
        to: directory.clone(),
    };
    let common = if directory.join("commondir").exists() {
        of_worktree(git, &directory)
    } else {
        of_submodule(top, &directory)
    };
    let Some(common) = common else {
        return Some(stranger());
    };
    Some(Found::Repository(Repository {
        top: top.to_owned(),
        directory,
        common,
    }))
}

/// A linked worktree has its directory in the repository's `worktrees`, and is listed there.
fn of_worktree(git: &Path, directory: &Path) -> Option<PathBuf> {
    let common = pointed(directory, "commondir", "")?.canonicalize().ok()?;
    let listed = pointed(directory, "gitdir", "")?;
    let is_in = directory.parent() == Some(common.join("worktrees").as_path());
    (is_in && real(&listed) == real(git) && is_repository(&common)).then_some(common)
}

/// A submodule's directory is in its superproject's, and says where the working tree is.
fn of_submodule(top: &Path, directory: &Path) -> Option<PathBuf> {
    let is_in = directory.ancestors().any(|path| path.ends_with("modules"));
    let worktree = configured_worktree(directory)?;
    (is_in && real(&worktree) == top && is_repository(directory)).then(|| directory.to_owned())
}

/// Reads `core.worktree` as git writes it.
fn configured_worktree(directory: &Path) -> Option<PathBuf> {
    let text = small(&directory.join("config"))?;
    let text = String::from_utf8(text).ok()?;
    let mut in_core = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_core = line == "[core]";
        } else if in_core
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case("worktree")
        {
            let value = value.trim().trim_matches('"');
            return Some(tidy(&directory.join(value)));
        }
    }
    None
}

fn is_repository(directory: &Path) -> bool {
    directory.join("HEAD").symlink_metadata().is_ok() && directory.join("objects").is_dir()
}

/// Reads the path in a file of one line.
fn pointed(directory: &Path, file: &str, prefix: &str) -> Option<PathBuf> {
    let bytes = small(&directory.join(file))?;
    let path = bytes.strip_prefix(prefix.as_bytes())?;
    let end = path.iter().rposition(|byte| !b"\r\n".contains(byte))?;
    Some(directory.join(std::ffi::OsStr::from_bytes(path.get(..=end)?)))
}

fn small(path: &Path) -> Option<Vec<u8>> {
    match small_file::read(path, LIMIT) {
        Ok(SmallFile::Content(bytes)) => Some(bytes),
        Ok(SmallFile::Missing | SmallFile::TooLarge(_)) | Err(_) => None,
    }
}
