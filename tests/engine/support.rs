//! Engines to test on, and a small image with a shell.

use std::{
    io::{Read as _, Write},
    path::{Path, PathBuf},
};

use aicage::engine::{
    docker::{Docker, DockerSandbox, EngineInfo, EngineSettings, SandboxSettings, connect},
    native::{Native, NativeSandbox, Upkeep},
};
use assembler::{
    descriptor::{Descriptor, media_type},
    digest::Digest,
    image::Image,
    reporter::{Event, Reporter},
    sandbox::{Consume, Sandbox, SandboxError, StepRequest},
    store::{BlobStore, SharedLock, rootfs::InMapping as _},
};
use layer::{Entry, LayerItem, LayerPath, tar::LayerWriter};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Stands for this machine without any engine.
const NATIVE: &str = "native";

/// The engines that the world may have.
const ENGINES: [&str; 5] = [
    "AICAGE_TEST_DOCKER_OLD",
    "AICAGE_TEST_DOCKER_NEW",
    "AICAGE_TEST_DOCKER_ROOTLESS",
    "AICAGE_TEST_PODMAN",
    "AICAGE_TEST_PODMAN_ROOTLESS",
];

/// The engines of the world: name and address. Those of the unprivileged user are used by root here, who may.
#[expect(
    clippy::disallowed_methods,
    reason = "the world is described by variables"
)]
pub(crate) fn engines() -> Vec<(&'static str, String)> {
    ENGINES
        .into_iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)))
        .collect()
}

/// Says that a test has nothing to run on.
pub(crate) fn skip(reason: &str) {
    say(&format!("SKIP: {reason}"));
}

#[expect(clippy::print_stderr, reason = "what a failed test was at")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// A store, an engine, and an image with a shell in the store.
pub(crate) struct Ground {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) runtime: Runtime,
    docker: Option<Docker>,
    native: Native,
    pub(crate) address: String,
    pub(crate) store: BlobStore,
    pub(crate) lock: SharedLock,
    pub(crate) image: Image,
}

/// Runs a test in cages of this machine, as whoever runs the tests.
pub(crate) fn on_this_machine(salt: &str, test: impl Fn(&Ground)) {
    let Some(busybox) = busybox() else {
        skip("no static busybox (package busybox-static)");
        return;
    };
    say("on this machine by itself");
    test(&Ground::new(NATIVE, salt, &busybox));
}

/// This machine as the engine, making cages with the program that is tested.
pub(crate) fn native(store: &Path) -> Native {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let name = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    let name = String::from_utf8(name.stdout).unwrap();
    let account = (name.trim(), uid.as_raw(), gid.as_raw());
    Native::new(store.to_owned(), account).with_program(program())
}

/// The variable that says where the program is, for tests that run as somebody else.
pub(crate) const PROGRAM: &str = "AICAGE_TEST_PROGRAM";

#[expect(
    clippy::disallowed_methods,
    reason = "set by the test that starts this one"
)]
pub(crate) fn program() -> PathBuf {
    let elsewhere = std::env::var_os(PROGRAM).map(PathBuf::from);
    elsewhere.unwrap_or_else(|| env!("CARGO_BIN_EXE_aicage").into())
}

/// A directory that root inside may enter, wherever temporary files are.
fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Runs a test on every engine there is. `salt` makes the image another one than that of any other test.
pub(crate) fn on_each_engine(salt: &str, test: impl Fn(&Ground)) {
    let engines = engines();
    if engines.is_empty() {
        skip(&format!("no container engine ({})", ENGINES.join(", ")));
        return;
    }
    let Some(busybox) = busybox() else {
        skip("no static busybox (package busybox-static)");
        return;
    };
    for (name, address) in engines {
        // On which engine it failed is the last that a failed test says.
        say(&format!("on {name}"));
        test(&Ground::new(&address, salt, &busybox));
    }
}

fn busybox() -> Option<Vec<u8>> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| fs_err::read(path).ok())
}

