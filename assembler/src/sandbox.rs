//! The contract of whatever runs a step: a container engine, our own namespaces, or a test's fake.
//!
//! Contract: given an image in the store, run the scripts or carry out the instructions as root in a throwaway copy of its filesystem and hand over
//! what they changed as one layer tar. The host is not changed; a step that fails, is interrupted or killed leaves
//! nothing behind. The tar is untrusted: whoever consumes it checks every entry.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    image::Image,
    instruction::{Instruction, Secret, StepMount},
    recipe::ScriptFiles,
    reporter::Reporter,
    store::{BlobStore, SharedLock},
};

/// What is to be run.
#[derive(Debug)]
pub struct StepRequest<'a> {
    /// The store that has the image's layers.
    pub store: &'a BlobStore,
    /// Proof that nothing is pruned meanwhile.
    pub lock: &'a SharedLock,
    /// The image to run on.
    pub image: &'a Image,
    /// What is done in it.
    pub task: Task<'a>,
    /// Whether it may reach the network.
    pub network: StepNetwork,
    /// The step's own environment, on top of the image's; programs of instructions have their own.
    pub env: &'a BTreeMap<String, String>,
    /// Clamp for modification times.
    pub source_date: Option<i64>,
    /// What the scripts are run for, for people and for the labels of throwaway containers.
    pub title: &'a str,
}

/// What a step consists of.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Scripts of a definition run as root.
    Scripts {
        /// The definition's files.
        files: &'a ScriptFiles,
        /// The scripts to run, in order.
        run: &'a [String],
    },
    /// Instructions are carried out.
    Instructions {
        /// In this order.
        instructions: &'a [Instruction],
        /// There during all of them.
        mounts: &'a [StepMount],
        /// Variables that all programs get besides their own, and that no file may hold. They are text without NUL.
        secrets: &'a BTreeMap<String, Secret>,
    },
}

/// What network a step has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepNetwork {
    /// That of the sandbox's settings.
    #[default]
    Configured,
    /// None but its own loopback.
    None,
}

/// Takes the layer tar of a step whose scripts succeeded.
pub type Consume<'a> = dyn FnMut(&mut dyn Read) -> Result<(), CaptureError> + Send + 'a;

/// Runs scripts in throwaway copies of images.
pub trait Sandbox: Sync {
    /// Runs the step; on success hands the tar of what it changed to `consume`, exactly once.
    ///
    /// What is printed goes to `log`.
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError>;

    /// Runs the scripts and returns what they print on stdout, at most 1 MiB; the filesystem's changes are dropped, and
    /// whatever has not ended within `limit` is killed.
    fn query(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        limit: Duration,
    ) -> Result<Vec<u8>, SandboxError>;

    /// Names the runner for records, such as `docker 28.5.2`.
    fn runner(&self) -> String;
}

/// Why what a step changed could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The tar broke off or is not a valid layer.
    #[error("what the step changed is not a valid layer")]
    Layer(#[from] layer::tar::RecanonicaliseError),
    /// A file of ours cannot be placed where it should go.
    #[error("a file cannot be placed")]
    Path(#[from] layer::PathError),
    /// Something that is no directory is in the way of a file of ours.
    #[error("/{path} cannot be placed: /{by} leads to no directory")]
    Blocked {
        /// Where the file should go.
        path: String,
        /// What is in the way.
        by: String,
    },
    /// The layer could not be stored.
    #[error("the layer cannot be stored")]
    Store(#[from] crate::store::StoreError),
    /// The layer could not be compressed or read.
    #[error("the layer cannot be written")]
    Io(#[from] std::io::Error),
}

/// Why a step gave no layer.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A script, or the program of an instruction, exited with a failure.
    #[error("`{script}` exited with status {status}")]
    Script {
        /// Which one.
        script: String,
        /// Its exit status; 128 + n for signal n.
        status: i32,
    },
    /// A script could not be started.
    #[error("the step could not be run: {reason}")]
    Step {
        /// What the in-container program said.
        reason: String,
    },
    /// An instruction does not fit what is in the image: its destination, its owner or its user.
    #[error("{reason}")]
    Instruction {
        /// Which one and why.
        reason: String,
    },
    /// It took longer than it may, and was killed.
    #[error("it did not end within {} s and was killed", limit.as_secs())]
    TimeLimit {
        /// How long it may take.
        limit: Duration,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// What the step changed could not be taken over.
    #[error("the step's changes cannot be captured")]
    Capture(#[from] CaptureError),
    /// The log cannot be written.
    #[error("cannot write the log {}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The engine failed; its own error is the source.
    #[error("{engine} could not run the step")]
    Engine {
        /// Which engine.
        engine: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What an operation may touch.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The store.
    pub store: &'a BlobStore,
    /// Proof that nothing is pruned meanwhile.
    pub lock: &'a SharedLock,
    /// What runs scripts.
    pub sandbox: &'a dyn Sandbox,
    /// Who watches.
    pub reporter: &'a dyn Reporter,
    /// Where logs of steps go.
    pub logs: &'a Path,
    /// The time, RFC 3339 in UTC, for local records and log names.
    pub now: &'a str,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("store", self.store)
            .finish_non_exhaustive()
    }
}
