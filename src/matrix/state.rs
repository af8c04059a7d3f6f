//! Where the state of the matrix is kept: a file, or a document in a registry.
//!
//! Invariants: a state that cannot be read is an error, never taken as empty; a file is replaced as a whole under a lock
//! beside it; of a registry's document only what is recorded is changed, and after writing it is read again. What is too large to be read again is not written.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use assembler::reference::ImageReference;
use registry::{ARTIFACT_LIMIT, Artifact};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    small_file::{self, SmallFile},
    whole_file,
};

use super::{Entry, SCHEMA, State};

/// The media type of the state in a registry.
const MEDIA_TYPE: &str = "application/vnd.aicage.matrix.v1+json";
/// How often a writer tries again after another one was faster.
const TRIES: u32 = 10;

/// Where a state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In a registry, under a tag.
    Registry(ImageReference),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("oci:") {
            Some(name) => {
                let reference: ImageReference = name
                    .parse()
                    .map_err(|error: assembler::reference::ReferenceError| error.to_string())?;
                if reference.digest().is_some() {
                    return Err("a state moves; name a tag, not a digest".to_owned());
                }
                Ok(Self::Registry(reference))
            }
            None if text.is_empty() => Err("it names no file".to_owned()),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl Place {
    /// Reads the state; an empty one where nothing was recorded yet.
    pub async fn read(&self, context: &Context) -> Result<State, Diagnostic> {
        match self {
            Self::File(path) => {
                let path = context.settings.user_path(path);
                parse(read_file(&path)?.as_deref(), &path.display().to_string())
            }
            Self::Registry(reference) => {
                let client = context.client("reading the state of the matrix")?;
                let kept = client
                    .artifact(reference, MEDIA_TYPE, context.reporter.as_ref())
                    .await?;
                parse(
                    kept.map(|kept| kept.content).as_deref(),
                    &reference.to_string(),
                )
            }
        }
    }

    /// Puts entries in place of what was recorded of the same images; others stay.
    pub async fn record(&self, context: &Context, entries: &[Entry]) -> Result<(), Diagnostic> {
        match self {
            Self::File(path) => {
                let path = context.settings.user_path(path);
                record_in_file(&path, entries)
            }
            Self::Registry(reference) => record_in_registry(context, reference, entries).await,
        }
    }
}

impl State {
    fn with(mut self, entries: &[Entry]) -> Self {
        for entry in entries {
            self.images.insert(entry.name(), entry.clone());
        }
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a state is plain data");
        bytes.push(b'\n');
        bytes
    }
}

#[derive(serde::Deserialize)]
#[serde(expecting = "an object with `schema` and `images`")]
struct Probe {
    schema: u32,
}

fn parse(bytes: Option<&[u8]>, name: &str) -> Result<State, Diagnostic> {
    let Some(bytes) = bytes else {
        return Ok(State::default());
    };
    let refused = |reason: String| {
        Diagnostic::new(
            "matrix-state",
            ExitStatus::Failed,
            format!("{name} is not a state of `aicage matrix`"),
        )
        .caused_by_words(reason)
        .hint("name another place with `--state`, or move it away to begin anew")
    };
    let probe: Probe = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
    if probe.schema != SCHEMA {
        return Err(refused(format!(
            "it has schema {}; this program knows {SCHEMA}",
            probe.schema
        )));
    }
    serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))
}

/// Says that nobody could read again what would be written to `name`.
fn too_large(name: &str, size: usize) -> Diagnostic {
    Diagnostic::new(
        "matrix-state-too-large",
        ExitStatus::Usage,
        format!("the state in {name} would have {size} bytes; at most {ARTIFACT_LIMIT} are read"),
    )
    .hint("keep several states, each for a part of the images, with `--state`")
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Diagnostic> {
    let refused = |error: &io::Error| {
        let message = format!("cannot read {}", path.display());
        Diagnostic::system("matrix-state-file", message, error)
    };
    match small_file::read(path, ARTIFACT_LIMIT) {
        Ok(SmallFile::Missing) => Ok(None),
        Ok(SmallFile::Content(content)) => Ok(Some(content)),
        Ok(SmallFile::TooLarge(_)) => Err(refused(&io::Error::other("it is larger than 16 MiB"))),
        Err(error) => Err(refused(&error)),
    }
}

fn record_in_file(path: &Path, entries: &[Entry]) -> Result<(), Diagnostic> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = tokio::task::block_in_place(|| whole_file::lock(Path::new(&lock)))?;
    let name = path.display().to_string();
    let state = parse(read_file(path)?.as_deref(), &name)?;
    let bytes = state.with(entries).to_bytes();
    if bytes.len() as u64 > ARTIFACT_LIMIT {
        return Err(too_large(&name, bytes.len()));
    }
    whole_file::replace(&lock, path, &bytes)?;
    Ok(())
}

async fn record_in_registry(
    context: &Context,
    reference: &ImageReference,
    entries: &[Entry],
) -> Result<(), Diagnostic> {
    let client = context.client("recording the state of the matrix")?;
    let reporter = context.reporter.as_ref();
    let name = reference.to_string();
    for _ in 0..TRIES {
        let before = client.artifact(reference, MEDIA_TYPE, reporter).await?;
        let content = before.map(|kept| kept.content);
        let state = parse(content.as_deref(), &name)?;
        let all_there = |state: &State| {
            entries
                .iter()
                .all(|entry| state.images.get(&entry.name()) == Some(entry))
        };
        // Read again after writing: whoever wrote at the same time may have been later.
        if all_there(&state) {
            return Ok(());
        }
        let bytes = state.with(entries).to_bytes();
        let artifact =
            Artifact::new(MEDIA_TYPE, &bytes).ok_or_else(|| too_large(&name, bytes.len()))?;
        client.put_artifact(reference, &artifact, reporter).await?;
    }
    Err(Diagnostic::new(
        "matrix-state-contended",
        ExitStatus::Failed,
        format!("{name} is written by others all the time"),
    )
    .hint("record from one job, after all builds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_could_not_be_read_again_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let entry = |base: usize, size| Entry {
            agent: "codex".to_owned(),
            base: base.to_string(),
            version: "1".repeat(size),
            built_on: "debian".to_owned(),
            manifest: None,
            layers: Vec::new(),
            definition: assembler::digest::Digest::of(b"definition"),
            recorded_at: "2026-01-01T00:00:00Z".to_owned(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        record_in_file(&path, &[entry(1, 1)]).unwrap();
        let before = fs_err::read(&path).unwrap();
        let refused = record_in_file(&path, &[entry(2, 10 << 20), entry(3, 10 << 20)]).unwrap_err();
        assert_eq!(refused.code(), "matrix-state-too-large");
        assert_eq!(fs_err::read(&path).unwrap(), before, "the old one stays");
        assert!(Artifact::new(MEDIA_TYPE, &vec![0; 17 << 20]).is_none());
    }
}
