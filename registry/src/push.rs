//! Small documents kept in a registry as OCI artifacts: one blob under a manifest, read and written whole.
//!
//! Invariants: only the registry itself is asked, never a mirror; a document is at most 16 MiB; an upload goes to the
//! registry that was asked for and nowhere else; the tag is moved last. Registries have no compare-and-swap: of two
//! writers at once the later one wins, and each must read again to know.

use assembler::{
    descriptor::{
        Descriptor,
        media_type::{OCI_EMPTY, OCI_MANIFEST},
    },
    digest::Digest,
    manifest::MANIFEST_LIMIT,
    reference::ImageReference,
    reporter::Reporter,
};
use bytes::Bytes;
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderValue},
};
use serde::{Deserialize, Serialize};

use crate::{
    Client, RedactedUrl, RegistryError,
    endpoint::Endpoint,
    session::Session,
    token::PUSH,
    transport::{Ask, Redirects},
};

/// The largest document, in bytes: larger ones are neither taken nor kept.
pub const ARTIFACT_LIMIT: u64 = 16 << 20;

/// A document to be kept, small enough to be read again.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    artifact_type: &'static str,
    content: &'a [u8],
}

impl<'a> Artifact<'a> {
    /// Takes a document and what it is, as a media type; nothing if it has more than [`ARTIFACT_LIMIT`] bytes.
    pub fn new(artifact_type: &'static str, content: &'a [u8]) -> Option<Self> {
        (content.len() as u64 <= ARTIFACT_LIMIT).then_some(Self {
            artifact_type,
            content,
        })
    }
}

/// A document as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The document.
    pub content: Vec<u8>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactManifest {
    schema_version: u32,
    media_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Client {
    /// Gets the document under a tag; `None` where there is none.
    pub async fn artifact(
        &self,
        reference: &ImageReference,
        artifact_type: &'static str,
        reporter: &dyn Reporter,
    ) -> Result<Option<Pushed>, RegistryError> {
        let endpoint = self.own_endpoint(reference)?;
        let session = self.session(&endpoint, reference, reporter);
        let what = format!("manifests/{}", reference.tag_or_digest());
        let mut ask = Ask::new(Method::GET, endpoint.url(&session.repository, &what));
        ask.headers
            .insert(header::ACCEPT, HeaderValue::from_static(OCI_MANIFEST));
        let reply = session.send(ask).await?;
        if reply.answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let shown = reference.familiar();
        let answer = session.check(reply, &shown).await?;
        let url = answer.shown_url();
        let bytes = answer.bytes("manifest", MANIFEST_LIMIT).await?;
        let refused = |reason: &str| RegistryError::Protocol {
            url: url.clone(),
            reason: reason.to_owned(),
        };
        let manifest: ArtifactManifest = serde_json::from_slice(&bytes)
            .map_err(|_not_one| refused("that is no manifest of an artifact"))?;
        let [layer] = manifest.layers.as_slice() else {
            return Err(refused("that is no document: it has not one blob"));
        };
        if layer.media_type != artifact_type {
            return Err(refused("that is an artifact of another kind"));
        }
        if layer.size > ARTIFACT_LIMIT {
            return Err(refused("the document is larger than 16 MiB"));
        }
        let content = session.small_blob(layer).await?;
        Ok(Some(Pushed {
            digest: Digest::of(&bytes),
            content,
        }))
    }

    /// Puts a document under a tag in place of what was there, and returns the digest of its manifest.
    pub async fn put_artifact(
        &self,
        reference: &ImageReference,
        artifact: &Artifact<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Digest, RegistryError> {
        let endpoint = self.own_endpoint(reference)?;
        let session = Session {
            actions: PUSH,
            ..self.session(&endpoint, reference, reporter)
        };
        let config = session.put_blob(OCI_EMPTY, b"{}").await?;
        let layer = session
            .put_blob(artifact.artifact_type, artifact.content)
            .await?;
        let manifest = ArtifactManifest {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            artifact_type: artifact.artifact_type.to_owned(),
            config,
            layers: vec![layer],
        };
        let body = serde_json::to_vec(&manifest).expect("descriptors are plain data");
        let digest = Digest::of(&body);
        let what = format!("manifests/{}", reference.tag_or_digest());
        let url = endpoint.url(&session.repository, &what);
        session
            .put(url, HeaderValue::from_static(OCI_MANIFEST), body)
            .await?;
        Ok(digest)
    }

    /// The registry itself stands behind its mirrors.
    fn own_endpoint(&self, reference: &ImageReference) -> Result<Endpoint, RegistryError> {
        let mut endpoints = self.endpoints(reference)?;
        Ok(endpoints
            .pop()
            .expect("the registry itself is always there"))
    }
}

impl Session<'_> {
    async fn put_blob(
        &self,
        media_type: &str,
        content: &[u8],
    ) -> Result<Descriptor, RegistryError> {
        let descriptor = Descriptor::of(media_type, content);
        let what = format!("blobs/{}", descriptor.digest);
        let url = self.endpoint.url(&self.repository, &what);
        let there = self.send(Ask::new(Method::HEAD, url)).await?;
        if there.answer.status().is_success() {
            return Ok(descriptor);
        }
        drop(there);
        let begin = self.endpoint.url(&self.repository, "blobs/uploads/");
        let mut ask = Ask::new(Method::POST, begin.clone());
        ask.redirects = Redirects::Refused;
        ask.body = Some(Bytes::new());
        let reply = self.send(ask).await?;
        let answer = self.check(reply, &what).await?;
        let location = answer.header(header::LOCATION).unwrap_or_default();
        let target = begin
            .join(location)
            .ok()
            .filter(|target| !location.is_empty() && target.origin() == begin.origin());
        let Some(mut target) = target else {
            return Err(RegistryError::Redirect {
                from: RedactedUrl::new(&begin),
                to: RedactedUrl::of_text(location),
                reason: "an upload goes to the registry itself",
            });
        };
        target
            .query_pairs_mut()
            .append_pair("digest", &descriptor.digest.to_string());
        let octets = HeaderValue::from_static("application/octet-stream");
        self.put(target, octets, content.to_vec()).await?;
        Ok(descriptor)
    }

    async fn put(
        &self,
        url: Url,
        media_type: HeaderValue,
        body: Vec<u8>,
    ) -> Result<(), RegistryError> {
        let mut ask = Ask::new(Method::PUT, url);
        ask.headers.insert(header::CONTENT_TYPE, media_type);
        ask.redirects = Redirects::Refused;
        ask.body = Some(body.into());
        let reply = self.send(ask).await?;
        drop(self.check(reply, "what was uploaded").await?);
        Ok(())
    }
}
