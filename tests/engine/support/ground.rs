//! What a test works on: an engine, a store and an image; and what is left in them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use aicage::{
    engine::{
        Engine, EngineSandbox, SandboxSettings,
        docker::{Docker, EngineInfo, EngineSettings, connect},
        native::{Native, Upkeep},
        session::Network,
    },
    init_program::init_for,
};
use assembler::{
    image::Image,
    store::{BlobStore, SharedLock, rootfs::InMapping as _},
};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{
    engines::{NATIVE, native},
    image::{directory, file, image_of, shell, tar_of},
    record::Recorder,
};

/// A store, an engine, and an image with a shell in the store.
pub(crate) struct Ground {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) runtime: Runtime,
    engine: Engine,
    /// This machine, whatever the engine is.
    native: Native,
    pub(crate) address: String,
    pub(crate) store: BlobStore,
    pub(crate) lock: SharedLock,
    pub(crate) image: Image,
}

impl Ground {
    pub(super) fn new(address: &str, salt: &str, busybox: &[u8]) -> Self {
        let runtime = Runtime::new().unwrap();
        // A directory that root inside may enter, wherever temporary files are.
        let home = tempfile::tempdir().unwrap();
        let native = native(&home.path().join("store"));
        let engine = if address == NATIVE {
            Engine::Native(native.clone())
        } else {
            let settings = EngineSettings {
                host: Some(address.to_owned()),
                ..EngineSettings::default()
            };
            Engine::Docker(runtime.block_on(connect(&settings)).unwrap())
        };
        let store = BlobStore::open(&home.path().join("store")).unwrap();
        let lock = store.share().unwrap();
        // Unlike that of any other run, so that nothing of it is in the engine yet.
        let salt = format!("{salt} {}", home.path().display());
        let layers = [
            shell(busybox, &salt),
            tar_of(&[directory("etc", 0o755), file("etc/second", b"2", 0o644)]),
        ];
        let image = image_of(&store, &lock, &layers, &json!({}));
        Self {
            directory: home,
            runtime,
            engine,
            native,
            address: address.to_owned(),
            store,
            lock,
            image,
        }
    }

    /// The engine, on tests of those.
    pub(crate) fn engine_docker(&self) -> &Docker {
        self.engine.docker().unwrap()
    }

    /// Tells whether it is this machine by itself.
    pub(crate) fn is_native(&self) -> bool {
        self.engine.docker().is_none()
    }

    pub(crate) fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    /// Where the container's root is nobody's root, the kernel makes none.
    pub(crate) fn makes_no_devices(&self) -> bool {
        self.is_native() || self.info().is_rootless()
    }

    /// The caches that are called `id`; on this machine all that there are.
    pub(crate) fn caches(&self, id: &str) -> Vec<String> {
        if self.is_native() {
            let entries = fs_err::read_dir(self.native_caches()).into_iter().flatten();
            let name = |entry: std::io::Result<fs_err::DirEntry>| entry.unwrap().file_name();
            return entries
                .map(|entry| name(entry).into_string().unwrap())
                .collect();
        }
        let caches = self.runtime.block_on(self.engine_docker().caches());
        let mine = caches.unwrap().into_iter();
        mine.filter(|(_, label)| *label == id)
            .map(|(volume, _)| volume)
            .collect()
    }

    pub(crate) fn remove_cache(&self, name: &str) {
        if self.is_native() {
            return self.remove_inside(&self.native_caches(), name);
        }
        let removed = self.engine_docker().remove_cache(name);
        let removed = self.runtime.block_on(removed).unwrap();
        assert!(removed, "{name} is in use");
    }

    /// An empty one, as a killed run leaves it.
    pub(crate) fn make_cache(&self, name: &str, id: &str) {
        if self.is_native() {
            return fs_err::create_dir(self.native_caches().join(name)).unwrap();
        }
        let label = format!("io.github.aicage.cache={id}");
        self.docker(&["volume", "create", "--label", &label, name]);
    }

    /// Files of subordinate ids are removed inside their mapping.
    fn remove_inside(&self, directory: &Path, name: &str) {
        let mapping = self.native.maps().unwrap().mapping();
        let upkeep = Upkeep::new(&self.native);
        upkeep.remove(&mapping, directory, name).unwrap();
    }

    fn native_caches(&self) -> PathBuf {
        self.native.store.join("caches")
    }

    /// The settings of a sandbox without a network, which ends when `interrupt` says so.
    pub(crate) fn settings(&self, interrupt: &CancellationToken) -> SandboxSettings {
        SandboxSettings {
            init: init_for("amd64").unwrap(),
            scratch: self.scratch(),
            locks: self.directory.path().join("locks"),
            env: BTreeMap::from([("FROM_SETTINGS".to_owned(), "yes".to_owned())]),
            hosts: Vec::new(),
            ca: None,
            network: Network::None,
            interrupt: interrupt.clone(),
        }
    }

    /// What runs steps here.
    pub(crate) fn sandbox<'a>(
        &self,
        settings: SandboxSettings,
        recorder: &'a Recorder,
    ) -> EngineSandbox<'a> {
        let runtime = self.runtime.handle().clone();
        EngineSandbox::new(&self.engine, runtime, settings, Arc::new(recorder))
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    /// A name that only containers of this test carry; tests run at the same time on the same engine.
    pub(crate) fn title(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// What is left in the engine of this test's containers, which have `label` with its title.
    pub(crate) fn leftovers(&self, label: &str) -> Vec<String> {
        if self.is_native() {
            let cages = self.native.store.join("cages");
            let entries = fs_err::read_dir(&cages).into_iter().flatten();
            return entries
                .map(|entry| entry.unwrap().path().display().to_string())
                .collect();
        }
        let filter = format!("label={label}={}", self.title());
        let ids = self.docker(&["ps", "-aq", "--filter", &filter]);
        ids.split_whitespace().map(str::to_owned).collect()
    }

    /// Asks the engine with its own client; this machine has none, and nothing to say.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        if self.is_native() {
            return String::new();
        }
        let output = std::process::Command::new("docker")
            .arg("-H")
            .arg(&self.address)
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.is_native() && !std::thread::panicking() {
            self.remove_inside(self.directory.path(), "store");
        }
    }
}

/// Is there anything in a directory?
pub(crate) fn is_empty(directory: &Path) -> bool {
    !directory.exists() || fs_err::read_dir(directory).unwrap().next().is_none()
}
