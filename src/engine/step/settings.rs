//! What all steps of a sandbox have in common.

use std::{collections::BTreeMap, path::PathBuf};

use tokio_util::sync::CancellationToken;

use crate::engine::session::Network;

/// What all steps of a sandbox have in common.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// The program for containers of the image's architecture.
    pub init: &'static [u8],
    /// A directory of ours where files of running steps are kept; best below the home directory, which engines in
    /// confinement can see too.
    pub scratch: PathBuf,
    /// A directory of ours where locks of caches are.
    pub locks: PathBuf,
    /// Variables that scripts need to reach the network, such as proxies; no part of a step's meaning.
    pub env: BTreeMap<String, String>,
    /// `name:address` for the hosts file of the containers.
    pub hosts: Vec<String>,
    /// Certificates to trust besides the image's own, PEM.
    pub ca: Option<Vec<u8>>,
    /// The steps' network.
    pub network: Network,
    /// Cancelled when the user interrupts.
    pub interrupt: CancellationToken,
}
