//! What every test needs: a registry, a store, a client, and a record of what was told.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use assembler::{
    image::Image,
    platform::Platform,
    reference::ImageReference,
    reporter::{Event, Reporter},
    store::BlobStore,
};
use fixtures::registry::{Layer, Registry};
use registry::{Client, ClientConfig, Destination, RegistryError, Resolved};
use tempfile::TempDir;
use tokio::sync::watch;

/// A registry, a store and a client that is patient for milliseconds only.
pub(crate) struct Setup {
    pub(crate) registry: Registry,
    pub(crate) directory: TempDir,
    pub(crate) to: Destination,
    pub(crate) events: Arc<Recorder>,
    pub(crate) config: ClientConfig,
}

/// Writes down what is told, and counts bytes.
#[derive(Default)]
pub(crate) struct Recorder {
    told: Mutex<Vec<String>>,
    fetched: watch::Sender<u64>,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        Self::with(Registry::start().await)
    }

    pub(crate) fn with(registry: Registry) -> Self {
        let directory = TempDir::new().unwrap();
        let store = BlobStore::open(&directory.path().join("store")).unwrap();
        let lock = Arc::new(store.share().unwrap());
        let events = Arc::new(Recorder::default());
        let reporter: Arc<dyn Reporter> = events.clone();
        let mut config = ClientConfig::new(now);
        config.retry_base = Duration::from_millis(1);
        Self {
            registry,
            directory,
            to: Destination {
                store,
                lock,
                reporter,
            },
            events,
            config,
        }
    }

    /// Makes a new client, which knows nothing of earlier ones.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.config.clone())
    }

    /// Reads a reference in the registry.
    pub(crate) fn reference(&self, name: &str) -> ImageReference {
        format!("{}/{name}", self.registry.host()).parse().unwrap()
    }

    pub(crate) async fn resolve(&self, name: &str) -> Result<Resolved, RegistryError> {
        let reference = self.reference(name);
        self.client().resolve(&reference, &amd64(), &self.to).await
    }

    /// Resolves and fetches with one client.
    pub(crate) async fn pull(&self, name: &str) -> Result<Image, RegistryError> {
        self.pull_reference(&self.reference(name)).await
    }

    pub(crate) async fn pull_reference(
        &self,
        reference: &ImageReference,
    ) -> Result<Image, RegistryError> {
        let client = self.client();
        let resolved = client.resolve(reference, &amd64(), &self.to).await?;
        client.fetch(&resolved, &self.to).await
    }

    /// Pulls until so many bytes were fetched, and stops in the middle.
    pub(crate) async fn stop_at(&self, name: &str, bytes: u64) {
        tokio::select! {
            _ended = self.pull(name) => panic!("it should have stalled"),
            () = self.events.fetched(bytes) => {}
        }
    }

    /// Returns `METHOD what` of each request so far, digests cut, and forgets them.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.registry.requests();
        let shown = requests.iter().map(|request| {
            let path = request.path.split('?').next().unwrap();
            let what = path.rsplit_once('/').map_or(path, |(kind, name)| {
                if name.starts_with("sha256:") {
                    kind.rsplit('/').next().unwrap()
                } else {
                    name
                }
            });
            let range = request
                .header("range")
                .map_or_else(String::new, |range| format!(" {range}"));
            format!("{} {what}{range}", request.method)
        });
        shown.collect()
    }

    /// Checks that every byte of an image is in the store and right.
    #[track_caller]
    pub(crate) fn assert_whole(&self, image: &Image) {
        for layer in image.layers() {
            let size = layer.descriptor.size;
            let bytes = self.to.store.read_bytes(&layer.descriptor, size).unwrap();
            assert_eq!(bytes.len() as u64, size, "a layer is in the store");
        }
        let kept = self.to.store.image(image.digest()).unwrap();
        assert_eq!(kept.digest(), image.digest(), "the image is in the store");
    }

    /// Returns how many files are in a directory of the store.
    pub(crate) fn files_in(&self, directory: &str) -> usize {
        let path = self.directory.path().join("store").join(directory);
        fs_err::read_dir(path).map_or(0, Iterator::count)
    }
}

impl Recorder {
    /// Returns what was told so far, and forgets it.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Waits until so many bytes were fetched.
    pub(crate) async fn fetched(&self, bytes: u64) {
        let mut fetched = self.fetched.subscribe();
        fetched.wait_for(|fetched| *fetched >= bytes).await.unwrap();
    }

    /// Returns the warnings among what was told so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let told = self.take().into_iter();
        told.filter(|line| line.starts_with("warning")).collect()
    }
}

impl Reporter for Recorder {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::Resolving { .. } => return,
            Event::Fetched { bytes, .. } => {
                self.fetched.send_modify(|fetched| *fetched += bytes);
                return;
            }
            Event::FetchStarted { have, .. } => format!("started at {have}"),
            Event::FetchDone { .. } => "done".to_owned(),
            Event::FetchSkipped { .. } => "skipped".to_owned(),
            Event::Retrying { attempt, wait, .. } => format!("try {attempt} after {wait:?}"),
            Event::Warning { message } => format!("warning: {message}"),
            other => format!("{other:?}"),
        };
        self.told.lock().unwrap().push(line);
    }
}

/// 2027-01-15T08:00:00Z.
const NOW: u64 = 1_800_000_000;

/// The time of every test.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) fn amd64() -> Platform {
    Platform::linux("amd64")
}

/// Makes a layer of `size` bytes that differ by `seed`.
pub(crate) fn layer(seed: u8, size: usize) -> Layer {
    let bytes = (0..size).map(|at| u8::try_from(((at * 31) >> 3) % 256).unwrap() ^ seed);
    Layer::opaque(bytes.collect())
}
