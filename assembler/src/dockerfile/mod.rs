//! Dockerfiles, built as our own steps: parse, expand, plan, and run what is not kept.
//!
//! ```text
//! text ──► heredoc, parse ──► Script ──► stages ──► plan ──► groups ──► build ──► layers and a config
//!          lines, words                  who needs  expand   one container,   key, sandbox,
//!                                        whom       state    one layer each   store
//! ```
//!
//! What the result should be is what `docker build` with `BuildKit` makes of the same file: the same tree and the same
//! config. Layers differ: instructions that need the same mounts run in one container and give one layer.
//!
//! Invariant: a Dockerfile is understood whole before anything of it runs; what is not done here is refused with file,
//! line and what to write instead.

mod archive;
mod build;
mod bundle;
mod check;
mod chmod;
mod context;
mod copies;
mod error;
mod expand;
mod gather;
mod glob;
mod groups;
mod heredoc;
mod ignore;
mod ignore_file;
mod key;
mod lines;
mod listing;
mod make;
mod make_copy;
mod mount;
mod parse;
mod parse_copy;
mod plan;
mod run;
mod runs;
mod script;
mod secret;
mod stages;
mod state;
mod tree;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use self::{
    build::ForeseenGroup,
    check::{check, check_extends},
    context::{BuildContext, ContextEntry, ContextKind, ContextLimits, LazyContext},
    error::{ArchiveFault, ContextError, DockerfileError, TreeError},
    listing::{ContextListing, ContextPlace},
    secret::{SecretFile, SecretSource},
};
pub(crate) use self::{
    build::{Walk, walk},
    check::check_to_run,
    key::FORMAT,
    run::build,
};
use self::{
    script::{Refusal, Script},
    stages::{Base, Stages},
};
use crate::{digest::Digest, platform::Platform};

/// Stands for the image that was assembled so far. Give it as the value of the argument that the Dockerfile has in its
/// `FROM`, such as `BASE_IMAGE`.
pub const IMAGE_SO_FAR: &str = "image-so-far.aicage.invalid/image:below";

/// The largest Dockerfile that is read, in bytes.
pub const TEXT_LIMIT: usize = 1 << 20;

/// A Dockerfile with all that it is built with.
#[derive(Clone, Debug)]
pub struct DockerfileBuild {
    /// What the Dockerfile is called in messages.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
    /// What it copies from.
    pub context: LazyContext,
    /// Build arguments by name; one of them may be [`IMAGE_SO_FAR`].
    pub args: BTreeMap<String, String>,
    /// The images that it names, by the name that [`needed_images`] gave, as manifests in the store.
    pub images: BTreeMap<String, Digest>,
    /// The stage to build; the last one where there is none.
    pub target: Option<String>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, SecretSource>,
}

impl DockerfileBuild {
    /// Returns the digest of the Dockerfile's text, its arguments and its build context, by which a change is seen.
    pub fn digest(&self) -> Digest {
        let mut hasher = crate::digest::Hasher::sha256();
        let mut put = |bytes: &[u8]| crate::recipe::field(&mut hasher, bytes);
        put(self.text.as_bytes());
        for (name, value) in &self.args {
            put(name.as_bytes());
            put(value.as_bytes());
        }
        put(self.target.as_deref().unwrap_or_default().as_bytes());
        put(self.context.digest().to_string().as_bytes());
        hasher.finish()
    }

    fn refused(&self, refusal: Refusal) -> DockerfileError {
        DockerfileError::Refused {
            file: self.file.clone(),
            line: refusal.line,
            reason: refusal.reason,
            instead: refusal.instead,
        }
    }

    fn script(&self) -> Result<Script, DockerfileError> {
        if self.text.len() > TEXT_LIMIT {
            return Err(DockerfileError::TooLarge {
                file: self.file.clone(),
                limit: TEXT_LIMIT,
            });
        }
        parse::parse(&self.text).map_err(|refusal| self.refused(refusal))
    }
}

/// Lists the images that a Dockerfile is built and copied from, apart from the image so far, as it names them. All of
/// them must be in [`DockerfileBuild::images`] when it is built; that field is not read here.
pub fn needed_images(
    build: &DockerfileBuild,
    platform: &Platform,
) -> Result<BTreeSet<String>, DockerfileError> {
    let script = build.script()?;
    let stages = Stages::of(&script, &build.args, platform, build.target.as_deref())
        .map_err(|refusal| build.refused(refusal))?;
    let mut images = BTreeSet::new();
    for index in &stages.needed {
        let sources = stages
            .sources_of(*index)
            .map_err(|refusal| build.refused(refusal))?;
        images.extend(sources.into_iter().filter_map(|base| match base {
            Base::Image(name) => Some(name),
            _ => None,
        }));
    }
    Ok(images)
}
