//! What long work tells whoever watches: one enum of events, one trait.
//!
//! Invariant: an event is a fact about work, not words for a person; words are made by the program.

use std::{fmt, path::Path, time::Duration};

use crate::{descriptor::Descriptor, digest::Digest, provenance::Origin};

/// Watches long work. Implementations must be cheap: events come often.
pub trait Reporter: Send + Sync {
    /// Takes note of `event`.
    fn event(&self, event: Event<'_>);
}

impl<R: Reporter + ?Sized> Reporter for &R {
    fn event(&self, event: Event<'_>) {
        (**self).event(event);
    }
}

impl<R: Reporter + ?Sized> Reporter for std::sync::Arc<R> {
    fn event(&self, event: Event<'_>) {
        (**self).event(event);
    }
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A reference is being looked up.
    Resolving {
        /// The reference.
        reference: &'a str,
    },
    /// A blob is about to be fetched; `have` of its bytes are here from an earlier try.
    FetchStarted {
        /// The blob.
        blob: &'a Descriptor,
        /// Whose it is.
        of: Contributor<'a>,
        /// Bytes that need not be fetched again.
        have: u64,
    },
    /// More bytes of a blob arrived.
    Fetched {
        /// The blob.
        digest: &'a Digest,
        /// How many bytes since the last event.
        bytes: u64,
    },
    /// A blob is whole and verified.
    FetchDone {
        /// The blob.
        digest: &'a Digest,
    },
    /// A blob was in the store already.
    FetchSkipped {
        /// The blob.
        blob: &'a Descriptor,
        /// Whose it is.
        of: Contributor<'a>,
    },
    /// A request failed and is tried again.
    Retrying {
        /// What failed, redacted.
        what: &'a str,
        /// Which try follows, from 2.
        attempt: u32,
        /// How long until then.
        wait: Duration,
    },
    /// A step's layer was found under its key; nothing runs.
    StepReused {
        /// Whose step it is.
        origin: &'a Origin,
    },
    /// A step's scripts are about to run.
    StepStarted {
        /// Whose step it is.
        origin: &'a Origin,
        /// Where its output goes.
        log: &'a Path,
    },
    /// A step's scripts succeeded; what they changed is being written.
    StepCapturing {
        /// Whose step it is.
        origin: &'a Origin,
    },
    /// A step's layer is in the store.
    StepDone {
        /// Whose step it is.
        origin: &'a Origin,
        /// The layer's blob.
        layer: &'a Descriptor,
    },
    /// An image is being sent to an engine; `bytes` is what is to be sent.
    LoadStarted {
        /// The image's name.
        reference: &'a str,
        /// How many bytes will be sent.
        bytes: u64,
    },
    /// Bytes were sent to an engine.
    LoadSent {
        /// How many since the last event.
        bytes: u64,
    },
    /// The engine has the image, verified.
    LoadDone {
        /// The image's name.
        reference: &'a str,
    },
    /// Something a person should know, though the work goes on.
    Warning {
        /// One sentence.
        message: &'a str,
    },
}

/// Whose a layer is that comes with an image.
#[derive(Debug, Clone, Copy)]
pub struct Contributor<'a> {
    /// The image that it comes with, as people write its name.
    pub reference: &'a str,
    /// Who contributed it, where the image's own record says so.
    pub origin: Option<&'a Origin>,
}

impl fmt::Display for Contributor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Some(origin) => origin.fmt(f),
            None => f.write_str(self.reference),
        }
    }
}

/// A reporter that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _event: Event<'_>) {}
}
