//! Why a registry did not give what was asked for.
//!
//! Invariant: no variant holds a token, a password or an unredacted URL; texts from the network are cut and printable.

use std::time::Duration;

use assembler::{digest::Digest, manifest::ManifestError, store::StoreError};

use crate::{credentials::CredentialError, redact::RedactedUrl};

/// Why a request to a registry failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry wants other credentials than it was given.
    #[error("{registry} refuses access to `{repository}`{}", if *had_credentials { " with the credentials that are configured" } else { "; no credentials are configured" })]
    Unauthorized {
        /// The registry's host.
        registry: String,
        /// The repository.
        repository: String,
        /// Whether credentials were found and sent.
        had_credentials: bool,
        /// What the registry said, may be empty.
        message: String,
    },
    /// Credentials are configured but cannot be had.
    #[error("cannot get the credentials for {registry}")]
    Credentials {
        /// The registry's host.
        registry: String,
        /// Why.
        #[source]
        source: CredentialError,
    },
    /// The registry names a token server that credentials are not sent to.
    #[error("{registry} wants credentials sent to {realm}: {reason}")]
    Realm {
        /// The registry's host.
        registry: String,
        /// Where it wants them sent.
        realm: RedactedUrl,
        /// Why that is refused.
        reason: &'static str,
    },
    /// An answer breaks the protocol.
    #[error("{url} answered against the protocol: {reason}")]
    Protocol {
        /// What was asked.
        url: RedactedUrl,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The registry has no such thing.
    #[error("{registry} has no {what}")]
    NotFound {
        /// The registry's host.
        registry: String,
        /// A reference or a blob's digest, with its kind.
        what: String,
    },
    /// Too many requests.
    #[error("{registry} allows no more requests for now{}", after(*.retry_after))]
    RateLimited {
        /// The registry's host.
        registry: String,
        /// When it may be tried again, if the registry said.
        retry_after: Option<Duration>,
        /// What the registry said, may be empty.
        message: String,
    },
    /// The server failed, or answered with a status that means nothing here.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was asked.
        url: RedactedUrl,
        /// The HTTP status.
        status: u16,
        /// When it may be tried again, if the server said.
        retry_after: Option<Duration>,
        /// What the server said, may be empty.
        message: String,
    },
    /// The server's certificate is not accepted.
    #[error("the connection to {host} is not safe: {fault}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        fault: TlsFault,
        /// What the connection said.
        #[source]
        source: reqwest::Error,
    },
    /// No connection.
    #[error("cannot reach {host}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The proxy on the way did not let the request through.
    #[error("the proxy {proxy} {fault}, on the way to {host}")]
    Proxy {
        /// The proxy.
        proxy: RedactedUrl,
        /// The host that was asked.
        host: String,
        /// What the proxy did.
        fault: ProxyFault,
        /// What the connection said, where it said anything.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// Nothing came for too long.
    #[error("{url} sent nothing for {} s", after.as_secs_f32())]
    Timeout {
        /// What was asked.
        url: RedactedUrl,
        /// How long we waited.
        after: Duration,
    },
    /// The connection broke in the middle.
    #[error("the connection broke while {url} was read")]
    Broken {
        /// What was asked.
        url: RedactedUrl,
        /// Why, where the connection said.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The content is not what its digest says.
    #[error("{url} sent content that hashes to {found} instead of {expected}")]
    WrongDigest {
        /// What was asked.
        url: RedactedUrl,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The content is not as long as its descriptor says.
    #[error("{url} sent {found} bytes or more instead of {expected}")]
    WrongSize {
        /// What was asked.
        url: RedactedUrl,
        /// The size that the descriptor names.
        expected: u64,
        /// The size that came or was announced.
        found: u64,
    },
    /// Larger than any honest answer.
    #[error("{url} sent more than {limit} bytes of {what}")]
    TooLarge {
        /// What was asked.
        url: RedactedUrl,
        /// What kind of answer it is.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// A redirect that is not followed.
    #[error("{from} redirects to {to}: {reason}")]
    Redirect {
        /// What was asked.
        from: RedactedUrl,
        /// Where it points.
        to: RedactedUrl,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// Docker's image format of before 2016.
    #[error("{reference} is a Docker schema 1 image, a format that is no longer read")]
    Schema1 {
        /// The reference.
        reference: String,
    },
    /// A manifest, index or config is not one, or has no image for the platform.
    #[error("cannot use {reference}")]
    Manifest {
        /// The reference.
        reference: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// The store refused.
    #[error("cannot keep what was fetched")]
    Store {
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A setting of the client is wrong.
    #[error("cannot use {setting}")]
    Setting {
        /// Which: a CA file, a proxy, a mirror.
        setting: String,
        /// Why.
        #[source]
        source: Option<reqwest::Error>,
    },
}

/// What a proxy did instead of letting a request through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFault {
    /// It does not know who asks.
    Login,
    /// It does not let anybody there, or cannot reach it.
    Refusal,
    /// It is not there itself.
    Absent,
}

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// Signed by a certificate authority that is not known here.
    UnknownAuthority,
    /// Made for another name.
    WrongName,
    /// Expired or not valid yet.
    Expired,
    /// The certificate is refused for another reason.
    Certificate,
    /// The handshake failed, as when the server does not speak TLS.
    Handshake,
}

impl RegistryError {
    /// Tells whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. } => true,
            Self::Proxy { fault, .. } => *fault == ProxyFault::Absent,
            Self::Status { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            Self::Unauthorized { .. }
            | Self::Credentials { .. }
            | Self::Realm { .. }
            | Self::Protocol { .. }
            | Self::NotFound { .. }
            | Self::Tls { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::TooLarge { .. }
            | Self::Redirect { .. }
            | Self::Schema1 { .. }
            | Self::Manifest { .. }
            | Self::Store { .. }
            | Self::Setting { .. } => false,
        }
    }

    /// Tells whether the registry could not be reached at all, as without a network.
    pub fn is_offline(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::Proxy { fault, .. } => *fault == ProxyFault::Absent,
            _ => false,
        }
    }

    /// Returns how long the server asked to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Status { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

impl From<StoreError> for RegistryError {
    fn from(source: StoreError) -> Self {
        Self::Store { source }
    }
}

fn after(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| {
        format!("; it asks to wait {} s", wait.as_secs())
    })
}

impl std::fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Login => "wants a name and a password that it knows",
            Self::Refusal => "refuses",
            Self::Absent => "cannot be reached",
        })
    }
}

impl std::fmt::Display for TlsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownAuthority => {
                "its certificate is signed by an authority that is not known here"
            }
            Self::WrongName => "its certificate is for another name",
            Self::Expired => "its certificate is expired or not valid yet",
            Self::Certificate => "its certificate is not accepted",
            Self::Handshake => "the TLS handshake failed",
        })
    }
}
