//! What the Python program left in the home: what of it is read, and what may go.

use std::path::{Path, PathBuf};

use crate::settings::Settings;

use super::finding::{Check, Finding};

/// What is looked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Files that are read as they are.
    pub(super) read: Vec<PathBuf>,
    /// Files that nobody reads any more.
    pub(super) idle: Vec<PathBuf>,
    /// Other programs of our name on `PATH`, the one that a shell takes first.
    pub(super) programs: Vec<PathBuf>,
}

/// Looks in the home and on `PATH`.
pub(super) fn look(settings: &Settings, own: Option<&Path>) -> Vec<Finding> {
    let home = &settings.home;
    let roots = settings.custom_roots();
    let there = |paths: &[PathBuf]| -> Vec<PathBuf> {
        paths.iter().filter(|path| path.exists()).cloned().collect()
    };
    let path = settings.environment.path.as_deref().unwrap_or_default();
    let programs: Vec<PathBuf> = std::env::split_paths(path)
        .map(|directory| directory.join("aicage"))
        .filter(|program| program.is_file())
        .collect();
    let seen = Seen {
        read: there(&[
            home.join("config/global.yml"),
            home.join("config/trees"),
            roots.older,
        ]),
        idle: there(&[
            home.join("state/agent/version-check"),
            home.join("state/base-image"),
            home.join("state/image"),
            home.join("logs/image"),
            home.join("logs/base-image"),
            home.join("logs/aicage.log"),
        ]),
        programs,
    };
    judge(&seen, own)
}

fn judge(seen: &Seen, own: Option<&Path>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let list = |paths: &[PathBuf]| -> String {
        let names: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        names.join(", ")
    };
    let real = |path: &Path| fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let own = own.map(real);
    let others: Vec<PathBuf> = seen
        .programs
        .iter()
        .filter(|program| own.as_ref().is_some_and(|own| real(program) != *own))
        .cloned()
        .collect();
    if let (Some(first), Some(own)) = (others.first(), &own) {
        let is_first = seen.programs.first() == Some(first);
        let next = if first.to_string_lossy().contains(".local") {
            "pipx uninstall aicage".to_owned()
        } else {
            format!("rm {}", first.display())
        };
        let seen = format!(
            "there is another aicage at {}; this is {}",
            first.display(),
            own.display()
        );
        findings.push(if is_first {
            Finding::problem(
                Check::OlderProgram,
                seen,
                "A shell that is told `aicage` starts the other one.",
            )
            .next(next)
        } else {
            Finding::note(Check::OlderProgram, seen).next(next)
        });
    }
    if !seen.read.is_empty() {
        findings.push(Finding::ok(
            Check::OlderProgram,
            format!(
                "of the Python program's, read as they are: {}",
                list(&seen.read)
            ),
        ));
    }
    if let Some(first) = seen.idle.first() {
        let all: Vec<String> = seen
            .idle
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        findings.push(
            Finding::note(
                Check::OlderProgram,
                format!(
                    "of the Python program's, no longer read: {}",
                    list(&seen.idle)
                ),
            )
            .why(format!("They may go; {} is not ours.", first.display()))
            .next(format!("rm -r {}", all.join(" "))),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            Check::OlderProgram,
            "nothing is left of the Python program",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn another_program_that_a_shell_would_start_is_a_problem() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(directory.path()).unwrap();
        let (own, other) = (root.join("own/aicage"), root.join("other/aicage"));
        for program in [&own, &other] {
            fs_err::create_dir_all(program.parent().unwrap()).unwrap();
            fs_err::write(program, "").unwrap();
        }
        let seen = |programs: &[&PathBuf]| Seen {
            programs: programs.iter().map(|path| (*path).clone()).collect(),
            ..Seen::default()
        };
        assert_eq!(judge(&seen(&[&own]), Some(&own))[0].state, State::Ok);
        assert_eq!(
            judge(&seen(&[&own, &other]), Some(&own))[0].state,
            State::Note
        );
        assert_eq!(
            judge(&seen(&[&other, &own]), Some(&own))[0].state,
            State::Problem
        );
    }

    #[test]
    fn what_is_read_is_told_apart_from_what_may_go() {
        let seen = Seen {
            read: vec!["/h/config/global.yml".into()],
            idle: vec!["/h/state/image".into()],
            programs: Vec::new(),
        };
        let found = judge(&seen, None);
        assert_eq!(found[0].state, State::Ok);
        assert_eq!(found[1].next.as_deref(), Some("rm -r /h/state/image"));
    }
}
