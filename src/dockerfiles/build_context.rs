//! Build contexts of definitions: metadata first, contents only when they may have changed or are needed.
//!
//! Invariant: a digest is remembered with the fingerprint of the listing that it was made of, as for definitions of scripts
//! ([`KeptDigest`]); whoever reads the files later is told when they are others.

use std::path::Path;

use assembler::dockerfile::{
    ContextError, ContextLimits, ContextListing, ContextPlace, LazyContext,
};

use crate::{
    context::Context,
    definition::{kept_digest::KeptDigest, others},
};

/// Returns the build context of the Dockerfile `dockerfile` in `directory`.
pub(super) fn known(
    context: &Context,
    directory: &Path,
    dockerfile: &Path,
) -> Result<LazyContext, ContextError> {
    known_in(&context.settings.state(), directory, dockerfile)
}

/// Returns the build context of `dockerfile` in `directory`, with digests remembered below `state`.
pub fn known_in(
    state: &Path,
    directory: &Path,
    dockerfile: &Path,
) -> Result<LazyContext, ContextError> {
    let listing = ContextListing::of(&ContextPlace {
        directory: directory.to_owned(),
        dockerfile: dockerfile.to_owned(),
        limits: ContextLimits::default(),
        is_foreign: others::is_foreign,
    })?;
    // Named after the Dockerfile, because the directory has a listing as a definition, too.
    let kept = KeptDigest::new(state, dockerfile);
    let everything = std::collections::BTreeSet::new();
    if let Some(digest) = kept.recall(listing.fingerprint(), &everything) {
        return Ok(LazyContext::unread(listing, (digest, &kept.path())));
    }
    let making = kept.begin();
    let read = LazyContext::from(listing.read()?);
    if let Some(making) = making {
        let made_of = (listing.fingerprint(), listing.newest());
        kept.keep(making, made_of, (&everything, read.digest()));
    }
    Ok(read)
}
