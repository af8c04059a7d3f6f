//! The client: what it is configured with. What can be asked of it is in `resolve`, `fetch` and `freshness`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use assembler::{
    digest::Digest,
    manifest::{ImageConfig, Index, Manifest, Raw},
    reference::{ImageReference, PinnedReference},
    reporter::Reporter,
    store::{BlobStore, SharedLock, StoreError},
};
use tokio::sync::Semaphore;

use crate::{
    CredentialSources, RegistryError,
    endpoint::{Endpoint, endpoints},
    session::{Session, Shared},
    token::{PULL, Tokens},
    transport::Transport,
};

/// What a client is made from; everything that settings decide, already resolved.
#[derive(Clone)]
pub struct ClientConfig {
    /// Where credentials are looked for.
    pub credentials: CredentialSources,
    /// Mirrors by registry host (`docker.io`, `ghcr.io`), tried in order before the registry itself.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// Registries (`host` or `host:port`) that are spoken to over HTTP; loopback needs no entry.
    pub plain_http: BTreeSet<String>,
    /// Proxies, as the usual variables give them.
    pub proxies: Proxies,
    /// Certificate authorities besides the system's.
    pub extra_ca: Vec<NamedPem>,
    /// A directory for bearer tokens; none are kept on disk without one.
    pub token_cache: Option<PathBuf>,
    /// What the client calls itself.
    pub user_agent: String,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a server may send nothing, or less than 1 KiB/s.
    pub idle_timeout: Duration,
    /// How many blobs are fetched at once.
    pub max_concurrent: usize,
    /// The wait before the first retry; it doubles with each further one.
    pub retry_base: Duration,
    /// Tells the time.
    pub clock: fn() -> SystemTime,
}

/// Another place for a registry's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// `http(s)://host[:port][/prefix]`; a prefix is put before the repository.
    pub url: String,
}

/// Proxies by scheme, and hosts that are reached without one; values as in the usual variables.
#[derive(Clone, Default)]
pub struct Proxies {
    /// `HTTP_PROXY`.
    pub http: Option<String>,
    /// `HTTPS_PROXY`.
    pub https: Option<String>,
    /// `ALL_PROXY`.
    pub all: Option<String>,
    /// `NO_PROXY`; loopback is always added.
    pub no_proxy: Option<String>,
}

/// A PEM file of certificate authorities, already read.
#[derive(Clone)]
pub struct NamedPem {
    /// Its path or origin, for messages.
    pub name: String,
    /// Its content.
    pub pem: Vec<u8>,
}

/// Where fetched things go and who watches.
#[derive(Clone)]
pub struct Destination {
    /// The store.
    pub store: BlobStore,
    /// Proof that nothing is pruned meanwhile.
    pub lock: Arc<SharedLock>,
    /// Who watches.
    pub reporter: Arc<dyn Reporter>,
}

/// What a registry says of a reference without giving it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// Its media type, as the registry says.
    pub media_type: String,
}

/// What a reference turned out to be, byte for byte.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The reference, pinned to the digest its tag names: the index's if there is one.
    pub reference: PinnedReference,
    /// The index that the reference names, if it names one and it was fetched just now.
    pub index: Option<Raw<Index>>,
    /// The manifest for the platform.
    pub manifest: Raw<Manifest>,
    /// Its config.
    pub config: Raw<ImageConfig>,
}

/// A client of registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

impl Client {
    /// Makes a client; nothing is read or connected yet.
    pub fn new(config: ClientConfig) -> Self {
        let config = Arc::new(config);
        Self {
            shared: Arc::new(Shared {
                transport: Transport::new(Arc::clone(&config)),
                tokens: Tokens::new(Arc::clone(&config)),
                blobs: Arc::new(Semaphore::new(config.max_concurrent.max(1))),
                failed: Mutex::default(),
                config,
            }),
        }
    }

    /// Returns where a reference is asked for, in order.
    pub(crate) fn endpoints(
        &self,
        reference: &ImageReference,
    ) -> Result<Vec<Endpoint>, RegistryError> {
        let mut endpoints = endpoints(&self.shared.config, reference.registry())?;
        endpoints.retain(|endpoint| self.shared.is_worth_asking(endpoint));
        Ok(endpoints)
    }

    /// Begins to ask about `reference`'s repository at `endpoint`.
    pub(crate) fn session<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        reference: &ImageReference,
        reporter: &'a dyn Reporter,
    ) -> Session<'a> {
        Session {
            shared: &self.shared,
            endpoint,
            repository: endpoint.repository(reference),
            actions: PULL,
            reporter,
        }
    }
}

/// Runs work on the store where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        // The runtime ends blocking work that has not begun only when it ends itself.
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

impl ClientConfig {
    /// Returns a configuration without credentials, mirrors and proxies.
    pub fn new(clock: fn() -> SystemTime) -> Self {
        Self {
            credentials: CredentialSources::default(),
            mirrors: BTreeMap::new(),
            plain_http: BTreeSet::new(),
            proxies: Proxies::default(),
            extra_ca: Vec::new(),
            token_cache: None,
            user_agent: concat!("aicage/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            max_concurrent: 4,
            retry_base: Duration::from_millis(500),
            clock,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").finish_non_exhaustive()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").finish_non_exhaustive()
    }
}

impl fmt::Debug for NamedPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedPem").field(&self.name).finish()
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").finish_non_exhaustive()
    }
}