impl Ground {
    fn new(address: &str, salt: &str, busybox: &[u8]) -> Self {
        let runtime = Runtime::new().unwrap();
        let docker = (address != NATIVE).then(|| {
            let settings = EngineSettings {
                host: Some(address.to_owned()),
                ..EngineSettings::default()
            };
            runtime.block_on(connect(&settings)).unwrap()
        });
        let home = home();
        let native = native(&home.path().join("store"));
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
            docker,
            native,
            address: address.to_owned(),
            store,
            lock,
            image,
        }
    }

    /// The engine, on tests of those.
    pub(crate) fn engine_docker(&self) -> &Docker {
        self.docker.as_ref().unwrap()
    }

    /// Tells whether it is this machine by itself.
    pub(crate) fn is_native(&self) -> bool {
        self.docker.is_none()
    }

    pub(crate) fn info(&self) -> &EngineInfo {
        match &self.docker {
            Some(docker) => docker.info(),
            None => self.native.info(),
        }
    }

    /// Where the container's root is nobody's root, the kernel makes none.
    pub(crate) fn makes_no_devices(&self) -> bool {
        self.docker.is_none() || self.info().is_rootless()
    }

    /// The caches that are called `id`; on this machine all that there are.
    pub(crate) fn caches(&self, id: &str) -> Vec<String> {
        if self.docker.is_none() {
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
        if self.docker.is_none() {
            return self.remove_inside(&self.native_caches(), name);
        }
        let removed = self.engine_docker().remove_cache(name);
        let removed = self.runtime.block_on(removed).unwrap();
        assert!(removed, "{name} is in use");
    }

    /// An empty one, as a killed run leaves it.
    pub(crate) fn make_cache(&self, name: &str, id: &str) {
        if self.docker.is_none() {
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

    /// What runs steps here.
    pub(crate) fn sandbox<'a>(
        &self,
        settings: SandboxSettings,
        recorder: &'a Recorder,
    ) -> TestSandbox<'a> {
        let runtime = self.runtime.handle().clone();
        match &self.docker {
            Some(docker) => TestSandbox::Docker(DockerSandbox::new(
                docker.clone(),
                runtime,
                settings,
                recorder,
            )),
            None => TestSandbox::Native(NativeSandbox::new(
                self.native.clone(),
                runtime,
                settings,
                recorder,
            )),
        }
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
        if self.docker.is_none() {
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
        if self.docker.is_none() {
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
        if self.docker.is_none() && !std::thread::panicking() {
            self.remove_inside(self.directory.path(), "store");
        }
    }
}

/// A sandbox of some engine.
pub(crate) enum TestSandbox<'a> {
    Docker(DockerSandbox<'a>),
    Native(NativeSandbox<'a>),
}

impl TestSandbox<'_> {
    /// Has all files uploaded, where there is such a way.
    pub(crate) fn uploading(self) -> Self {
        match self {
            Self::Docker(sandbox) => Self::Docker(sandbox.uploading()),
            Self::Native(sandbox) => Self::Native(sandbox),
        }
    }

    pub(crate) fn clean(&self, runtime: &Runtime) {
        match self {
            Self::Docker(sandbox) => runtime.block_on(sandbox.clean()).unwrap(),
            Self::Native(sandbox) => sandbox.clean(),
        }
    }
}

impl Sandbox for TestSandbox<'_> {
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        match self {
            Self::Docker(sandbox) => sandbox.run(request, log, consume),
            Self::Native(sandbox) => sandbox.run(request, log, consume),
        }
    }

    fn query(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        limit: std::time::Duration,
    ) -> Result<Vec<u8>, SandboxError> {
        match self {
            Self::Docker(sandbox) => sandbox.query(request, log, limit),
            Self::Native(sandbox) => sandbox.query(request, log, limit),
        }
    }

    fn runner(&self) -> String {
        match self {
            Self::Docker(sandbox) => sandbox.runner(),
            Self::Native(sandbox) => sandbox.runner(),
        }
    }
}

/// One entry of a layer.
pub(crate) fn file<'a>(path: &str, content: &'a [u8], mode: u32) -> (LayerItem, &'a [u8]) {
    let path = LayerPath::new(path).unwrap();
    let entry = Entry::file(path, mode, content.len() as u64);
    (LayerItem::Entry(entry), content)
}

