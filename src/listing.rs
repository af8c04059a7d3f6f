//! What a definition's files were when a layer was made of them, so that a plan can name the file that changed.
//!
//! Format: `state/files/<kind>-<id>.json`, `{"digest":"sha256:…","files":{"install.sh":"sha256:…"}}`: the last definition
//! that was built, and of each file the digest of its executable bit and content. A damaged one counts as none.

use std::{collections::BTreeMap, path::PathBuf};

use assembler::{
    definition_files::FilesError,
    digest::{Digest, Hasher},
    dockerfile::{ContextEntry, ContextKind},
    provenance::Origin,
    recipe::{Addition, Recipe, ScriptFile},
};
use serde::{Deserialize, Serialize};

use crate::{context::Context, definition::DOCKERFILE, memory};

/// How many changes are named.
const SHOWN: usize = 3;

#[derive(Debug, Deserialize, Serialize)]
struct Listing {
    digest: Digest,
    files: BTreeMap<String, Digest>,
}

/// Notes the files of the steps of a recipe that was just assembled.
pub fn remember(context: &Context, recipe: &Recipe) {
    for step in &recipe.steps {
        if let Ok(Some(digest)) = digest(&step.addition)
            && read(context, &step.origin).is_none_or(|known| known.digest != digest)
            && let Some(files) = list(&step.addition)
        {
            let listing = Listing { digest, files };
            // Without it a plan says "its files changed" instead of which.
            memory::write(&path(context, &step.origin), &listing).unwrap_or_default();
        }
    }
}

/// Returns the digest of what a step's definition gives it; nothing for files of ours.
pub fn digest(addition: &Addition) -> Result<Option<Digest>, FilesError> {
    match addition {
        Addition::Scripts { files, .. } => files.digest().map(Some),
        Addition::Dockerfile(build) => Ok(Some(build.digest())),
        Addition::Files(_) => Ok(None),
    }
}

/// Says which files are others than those with the digest `before`; `None` when that is not known.
pub fn changes(
    context: &Context,
    origin: &Origin,
    (addition, before): (&Addition, Digest),
) -> Option<String> {
    let known = read(context, origin).filter(|known| known.digest == before)?;
    let now = list(addition)?;
    let mut changes: Vec<String> = now
        .iter()
        .filter_map(|(path, digest)| match known.files.get(path) {
            None => Some(format!("`{path}` is new")),
            Some(before) if before != digest => Some(format!("`{path}` changed")),
            Some(_) => None,
        })
        .collect();
    let gone = known.files.keys().filter(|path| !now.contains_key(*path));
    changes.extend(gone.map(|path| format!("`{path}` is gone")));
    let more = changes.len().saturating_sub(SHOWN);
    changes.truncate(SHOWN);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    (!changes.is_empty()).then(|| changes.join(", "))
}

/// Lists the files; `None` where they cannot be read, which whoever needs them says.
fn list(addition: &Addition) -> Option<BTreeMap<String, Digest>> {
    let digest = |file: &ScriptFile| {
        let mut hasher = Hasher::sha256();
        hasher.update(if file.executable { b"x" } else { b"-" });
        hasher.update(&file.content);
        hasher.finish()
    };
    match addition {
        Addition::Scripts { files, .. } => {
            let files = files.load().ok()?;
            let listed = files.iter();
            Some(
                listed
                    .map(|(path, file)| (path.to_owned(), digest(file)))
                    .collect(),
            )
        }
        Addition::Dockerfile(build) => {
            let entry = |entry: &ContextEntry| {
                let mut hasher = Hasher::sha256();
                hasher.update(&entry.mode.to_le_bytes());
                match &entry.kind {
                    ContextKind::File { digest, .. } => {
                        hasher.update(digest.to_string().as_bytes());
                    }
                    ContextKind::Symlink(target) => hasher.update(target),
                    ContextKind::Directory => {}
                }
                hasher.finish()
            };
            let entries = build.context.open().ok()?.iter();
            let mut listed: BTreeMap<String, Digest> = entries
                .map(|(path, content)| (path.to_string(), entry(content)))
                .collect();
            listed.insert(DOCKERFILE.to_owned(), Digest::of(build.text.as_bytes()));
            Some(listed)
        }
        Addition::Files(_) => Some(BTreeMap::new()),
    }
}

fn read(context: &Context, origin: &Origin) -> Option<Listing> {
    memory::read(&path(context, origin))
}

fn path(context: &Context, origin: &Origin) -> PathBuf {
    let name = format!("{}-{}.json", origin.kind, origin.id);
    context.settings.state().join("files").join(name)
}
