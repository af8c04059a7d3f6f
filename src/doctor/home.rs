//! `~/.aicage`: ours, writable, and not everybody's.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::container_options::text::quote;

use super::finding::{Check, Finding};

/// What there is of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) uid: u32,
    pub(super) mode: u32,
}

/// Looks at the directory and what is right below it.
pub(super) fn look(home: &Path, uid: u32) -> Vec<Finding> {
    let entry = |path: &Path| {
        let metadata = fs_err::metadata(path)?;
        Ok::<_, std::io::Error>(Entry {
            path: path.to_owned(),
            uid: metadata.uid(),
            mode: metadata.permissions().mode() & 0o7777,
        })
    };
    let own = match entry(home) {
        Ok(own) => own,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![Finding::ok(
                Check::Home,
                format!(
                    "{} is not there yet; the first run makes it",
                    home.display()
                ),
            )];
        }
        Err(error) => {
            return vec![
                Finding::problem(Check::Home, error.to_string(), "Nothing can be kept.")
                    .next(format!("ls -ld {}", quote(&home.display().to_string()))),
            ];
        }
    };
    let below: Vec<Entry> = fs_err::read_dir(home)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|found| entry(&found.path()).ok())
        .collect();
    let mut findings = judge(&own, &below, uid);
    // A mode does not tell of a file system that is read-only, nor of one without room.
    if uid == own.uid
        && let Err(error) = tempfile::NamedTempFile::new_in(home)
    {
        findings.push(
            Finding::problem(
                Check::Home,
                format!("nothing can be written to {}: {error}", home.display()),
                "Nothing can be pulled, built or remembered.",
            )
            .next(format!("df {}", quote(&home.display().to_string()))),
        );
    }
    findings
}

/// Judges who owns it and who may write to it.
pub(super) fn judge(own: &Entry, below: &[Entry], uid: u32) -> Vec<Finding> {
    let home = own.path.display();
    let foreign = std::iter::once(own)
        .chain(below)
        .find(|entry| entry.uid != uid);
    if let Some(entry) = foreign {
        return vec![
            Finding::problem(
                Check::Home,
                format!(
                    "{} belongs to user {}, not to you ({uid})",
                    entry.path.display(),
                    entry.uid
                ),
                "It was made with `sudo`, or is another user's; what cannot be written there fails.",
            )
            .next(format!("sudo chown -R {uid} {}", quote(&home.to_string()))),
        ];
    }
    let open = std::iter::once(own)
        .chain(below)
        .find(|entry| entry.mode & 0o002 != 0);
    if let Some(entry) = open {
        return vec![
            Finding::problem(
                Check::Home,
                format!("everybody may write to {}", entry.path.display()),
                "Whoever writes there decides what runs in your containers, and what is shared with them.",
            )
            .next(format!("chmod -R o-w {}", quote(&home.to_string()))),
        ];
    }
    vec![Finding::ok(
        Check::Home,
        format!("{home} is yours alone to write"),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn entry(name: &str, uid: u32, mode: u32) -> Entry {
        Entry {
            path: PathBuf::from(name),
            uid,
            mode,
        }
    }

    #[test]
    fn what_is_not_ours_or_is_everybodys_is_a_problem() {
        let own = entry("/h", 1000, 0o755);
        for (below, state, next) in [
            (entry("/h/store", 1000, 0o755), State::Ok, None),
            (
                entry("/h/store", 0, 0o755),
                State::Problem,
                Some("sudo chown -R 1000 /h"),
            ),
            (
                entry("/h/custom", 1000, 0o777),
                State::Problem,
                Some("chmod -R o-w /h"),
            ),
        ] {
            let found = judge(&own, &[below], 1000);
            assert_eq!(found[0].state, state, "{found:?}");
            assert_eq!(found[0].next.as_deref(), next);
        }
    }

    #[test]
    fn a_home_that_is_not_there_yet_is_no_problem() {
        let directory = tempfile::tempdir().unwrap();
        let found = look(&directory.path().join("none"), 0);
        assert_eq!(found[0].state, State::Ok, "{found:?}");
    }
}
