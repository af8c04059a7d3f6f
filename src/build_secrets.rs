//! Secrets for `RUN --mount=type=secret`, as they are given on the command line: `--secret`, as `docker build` has it.
//!
//! Invariant: they are for one run of the program. Nothing remembers them, and no content is in any file of ours.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use assembler::{
    dockerfile::{SecretFile, SecretSource},
    instruction::Secret,
};

use crate::{
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    settings::{Environment, Settings},
};

/// One `--secret`, not yet looked for.
#[derive(Clone, Debug)]
pub struct SecretOption {
    id: String,
    from: Place,
    /// The file, once it was looked for: all that ask for it share what was read, because a pipe is read only once.
    file: Arc<OnceLock<SecretFile>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Variable(String),
    /// A variable that is called like it, or else such a file.
    SameName,
}

impl FromStr for SecretOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
        for field in text.split(',') {
            let (key, value) = field
                .split_once('=')
                .filter(|(_, value)| !value.is_empty())
                .ok_or_else(|| format!("`{field}` has no value; write `id=ID,src=FILE`"))?;
            match key.to_ascii_lowercase().as_str() {
                "id" => id = Some(value.to_owned()),
                "src" | "source" => file = Some(value.to_owned()),
                "env" => variable = Some(value.to_owned()),
                "type" if ["file", "env"].contains(&value) => kind = Some(value.to_owned()),
                "type" => return Err(format!("`{value}` is neither `file` nor `env`")),
                _ => {
                    return Err(format!(
                        "`{key}` is not known; write `id`, `src`, `env` or `type`"
                    ));
                }
            }
        }
        let id = id.ok_or("`id=` is missing: the name that the Dockerfile asks for")?;
        let from = match (file, variable, kind.as_deref()) {
            (Some(_), Some(_), _) => {
                return Err("it has `src` and `env`, of which one counts".to_owned());
            }
            (Some(name), None, Some("env")) | (None, Some(name), _) => Place::Variable(name),
            (Some(name), None, _) => Place::File(name.into()),
            (None, None, Some("env")) => Place::Variable(id.clone()),
            (None, None, Some(_)) => Place::File(id.clone().into()),
            (None, None, None) => Place::SameName,
        };
        Ok(Self {
            id,
            from,
            file: Arc::default(),
        })
    }
}

/// Looks for what was given; what is not there is refused.
pub fn given(
    options: &[SecretOption],
    settings: &Settings,
) -> Result<BTreeMap<String, SecretSource>, Diagnostic> {
    let mut secrets = BTreeMap::new();
    for option in options {
        let source = match &option.from {
            Place::File(path) => option.file(settings.user_path(path))?,
            Place::Variable(name) => variable(name)
                .ok_or_else(|| missing(&option.id, &format!("the variable `{name}` is not set")))?,
            Place::SameName => match variable(&option.id) {
                Some(source) => source,
                None => option.file(PathBuf::from(&option.id))?,
            },
        };
        secrets.insert(option.id.clone(), source);
    }
    Ok(secrets)
}

fn variable(name: &str) -> Option<SecretSource> {
    Environment::variable(name).map(|value| SecretSource::Variable {
        name: name.to_owned(),
        value: Secret::new(value.into_bytes()),
    })
}

impl SecretOption {
    fn file(&self, path: PathBuf) -> Result<SecretSource, Diagnostic> {
        let id = &self.id;
        match fs_err::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                Err(missing(id, &format!("{} is a directory", path.display())))
            }
            Ok(_) => {
                let file = self.file.get_or_init(|| SecretFile::new(path));
                Ok(SecretSource::File(file.clone()))
            }
            Err(error) => Err(missing(id, "its file cannot be found").caused_by(Some(&error))),
        }
    }
}

fn missing(id: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        "secret-source",
        ExitStatus::Usage,
        format!("cannot give the secret `{id}`: {why}"),
    )
    .hint("write `--secret id=ID,src=FILE` with a file that is there, or `--secret id=ID,env=NAME` with a variable that is set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_as_for_docker_build() {
        let file = |path: &str| Place::File(path.into());
        let variable = |name: &str| Place::Variable(name.to_owned());
        for (text, id, from) in [
            ("id=a,src=/x/y", "a", file("/x/y")),
            ("source=y,ID=a", "a", file("y")),
            ("type=file,id=a", "a", file("a")),
            ("id=a,env=TOKEN", "a", variable("TOKEN")),
            ("id=a,type=env,src=TOKEN", "a", variable("TOKEN")),
            ("id=a,type=env", "a", variable("a")),
            ("id=TOKEN", "TOKEN", Place::SameName),
        ] {
            let option: SecretOption = text.parse().unwrap();
            assert_eq!((option.id.as_str(), option.from), (id, from), "{text}");
        }
        for text in [
            "",
            "id",
            "id=",
            "src=x",
            "id=a,type=ssh",
            "id=a,mode=1",
            "id=a,src=x,env=y",
        ] {
            assert!(text.parse::<SecretOption>().is_err(), "{text}");
        }
    }
}