pub(crate) fn directory(path: &str, mode: u32) -> (LayerItem, &'static [u8]) {
    let entry = Entry::directory(LayerPath::new(path).unwrap(), mode);
    (LayerItem::Entry(entry), b"")
}

fn link(path: &str, target: &str) -> (LayerItem, &'static [u8]) {
    let entry = Entry::symlink(LayerPath::new(path).unwrap(), target);
    (LayerItem::Entry(entry), b"")
}

pub(crate) fn tar_of(items: &[(LayerItem, &[u8])]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new());
    for (item, content) in items {
        writer.append(item, *content).unwrap();
    }
    writer.finish().unwrap()
}

fn shell(busybox: &[u8], salt: &str) -> Vec<u8> {
    let tools = "sh ls cat echo sleep kill env stty head wc dd true false mkdir rm rmdir cp mv id ps touch ln chmod chown \
                 mknod md5sum seq test tr yes find stat truncate printf sync";
    let mut items = vec![directory("bin", 0o755), file("bin/busybox", busybox, 0o755)];
    let mut links: Vec<String> = tools
        .split_whitespace()
        .map(|tool| format!("bin/{tool}"))
        .collect();
    links.sort();
    items.extend(links.iter().map(|path| link(path, "busybox")));
    items.push(directory("etc", 0o755));
    // Podman writes one where there is none.
    items.push(file("etc/group", b"root:x:0:\n", 0o644));
    items.push(file(
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\n",
        0o644,
    ));
    items.push(file("etc/salt", salt.as_bytes(), 0o644));
    items.push(directory("old", 0o755));
    items.push(file("old/file", b"old", 0o644));
    items.push(directory("root", 0o700));
    items.push(directory("tmp", 0o1777));
    tar_of(&items)
}

/// Puts an image of these layers into a store.
pub(crate) fn image_of(
    store: &BlobStore,
    lock: &SharedLock,
    layers: &[Vec<u8>],
    more: &serde_json::Value,
) -> Image {
    let blobs: Vec<Descriptor> = layers
        .iter()
        .map(|tar| {
            let blob = gzip(tar);
            store
                .write_bytes(lock, media_type::OCI_LAYER_GZIP, &blob)
                .unwrap()
        })
        .collect();
    let mut run = json!({"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "WorkingDir": "/nowhere"});
    for (name, value) in more.as_object().unwrap() {
        run[name] = value.clone();
    }
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>(),
    });
    let config = config.to_string();
    let config = store
        .write_bytes(lock, media_type::OCI_CONFIG, config.as_bytes())
        .unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config,
        "layers": blobs,
    });
    let manifest = manifest.to_string();
    let manifest = store
        .write_bytes(lock, media_type::OCI_MANIFEST, manifest.as_bytes())
        .unwrap();
    store.image(&manifest.digest).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

/// Takes note of warnings and of bytes sent.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) warnings: std::sync::Mutex<Vec<String>>,
    pub(crate) sent: std::sync::atomic::AtomicU64,
}

impl Reporter for Recorder {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Warning { message } => self.warnings.lock().unwrap().push(message.to_owned()),
            Event::LoadSent { bytes } => {
                self.sent
                    .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Is there anything in a directory?
pub(crate) fn is_empty(directory: &Path) -> bool {
    !directory.exists() || fs_err::read_dir(directory).unwrap().next().is_none()
}

/// What a script prints to be interrupted.
pub(crate) const INTERRUPT_ME: &str = "interrupt me";

/// A step's log; the step is interrupted once its script asks for it.
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    interrupt: CancellationToken,
}

impl Log {
    pub(crate) fn new(interrupt: &CancellationToken) -> Self {
        Self {
            bytes: Vec::new(),
            interrupt: interrupt.clone(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        // A script asks at once; what floods the log is not looked through.
        if self.bytes.len() < 4096 && self.text().contains(INTERRUPT_ME) {
            self.interrupt.cancel();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
