//! From a name to a manifest for a platform and its config, byte for byte.
//!
//! Invariants: what is returned hashes to what the reference, the index and the manifest say; all of it is in the store
//! when it is returned. HEAD is asked first where an earlier answer could spare the GET (Docker Hub counts GETs).

use assembler::{
    descriptor::{Descriptor, media_type},
    digest::Digest,
    manifest::{
        CONFIG_LIMIT, Document, ImageConfig, Index, MANIFEST_LIMIT, Manifest, ManifestError, Raw,
    },
    platform::Platform,
    reference::ImageReference,
    reporter::{Event, Reporter},
    store::{RemoteRecord, StoreError},
};
use reqwest::{
    Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use crate::{
    Client, Destination, Head, RedactedUrl, RegistryError, Resolved,
    client::blocking,
    clock,
    session::{Reply, Session},
    transport::{Answer, Ask},
};

/// The same for HEAD and GET, else the digests differ: an index for one, a single manifest for the other.
const ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json",
);
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Indexes of indexes are legal; more than this is nobody's intention.
const MAX_NESTING: u32 = 3;

/// A document of a registry, verified.
struct Received {
    document: Document,
    digest: Digest,
}

impl Client {
    /// Asks for the digest of a reference, with HEAD where the registry knows it.
    pub async fn head(
        &self,
        reference: &ImageReference,
        reporter: &dyn Reporter,
    ) -> Result<Head, RegistryError> {
        let endpoints = self.endpoints(reference)?;
        for endpoint in &endpoints {
            let session = self.session(endpoint, reference, reporter);
            match session.head(reference).await {
                Ok(head) => return Ok(head),
                Err(error) => pass_over(&session, error)?,
            }
        }
        Err(no_place(reference))
    }

