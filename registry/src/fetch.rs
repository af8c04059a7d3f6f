//! Fetches layers into the store: side by side, resumed where an earlier try stopped.
//!
//! Invariants: the network is read by one task and bytes are hashed and written by another, with a bounded queue between, so
//! a pull is as fast as the slower of the two and memory does not grow with a layer; a part that a cut or a kill left is
//! continued with `Range` at the registry's own URL, never at the place a redirect pointed to; a body that is longer than
//! its descriptor says is not read on; `urls` in manifests are never followed.

use std::{collections::BTreeSet, ops::ControlFlow};

use assembler::{
    descriptor::Descriptor,
    image::Image,
    inspect::contributors,
    reference::ImageReference,
    reporter::{Contributor, Event},
    store::{Ingest, PartWriter, StoreError},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderValue},
};
use tokio::sync::mpsc;

use crate::{
    Client, Destination, RedactedUrl, RegistryError, Resolved,
    client::blocking,
    resolve::{no_place, pass_over},
    retry::Backoff,
    session::Session,
    transport::{Answer, Ask},
};

/// Pieces of a body between the network and the disk, of at most about 400 KiB each.
const QUEUE: usize = 8;
/// A try that brought this much is progress; less could go on for ever.
const PROGRESS: u64 = 64 << 10;

/// A download under way.
struct Download<'a> {
    session: &'a Session<'a>,
    blob: &'a Descriptor,
    to: &'a Destination,
}

/// How a try ended, with the part to go on with.
struct Tried {
    part: PartWriter,
    outcome: Result<(), RegistryError>,
}

impl Client {
    /// Fetches the layers of what was resolved; those in the store are not fetched again.
    pub async fn fetch(
        &self,
        resolved: &Resolved,
        to: &Destination,
    ) -> Result<Image, RegistryError> {
        let reference = resolved.reference.reference();
        let image =
            Image::new(resolved.manifest.clone(), resolved.config.clone()).map_err(|source| {
                RegistryError::Manifest {
                    reference: reference.familiar(),
                    source,
                }
            })?;
        let (origins, shown) = (contributors(&image), reference.familiar());
        let mut seen = BTreeSet::new();
        let mut fetches = Vec::new();
        for (layer, origin) in image.layers().iter().zip(&origins) {
            let blob = &layer.descriptor;
            let of = Contributor {
                reference: &shown,
                origin: origin.as_ref(),
            };
            // An image may have the same layer twice.
            if seen.insert(blob.digest) {
                fetches.push(self.fetch_blob(reference, (blob, of), to));
            }
        }
        stream::iter(fetches)
            .buffer_unordered(self.shared.config.max_concurrent.max(1))
            .try_collect::<()>()
            .await?;
        Ok(image)
    }

    async fn fetch_blob(
        &self,
        reference: &ImageReference,
        (blob, of): (&Descriptor, Contributor<'_>),
        to: &Destination,
    ) -> Result<(), RegistryError> {
        let _turn = self
            .shared
            .blobs
            .acquire()
            .await
            .expect("it is never closed");
        let Some(mut part) = ingest(blob, to).await? else {
            to.reporter.event(Event::FetchSkipped { blob, of });
            return Ok(());
        };
        let have = part.position();
        to.reporter.event(Event::FetchStarted { blob, of, have });
        let mut may_be_stale = have > 0;
        let endpoints = self.endpoints(reference)?;
        for endpoint in &endpoints {
            let session = self.session(endpoint, reference, &*to.reporter);
            let download = Download {
                session: &session,
                blob,
                to,
            };
            let mut error = match download.run(part).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // Half of it may be what another try got wrong.
            if may_be_stale && matches!(error, RegistryError::WrongDigest { .. }) {
                may_be_stale = false;
                let Some(fresh) = ingest(blob, to).await? else {
                    return Ok(());
                };
                match download.run(fresh).await {
                    Ok(()) => return Ok(()),
                    Err(again) => error = again,
                }
            }
            pass_over(&session, error)?;
            let Some(next) = ingest(blob, to).await? else {
                return Ok(());
            };
            part = next;
        }
        Err(no_place(reference))
    }
}

async fn ingest(blob: &Descriptor, to: &Destination) -> Result<Option<PartWriter>, RegistryError> {
    let (to, blob) = (to.clone(), blob.clone());
    blocking(move || match to.store.ingest(&to.lock, &blob)? {
        Ingest::Present => Ok(None),
        Ingest::Part(part) => Ok(Some(part)),
    })
    .await
}

impl Download<'_> {
    /// Tries until the blob is whole, then commits it.
    async fn run(&self, mut part: PartWriter) -> Result<(), RegistryError> {
        let mut backoff: Backoff = self.session.backoff();
        while part.position() < self.blob.size {
            let before = part.position();
            let tried = self.try_once(part).await?;
            part = tried.part;
            if part.position() >= before.saturating_add(PROGRESS) {
                backoff.reset();
            }
            if let Err(error) = tried.outcome {
                backoff.pause(error, self.session.reporter).await?;
            }
        }
        self.commit(part).await
    }

    async fn commit(&self, part: PartWriter) -> Result<(), RegistryError> {
        match blocking(move || Ok(part.commit())).await? {
            Ok(()) => {
                let digest = &self.blob.digest;
                self.to.reporter.event(Event::FetchDone { digest });
                Ok(())
            }
            Err(error) => Err(self.commit_error(error)),
        }
    }

    /// Says of content that is not the blob where it came from.
    fn commit_error(&self, error: StoreError) -> RegistryError {
        match error {
            StoreError::Corrupt { expected, found } => RegistryError::WrongDigest {
                url: RedactedUrl::new(&self.url()),
                expected,
                found,
            },
            other => other.into(),
        }
    }

