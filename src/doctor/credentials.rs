//! The programs that keep credentials, as Docker's and Podman's files name them.

use registry::{CredentialError, CredentialSources, NamedHelper};

use super::finding::{Check, Finding};

/// Looks for each program that a file names.
pub(super) fn look(sources: &CredentialSources) -> Vec<Finding> {
    judge(sources.helpers())
}

fn judge(named: Result<Vec<NamedHelper>, CredentialError>) -> Vec<Finding> {
    let named = match named {
        Ok(named) => named,
        Err(error) => {
            return vec![
                Finding::problem(
                    Check::Credentials,
                    crate::diagnostic::sentence(&error),
                    "No registry that asks who is there can be used while this file is wrong.",
                )
                .next("docker login"),
            ];
        }
    };
    if named.is_empty() {
        return vec![Finding::ok(
            Check::Credentials,
            "no file names a program that keeps credentials",
        )];
    }
    named
        .into_iter()
        .map(|helper| {
            let whose = helper
                .registry
                .as_deref()
                .map_or_else(String::new, |registry| format!(" for {registry}"));
            let file = helper.file.display();
            match helper.found {
                Some(found) => Finding::ok(
                    Check::Credentials,
                    format!("{}{whose}: {}", helper.program, found.display()),
                ),
                None => Finding::problem(
                    Check::Credentials,
                    format!(
                        "`{}`{whose}, which {file} names, is not on PATH",
                        helper.program
                    ),
                    match &helper.registry {
                        Some(registry) => {
                            format!("{registry} cannot be asked while it is named and not there.")
                        }
                        None => "A registry that wants to know who asks is asked without a name."
                            .to_owned(),
                    },
                )
                .next(format!("install it, or remove its line from {file}")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_program_that_is_named_and_not_there_is_a_problem_that_names_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        let mut sources = CredentialSources {
            files: vec![file.clone()],
            helper_path: vec![directory.path().to_owned()],
        };
        assert_eq!(look(&sources)[0].state, State::Ok, "without a file");
        fs_err::write(
            &file,
            r#"{"credsStore":"desktop","credHelpers":{"r.example":"corp"}}"#,
        )
        .unwrap();
        let program = directory.path().join("docker-credential-corp");
        fs_err::write(&program, "#!/bin/sh\n").unwrap();
        std::os::unix::fs::PermissionsExt::set_mode(
            &mut fs_err::metadata(&program).unwrap().permissions(),
            0o755,
        );
        fs_err::set_permissions(
            &program,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let found = look(&sources);
        assert_eq!(found[0].state, State::Ok, "{found:?}");
        assert!(found[0].seen.contains("for r.example"), "{found:?}");
        assert_eq!(found[1].state, State::Problem, "{found:?}");
        assert!(
            found[1].seen.contains("docker-credential-desktop")
                && found[1].seen.contains("config.json"),
            "{found:?}"
        );
        let next = found[1].next.as_deref().unwrap();
        assert!(
            next == format!("install it, or remove its line from {}", file.display()),
            "a command could take more away than that line: {next}"
        );
        sources.helper_path.clear();
        assert_eq!(look(&sources)[0].state, State::Problem);
        fs_err::write(&file, "{").unwrap();
        let found = look(&sources);
        assert!(
            found[0].seen.contains("is not a file of credentials"),
            "{found:?}"
        );
    }
}
