//! Layer keys: the hash of everything that decides what a step produces.
//!
//! Invariant: two steps with one key would give the same layer as far as we can know: same image below, same contributor
//! and version, same files, same environment, same platform, same format of captures.

use crate::{
    definition_files::FilesError,
    digest::{Hasher, LayerKey},
    dockerfile,
    image::Image,
    recipe::{Addition, Recipe, Step, field},
};

/// Raised when captures are written differently, so that layers of before are not taken for layers of now.
const CAPTURE_FORMAT: &str = "aicage layer 1";

/// Computes the key of `step` on top of `below`.
pub fn layer_key(recipe: &Recipe, step: &Step, below: &Image) -> Result<LayerKey, FilesError> {
    let mut fields = Fields(Hasher::sha256());
    fields.put(CAPTURE_FORMAT);
    fields.put(
        &below
            .chain_id()
            .map(|chain| chain.to_string())
            .unwrap_or_default(),
    );
    // The image's environment reaches the scripts, so a base that changes only `ENV` changes the result.
    for variable in &below.config().value().config.env {
        fields.put(variable);
    }
    fields.put(&below.platform().to_string());
    fields.put(&step.origin.to_string());
    fields.put(&format!("{:?}", recipe.source_date));
    match &step.addition {
        Addition::Scripts { files, run, env } => {
            fields.put("scripts");
            fields.put(&files.digest()?.to_string());
            for script in run {
                fields.put(script);
            }
            fields.put("env");
            for (name, value) in env {
                fields.put(&format!("{name}={value}"));
            }
        }
        // Each of its groups has a key of its own; under this one is kept what all of them gave together, the config of
        // the image below with it.
        Addition::Dockerfile(build) => {
            fields.put(dockerfile::FORMAT);
            fields.put(&below.digest().to_string());
            // Commands and labels can have it from the argument that is built from.
            fields.put(&recipe.base_record.reference);
            fields.put(&build.digest().to_string());
            for (name, image) in &build.images {
                fields.put(name);
                fields.put(&image.to_string());
            }
        }
        Addition::Files(files) => {
            fields.put("files");
            for file in files {
                fields.put(&file.path);
                fields.put(&format!("{:o}", file.mode));
                fields.bytes(&file.content);
            }
        }
    }
    Ok(LayerKey::new(fields.0.finish()))
}

struct Fields(Hasher);

impl Fields {
    fn put(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        field(&mut self.0, bytes);
    }
}