    /// Asks for what is missing and writes what comes.
    async fn try_once(&self, mut part: PartWriter) -> Result<Tried, RegistryError> {
        let mut asked = self.ask(part.position()).await;
        if matches!(asked, Ok(ControlFlow::Break(()))) {
            // What we have cannot be the beginning of what the registry has.
            part.restart()?;
            asked = self.ask(0).await;
        }
        let answer = match asked {
            Ok(ControlFlow::Continue(answer)) => answer,
            Ok(ControlFlow::Break(())) => {
                let outcome = Err(self.no_range());
                return Ok(Tried { part, outcome });
            }
            Err(error) => {
                let outcome = Err(error);
                return Ok(Tried { part, outcome });
            }
        };
        if answer.status() != StatusCode::PARTIAL_CONTENT && part.position() > 0 {
            // `Range` was ignored: this is the blob from its beginning.
            part.restart()?;
        }
        if let Err(error) = self.check_length(&answer, part.position()) {
            let outcome = Err(error);
            return Ok(Tried { part, outcome });
        }
        self.receive(answer, part).await
    }

    /// Asks for the blob from `position` on; breaks off when the registry has no such range or sends another.
    async fn ask(&self, position: u64) -> Result<ControlFlow<(), Answer>, RegistryError> {
        let mut ask = Ask::new(Method::GET, self.url());
        if position > 0 {
            let range = HeaderValue::from_str(&format!("bytes={position}-"))
                .expect("digits are allowed in a header");
            ask.headers.insert(header::RANGE, range);
        }
        let reply = self.session.send(ask).await?;
        let status = reply.answer.status();
        let elsewhere =
            status == StatusCode::PARTIAL_CONTENT && !self.is_range_from(&reply.answer, position);
        if status == StatusCode::RANGE_NOT_SATISFIABLE || elsewhere {
            return Ok(ControlFlow::Break(()));
        }
        let what = format!("layer {}", self.blob.digest);
        self.session
            .check(reply, &what)
            .await
            .map(ControlFlow::Continue)
    }

    fn url(&self) -> Url {
        let what = format!("blobs/{}", self.blob.digest);
        self.session.endpoint.url(&self.session.repository, &what)
    }

    fn no_range(&self) -> RegistryError {
        RegistryError::Protocol {
            url: RedactedUrl::new(&self.url()),
            reason: "it sends only a part, or 416, when all is asked for".to_owned(),
        }
    }

    /// Tells whether a partial answer is the part that was asked for.
    fn is_range_from(&self, answer: &Answer, position: u64) -> bool {
        let said = answer.header(header::CONTENT_RANGE).unwrap_or_default();
        said.strip_prefix("bytes ").is_some_and(|range| {
            let (span, total) = range.split_once('/').unwrap_or((range, "*"));
            let start = span.split('-').next().and_then(|start| start.parse().ok());
            let total_fits = total == "*" || total.parse() == Ok(self.blob.size);
            start == Some(position) && total_fits
        })
    }

    /// Refuses a body whose announced length does not fit, before reading it.
    fn check_length(&self, answer: &Answer, position: u64) -> Result<(), RegistryError> {
        let missing = self.blob.size - position;
        let Some(announced) = answer.length() else {
            return Ok(());
        };
        let whole = answer.status() != StatusCode::PARTIAL_CONTENT;
        let fits = if whole {
            announced == missing
        } else {
            announced <= missing
        };
        if fits {
            return Ok(());
        }
        Err(RegistryError::WrongSize {
            url: answer.shown_url(),
            expected: self.blob.size,
            found: position.saturating_add(announced),
        })
    }

    /// Reads the body on this task and writes it on another.
    async fn receive(&self, mut answer: Answer, part: PartWriter) -> Result<Tried, RegistryError> {
        let mut missing = self.blob.size - part.position();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = tokio::task::spawn_blocking({
            let (to, digest) = (self.to.clone(), self.blob.digest);
            move || {
                write(part, receiver, |bytes| {
                    to.reporter.event(Event::Fetched {
                        digest: &digest,
                        bytes,
                    });
                })
            }
        });
        let mut too_long = false;
        let outcome = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if chunk.len() as u64 > missing => {
                    too_long = true;
                    break Err(RegistryError::WrongSize {
                        url: answer.shown_url(),
                        expected: self.blob.size,
                        found: self.blob.size - missing + chunk.len() as u64,
                    });
                }
                Ok(Some(chunk)) => {
                    missing -= chunk.len() as u64;
                    if sender.send(chunk).await.is_err() {
                        // The writer has an error to tell.
                        break Ok(());
                    }
                }
                Ok(None) if missing > 0 => {
                    break Err(RegistryError::Broken {
                        url: answer.shown_url(),
                        source: None,
                    });
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(sender);
        let (mut part, written) = match writer.await {
            Ok(done) => done,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        };
        written?;
        if too_long {
            // Longer than it should be, so none of it is to be trusted.
            part.restart()?;
        }
        Ok(Tried { part, outcome })
    }
}

/// Hashes and writes what comes until the other end is dropped.
fn write(
    mut part: PartWriter,
    mut receiver: mpsc::Receiver<Bytes>,
    progress: impl Fn(u64),
) -> (PartWriter, Result<(), StoreError>) {
    while let Some(chunk) = receiver.blocking_recv() {
        if let Err(error) = part.write(&chunk) {
            return (part, Err(error));
        }
        progress(chunk.len() as u64);
    }
    (part, Ok(()))
}
