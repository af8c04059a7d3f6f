//! What a definition's files were when a layer was made of them, so that a plan can name the file that changed.
//!
//! Format: `state/files/<kind>-<id>.json`, `{"digest":"sha256:…","files":{"install.sh":"sha256:…"}}`: the last definition
//! that was built, and of each file the digest of its executable bit and content. A damaged one counts as none.

use std::{collections::BTreeMap, path::PathBuf};

use assembler::{
    definition_files::{DefinitionFiles, FilesError},
    digest::{Digest, Hasher},
    provenance::Origin,
    recipe::{Addition, Recipe, ScriptFile},
};
use serde::{Deserialize, Serialize};

use crate::{context::Context, memory};

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
        if let Addition::Scripts { files, .. } = &step.addition {
            let Ok(digest) = files.digest() else {
                continue;
            };
            if read(context, &step.origin).is_none_or(|known| known.digest != digest)
                && let Ok(files) = list(files)
            {
                let listing = Listing { digest, files };
                // Without it a plan says "its files changed" instead of which.
                memory::write(&path(context, &step.origin), &listing).unwrap_or_default();
            }
        }
    }
}

/// Says which files are others than those with the digest `before`; `None` when that is not known.
pub fn changes(
    context: &Context,
    origin: &Origin,
    (files, before): (&DefinitionFiles, Digest),
) -> Option<String> {
    let known = read(context, origin).filter(|known| known.digest == before)?;
    let now = list(files).ok()?;
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

fn list(files: &DefinitionFiles) -> Result<BTreeMap<String, Digest>, FilesError> {
    let digest = |file: &ScriptFile| {
        let mut hasher = Hasher::sha256();
        hasher.update(if file.executable { b"x" } else { b"-" });
        hasher.update(&file.content);
        hasher.finish()
    };
    let files = files.load()?;
    Ok(files
        .iter()
        .map(|(path, file)| (path.to_owned(), digest(file)))
        .collect())
}

fn read(context: &Context, origin: &Origin) -> Option<Listing> {
    memory::read(&path(context, origin))
}

fn path(context: &Context, origin: &Origin) -> PathBuf {
    let name = format!("{}-{}.json", origin.kind, origin.id);
    context.settings.state().join("files").join(name)
}
