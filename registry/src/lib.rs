//! Talks to OCI registries: resolve a name, fetch what it names, tell whether it is still current, keep a small document.
//!
//! Invariants: this crate reads no environment variable and no home directory, knows no terminal, no definition and no
//! container; every body it reads is bounded, every byte it keeps is verified by the store, and no URL, token or password
//! leaves it unredacted. How the work is split between `oci-client` and `reqwest`: `doc/decisions/0002-registry-client.md`.

mod certificate;
mod challenge;
mod client;
mod clock;
mod connection;
mod credentials;
mod endpoint;
mod error;
mod fetch;
mod freshness;
mod probe;
mod protocol;
mod push;
mod redact;
mod resolve;
mod retry;
mod session;
mod token;
mod token_cache;
mod transport;

pub use certificate::{Certificate, CertificateSaid};
pub use client::{Client, ClientConfig, Destination, Head, Mirror, NamedPem, Proxies, Resolved};
pub use credentials::{CredentialError, CredentialSources, NamedHelper};
pub use error::{ProxyFault, RegistryError, TlsFault};
pub use freshness::{BuiltOn, Freshness};
pub use probe::{Probe, ProbeAnswer, Shown, Voucher};
pub use push::{ARTIFACT_LIMIT, Artifact, Pushed};
pub use redact::RedactedUrl;
