//! Secrets that builds are given: where each comes from, and how commands get it.
//!
//! Invariant: the content is in memory only, and in no message.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use fs_err as fs;

use super::{
    DockerfileBuild, DockerfileError,
    groups::Group,
    mount::{Kind, Need},
    script::{Refusal, refuse},
};
use crate::instruction::Secret;

/// The largest secret, as Docker has it.
const LIMIT: u64 = 500 << 10;

/// Where a secret comes from.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// A file, read when a command is about to run that asks for it.
    File(SecretFile),
    /// The value of a variable.
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
}

/// A file that is read at most once, because a pipe can be read only once; all its clones know the content then.
#[derive(Clone, Debug)]
pub struct SecretFile {
    path: PathBuf,
    content: Arc<OnceLock<Secret>>,
}

impl SecretFile {
    /// Names a file, which is not looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            content: Arc::default(),
        }
    }

    fn read(&self) -> io::Result<Secret> {
        if let Some(content) = self.content.get() {
            return Ok(content.clone());
        }
        let mut content = Vec::new();
        fs::File::open(&self.path)?
            .take(LIMIT + 1)
            .read_to_end(&mut content)?;
        Ok(self.content.get_or_init(|| Secret::new(content)).clone())
    }
}

impl DockerfileBuild {
    /// Refuses the first secret that a group requires and that was not given.
    pub(crate) fn check_secrets(&self, group: &Group) -> Result<(), Refusal> {
        for mount in &group.mounts {
            if let Kind::Secret { id, need, .. } = &mount.kind
                && *need == Need::Required
                && !self.secrets.contains_key(id)
            {
                return Err(refuse(
                    mount.line,
                    format!("the secret `{id}` is required and not given"),
                    format!(
                        "give it with `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`, or take `required` away"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Reads a secret, if it was given.
    pub(crate) fn secret(&self, id: &str) -> Result<Option<Secret>, DockerfileError> {
        let Some(source) = self.secrets.get(id) else {
            return Ok(None);
        };
        let secret = match source {
            SecretSource::Variable { value, .. } => value.clone(),
            SecretSource::File(file) => file.read().map_err(|error| unusable(id, source, error))?,
        };
        if secret.expose().len() as u64 > LIMIT {
            let error = io::Error::new(io::ErrorKind::FileTooLarge, "a secret has at most 500 KiB");
            return Err(unusable(id, source, error));
        }
        Ok(Some(secret))
    }

    /// Reads the secrets that a group's commands get as variables.
    pub(crate) fn secret_variables(
        &self,
        group: &Group,
    ) -> Result<BTreeMap<String, Secret>, DockerfileError> {
        let mut variables = BTreeMap::new();
        for mount in &group.mounts {
            if let Kind::Secret { id, shown, .. } = &mount.kind
                && let Some(name) = &shown.variable
                && let Some(content) = self.secret(id)?
            {
                let text = std::str::from_utf8(content.expose());
                if text.map_or(true, |text| text.contains('\0'))
                    && let Some(source) = self.secrets.get(id)
                {
                    let error = io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("the variable `{name}` can only hold text"),
                    );
                    return Err(unusable(id, source, error));
                }
                variables.insert(name.clone(), content);
            }
        }
        Ok(variables)
    }
}

fn unusable(id: &str, source: &SecretSource, error: io::Error) -> DockerfileError {
    DockerfileError::Secret {
        id: id.to_owned(),
        from: match source {
            SecretSource::File(file) => file.path.display().to_string(),
            SecretSource::Variable { name, .. } => format!("the variable {name}"),
        },
        source: error,
    }
}
