//! What a base was assembled from here, in full: image records hold no directories of this machine, which decide whether
//! `from_image` still is the same.
//!
//! Format: `state/root/<base>.json`, `{"defined":…,"from":…,"digest":…}`; it counts only for the root image with that
//! digest, and without it the image's own record is compared.

use std::path::PathBuf;

use assembler::{digest::Digest, provenance::BaseRecord};
use serde::{Deserialize, Serialize};

use crate::{context::Context, definition::base::BaseDefinition, memory, root_image};

/// What one base was assembled from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct RootMemory {
    /// What its definition named.
    pub defined: String,
    /// What was taken: the same, or what `--from` named instead.
    pub from: String,
    /// The root image that this was.
    pub digest: Digest,
}

/// Returns what `root` was when `base` was assembled on it.
pub fn recall(context: &Context, base: &BaseDefinition, root: &BaseRecord) -> Option<RootMemory> {
    memory::read(&path(context, base)).filter(|known: &RootMemory| known.digest == root.digest)
}

/// Keeps it; a memory that cannot be written costs a comparison, nothing else.
pub fn keep(context: &Context, base: &BaseDefinition, known: &RootMemory) {
    if let Err(error) = memory::write(&path(context, base), known) {
        context
            .printer
            .warn(&format!("cannot remember a root image: {error}"));
    }
}

/// Returns what the definition named when `base` was assembled on `root`, if it names something else now.
pub fn named_before(context: &Context, base: &BaseDefinition, root: &BaseRecord) -> Option<String> {
    let now = &base.settings.from_image;
    match recall(context, base, root) {
        Some(known) => (known.defined != *now).then_some(known.defined),
        None => (!root_image::is_same(now, root)).then(|| root.reference.clone()),
    }
}

fn path(context: &Context, base: &BaseDefinition) -> PathBuf {
    let kind = if base.is_custom() {
        "custom"
    } else {
        "built-in"
    };
    let file = format!("{}-{kind}.json", base.id);
    context.settings.state().join("root").join(file)
}