    /// Looks up a reference: its manifest and config are kept in the store, and what the registry said is remembered.
    pub async fn resolve(
        &self,
        reference: &ImageReference,
        platform: &Platform,
        to: &Destination,
    ) -> Result<Resolved, RegistryError> {
        let shown = reference.familiar();
        to.reporter.event(Event::Resolving { reference: &shown });
        if let Some(known) = self.known(reference, platform, to).await? {
            return Ok(known);
        }
        let endpoints = self.endpoints(reference)?;
        let mut lacking = false;
        for endpoint in &endpoints {
            let session = self.session(endpoint, reference, &*to.reporter);
            match session.resolve(reference, platform, to).await {
                Ok(resolved) => {
                    self.remember(&resolved, to).await?;
                    return Ok(resolved);
                }
                Err(error) => {
                    let missing = matches!(error, RegistryError::NotFound { .. });
                    match pass_over(&session, error) {
                        Ok(()) => lacking |= missing,
                        // A mirror answered that there is none, and the registry behind it cannot be asked: the
                        // mirror's word stands, or a machine that has only mirrors could never be told "none".
                        Err(error) if lacking && error.is_offline() => {
                            return Err(no_place(reference));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Err(no_place(reference))
    }

    /// Returns what the store has, if a HEAD says that the registry still has the same.
    async fn known(
        &self,
        reference: &ImageReference,
        platform: &Platform,
        to: &Destination,
    ) -> Result<Option<Resolved>, RegistryError> {
        let record = to.store.remote(reference)?;
        let (pinned, wanted) = match (&record, reference.digest()) {
            (Some(record), _) => (record.digest, record.manifest.digest),
            (None, Some(digest)) => (*digest, *digest),
            (None, None) => return Ok(None),
        };
        // What a digest names cannot change.
        if reference.digest().is_some_and(|digest| *digest != pinned) {
            return Ok(None);
        }
        let manifest = match to.store.manifest(&wanted) {
            Ok(Some(manifest)) => manifest,
            // An index, of which only the registry's answer tells what is ours.
            Ok(None) | Err(StoreError::Manifest(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !to.store.has(&manifest.value().config)? {
            return Ok(None);
        }
        let config = to.store.config(&manifest)?;
        if platform.rank(&config.value().platform()).is_none() {
            return Ok(None);
        }
        let resolved = Resolved {
            reference: reference.pin(pinned),
            index: None,
            manifest,
            config,
        };
        if reference.digest().is_none() {
            if self.head(reference, &*to.reporter).await?.digest != pinned {
                return Ok(None);
            }
            self.remember(&resolved, to).await?;
        }
        Ok(Some(resolved))
    }

    async fn remember(&self, resolved: &Resolved, to: &Destination) -> Result<(), RegistryError> {
        let record = RemoteRecord {
            reference: resolved.reference.reference().clone(),
            digest: *resolved.reference.digest(),
            manifest: manifest_descriptor(&resolved.manifest),
            layers: resolved.manifest.value().layers.clone(),
            checked_at: clock::rfc3339((self.shared.config.clock)()),
            gone_at: None,
        };
        let to = to.clone();
        blocking(move || to.store.remember_remote(&to.lock, &record)).await?;
        Ok(())
    }
}

impl Session<'_> {
    async fn head(&self, reference: &ImageReference) -> Result<Head, RegistryError> {
        let mut backoff = self.backoff();
        loop {
            match self.head_once(reference).await {
                Ok(head) => return Ok(head),
                Err(error) => backoff.pause(error, self.reporter).await?,
            }
        }
    }

    async fn head_once(&self, reference: &ImageReference) -> Result<Head, RegistryError> {
        let target = reference.tag_or_digest();
        let reply = self.ask_manifest(Method::HEAD, &target).await?;
        let unsupported = matches!(
            reply.answer.status(),
            StatusCode::BAD_REQUEST
                | StatusCode::FORBIDDEN
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED
        );
        if !unsupported {
            let answer = self.check(reply, &described(reference)).await?;
            if let Some(digest) = announced_digest(&answer) {
                agree(&answer, reference.digest(), digest)?;
                return Ok(Head {
                    digest,
                    media_type: content_type(&answer),
                });
            }
        }
        let received = self
            .document(reference, &target, reference.digest())
            .await?;
        let media_type = match &received.document {
            Document::Index(index) => index_type(index).to_owned(),
            Document::Manifest(manifest) => manifest_descriptor(manifest).media_type,
        };
        Ok(Head {
            digest: received.digest,
            media_type,
        })
    }

    async fn resolve(
        &self,
        reference: &ImageReference,
        platform: &Platform,
        to: &Destination,
    ) -> Result<Resolved, RegistryError> {
        let unusable = |source| unusable(reference, source);
        let target = reference.tag_or_digest();
        let mut received = self
            .document_patiently(reference, &target, reference.digest())
            .await?;
        let pinned = reference.pin(received.digest);
        let mut first_index = None;
        let mut nesting = 0;
        let manifest = loop {
            match received.document {
                Document::Manifest(manifest) => break manifest,
                Document::Index(index) => {
                    nesting += 1;
                    if nesting > MAX_NESTING {
                        return Err(unusable(ManifestError::Invalid {
                            what: "index",
                            digest: *index.digest(),
                            reason: "it is an index of indexes of indexes".to_owned(),
                        }));
                    }
                    keep(to, index_type(&index), index.bytes()).await?;
                    let entry = index.pick(platform).map_err(unusable)?.descriptor.clone();
                    first_index.get_or_insert(index);
                    received = self.entry(reference, &entry, to).await?;
                }
            }
        };
        let descriptor = manifest_descriptor(&manifest);
        keep(to, &descriptor.media_type, manifest.bytes()).await?;
        let config = self.config(reference, &manifest, to).await?;
        let offered = config.value().platform();
        if platform.rank(&offered).is_none() && !offered.os.is_empty() {
            let shown = reference.familiar();
            let message = format!("{shown} is an image for {offered}, not for {platform}");
            self.reporter.event(Event::Warning { message: &message });
        }
        Ok(Resolved {
            reference: pinned,
            index: first_index,
            manifest,
            config,
        })
    }

    /// Gets what an index lists: from the store, else from the registry.
    async fn entry(
        &self,
        reference: &ImageReference,
        entry: &Descriptor,
        to: &Destination,
    ) -> Result<Received, RegistryError> {
        if entry.size <= MANIFEST_LIMIT && to.store.has(entry)? {
            let bytes = to.store.read_bytes(entry, MANIFEST_LIMIT)?;
            let document = Document::parse(bytes, &entry.media_type)
                .map_err(|source| unusable(reference, source))?;
            return Ok(Received {
                document,
                digest: entry.digest,
            });
        }
        let target = entry.digest.to_string();
        self.document_patiently(reference, &target, Some(&entry.digest))
            .await
    }

    async fn config(
        &self,
        reference: &ImageReference,
        manifest: &Raw<Manifest>,
        to: &Destination,
    ) -> Result<Raw<ImageConfig>, RegistryError> {
        let descriptor = &manifest.value().config;
        if to.store.has(descriptor)? {
            return Ok(to.store.config(manifest)?);
        }
        let mut backoff = self.backoff();
        let bytes = loop {
            match self.small_blob(descriptor).await {
                Ok(bytes) => break bytes,
                Err(error) => backoff.pause(error, self.reporter).await?,
            }
        };
        let config =
            Raw::<ImageConfig>::read(bytes).map_err(|source| unusable(reference, source))?;
        keep(to, &descriptor.media_type, config.bytes()).await?;
        Ok(config)
    }

    /// Gets a blob into memory, verified.
    pub(crate) async fn small_blob(
        &self,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        let what = format!("blobs/{}", descriptor.digest);
        let url = self.endpoint.url(&self.repository, &what);
        let reply = self.send(Ask::new(Method::GET, url)).await?;
        let shown = format!("config {}", descriptor.digest);
        let answer = self.check(reply, &shown).await?;
        let url = answer.shown_url();
        let bytes = answer.bytes("image config", CONFIG_LIMIT).await?;
        if bytes.len() as u64 != descriptor.size {
            return Err(RegistryError::WrongSize {
                url,
                expected: descriptor.size,
                found: bytes.len() as u64,
            });
        }
        verify(url, &descriptor.digest, &bytes)?;
        Ok(bytes)
    }

    async fn document_patiently(
        &self,
        reference: &ImageReference,
        target: &str,
        expected: Option<&Digest>,
    ) -> Result<Received, RegistryError> {
        let mut backoff = self.backoff();
        loop {
            match self.document(reference, target, expected).await {
                Ok(received) => return Ok(received),
                Err(error) => backoff.pause(error, self.reporter).await?,
            }
        }
    }

    /// Gets a manifest or index and checks its digest.
    async fn document(
        &self,
        reference: &ImageReference,
        target: &str,
        expected: Option<&Digest>,
    ) -> Result<Received, RegistryError> {
        let reply = self.ask_manifest(Method::GET, target).await?;
        let answer = self.check(reply, &described(reference)).await?;
        let announced = announced_digest(&answer);
        if let Some(announced) = announced {
            agree(&answer, expected, announced)?;
        }
        let url = answer.shown_url();
        let said = content_type(&answer);
        let bytes = answer.bytes("manifest", MANIFEST_LIMIT).await?;
        let digest = match expected.copied().or(announced) {
            Some(digest) => {
                verify(url, &digest, &bytes)?;
                digest
            }
            None => Digest::of(&bytes),
        };
        if said.starts_with("application/vnd.docker.distribution.manifest.v1+") {
            return Err(RegistryError::Schema1 {
                reference: reference.familiar(),
            });
        }
        let document =
            Document::parse(bytes, &said).map_err(|source| unusable(reference, source))?;
        Ok(Received { document, digest })
    }

    async fn ask_manifest(&self, method: Method, target: &str) -> Result<Reply, RegistryError> {
        let what = format!("manifests/{target}");
        let mut ask = Ask::new(method, self.endpoint.url(&self.repository, &what));
        ask.headers.insert(header::ACCEPT, ACCEPT);
        self.send(ask).await
    }
}

/// Goes on to the next place after a mirror's failure; the registry's own failure is final.
pub(crate) fn pass_over(session: &Session<'_>, error: RegistryError) -> Result<(), RegistryError> {
    let ours = matches!(error, RegistryError::Store { .. });
    if ours || !session.endpoint.is_mirror() {
        return Err(error);
    }
    // That a mirror does not have everything is its nature.
    let fault = !matches!(error, RegistryError::NotFound { .. });
    if fault && session.shared.give_up(session.endpoint) {
        let mirror = &session.endpoint.registry;
        let message = format!("mirror {mirror} is passed over from now on: {error}");
        session.reporter.event(Event::Warning { message: &message });
    }
    Ok(())
}

/// The error after the last place, which `pass_over` has always returned before.
pub(crate) fn no_place(reference: &ImageReference) -> RegistryError {
    RegistryError::NotFound {
        registry: reference.registry().to_owned(),
        what: described(reference),
    }
}

/// Returns the descriptor of a manifest, whose media type OCI leaves out at times.
pub(crate) fn manifest_descriptor(manifest: &Raw<Manifest>) -> Descriptor {
    let said = manifest.value().media_type.as_str();
    let kind = if media_type::is_manifest(said) {
        said
    } else {
        media_type::OCI_MANIFEST
    };
    Descriptor::of(kind, manifest.bytes())
}

fn index_type(index: &Raw<Index>) -> &str {
    match index.value().media_type.as_str() {
        "" => media_type::OCI_INDEX,
        said => said,
    }
}

fn described(reference: &ImageReference) -> String {
    format!("image `{}`", reference.familiar())
}

fn unusable(reference: &ImageReference, source: ManifestError) -> RegistryError {
    RegistryError::Manifest {
        reference: reference.familiar(),
        source,
    }
}

fn content_type(answer: &Answer) -> String {
    let said = answer.header(header::CONTENT_TYPE).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().to_owned()
}

fn announced_digest(answer: &Answer) -> Option<Digest> {
    answer.header(CONTENT_DIGEST)?.parse().ok()
}

fn agree(
    answer: &Answer,
    expected: Option<&Digest>,
    announced: Digest,
) -> Result<(), RegistryError> {
    match expected {
        // Two algorithms cannot be compared; the content will be.
        Some(expected) if expected.algorithm() == announced.algorithm() => {
            if *expected == announced {
                Ok(())
            } else {
                Err(RegistryError::WrongDigest {
                    url: answer.shown_url(),
                    expected: *expected,
                    found: announced,
                })
            }
        }
        _ => Ok(()),
    }
}

fn verify(url: RedactedUrl, expected: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
    let mut hasher = expected.hasher();
    hasher.update(bytes);
    let found = hasher.finish();
    if found == *expected {
        Ok(())
    } else {
        Err(RegistryError::WrongDigest {
            url,
            expected: *expected,
            found,
        })
    }
}

async fn keep(to: &Destination, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
    let to = to.clone();
    let media_type = media_type.to_owned();
    let bytes = bytes.to_vec();
    blocking(move || to.store.write_bytes(&to.lock, &media_type, &bytes)).await?;
    Ok(())
}
