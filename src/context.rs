//! What every command works with: settings, printer, and parts that are opened when first needed.
//!
//! Invariant: a command that needs no store, registry or engine opens none.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use assembler::{
    platform::Platform,
    reporter::Reporter,
    store::{BlobStore, Notice, SharedLock},
};
use registry::{Client, Destination};
use tokio::sync::OnceCell;

use crate::{
    cli::GlobalOptions,
    clock,
    definition::catalogue::{Catalogue, Problem, Published},
    definition_bundle,
    diagnostic::Diagnostic,
    engine::{
        self, Chosen, Engine, EngineChoice, EngineSandbox,
        docker::{self, Docker, EngineError},
    },
    exit_status::ExitStatus,
    interrupt::Interrupt,
    network,
    printer::Printer,
    prompt::Menu,
    settings::{Origin, Settings},
};

/// Whether anything newer than what is here is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// As the configuration says.
    Asked,
    /// Not in this run: `--no-update`.
    LeftAlone,
}

/// What a command works with.
pub struct Context {
    /// What was configured.
    pub settings: Settings,
    /// Options of the command line that every command takes.
    pub options: GlobalOptions,
    /// Prints.
    pub printer: Printer,
    /// Watches long work.
    pub reporter: Arc<dyn Reporter>,
    /// When the program started, RFC 3339.
    pub now: String,
    /// Tells when the user interrupts.
    pub interrupt: Interrupt,
    /// Whether to look for anything newer than what is here.
    pub news: News,
    /// What was typed beside the choice, for people to see where they are asked.
    pub typed: String,
    is_dry: bool,
    platform: Platform,
    catalogue: OnceLock<Catalogue>,
    without_definitions: OnceLock<Diagnostic>,
    warned: Mutex<BTreeSet<String>>,
    store: OnceLock<(BlobStore, Arc<SharedLock>)>,
    client: OnceLock<Client>,
    engine: OnceCell<Chosen>,
    docker: OnceCell<Docker>,
    pub(crate) sandbox: OnceLock<EngineSandbox<'static>>,
}

impl Context {
    /// Joins what the program was started with.
    pub fn new(
        settings: Settings,
        options: GlobalOptions,
        (printer, reporter): (Printer, Arc<dyn Reporter>),
        interrupt: Interrupt,
    ) -> Self {
        Self {
            settings,
            options,
            printer,
            reporter,
            now: clock::now(),
            interrupt,
            news: News::Asked,
            typed: String::new(),
            is_dry: false,
            platform: Platform::linux(std::env::consts::ARCH),
            catalogue: OnceLock::new(),
            without_definitions: OnceLock::new(),
            warned: Mutex::default(),
            store: OnceLock::new(),
            client: OnceLock::new(),
            engine: OnceCell::new(),
            docker: OnceCell::new(),
            sandbox: OnceLock::new(),
        }
    }

    /// Returns the definitions; what is wrong with any is told once.
    pub fn catalogue(&self) -> &Catalogue {
        self.catalogue_telling(|_| true)
    }

    /// The same; of what is wrong, only what `is_told` picks is told here.
    pub fn catalogue_telling(&self, is_told: impl Fn(&Problem) -> bool) -> &Catalogue {
        self.catalogue.get_or_init(|| {
            let catalogue = {
                let published = definition_bundle::configured(self).unwrap_or_else(|diagnostic| {
                    if diagnostic.status() != ExitStatus::Interrupted {
                        let why = diagnostic.sentence();
                        self.printer.warn(&format!("there are only your own definitions, because those of `definitions` cannot be had: {why}"));
                    }
                    drop(self.without_definitions.set(diagnostic));
                    Published::Missing
                });
                Catalogue::read(&published, &self.settings.custom_roots())
            };
            for problem in catalogue.problems.iter().filter(|one| is_told(one)) {
                self.printer.warn(&problem.sentence());
            }
            for hidden in &catalogue.hidden {
                self.printer.warn(&hidden.sentence());
            }
            catalogue
        })
    }

    /// Returns why there are none but the user's own definitions, if they should be there.
    pub fn without_definitions(&self) -> Option<&Diagnostic> {
        self.without_definitions.get()
    }

    /// Warns of what may be found several times in one run.
    pub fn warn_once(&self, message: String) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.contains(&message) {
            self.printer.warn(&message);
            warned.insert(message);
        }
    }

    /// Returns the store and the proof that nothing is pruned while we run.
    pub fn store(&self) -> Result<(&BlobStore, &Arc<SharedLock>), Diagnostic> {
        if self.store.get().is_none() {
            let store = self.open_store()?;
            let lock = Arc::new(store.share()?);
            // Another thread may have been first; then ours is dropped.
            drop(self.store.set((store, lock)));
        }
        let (store, lock) = self.store.get().expect("it was set just now");
        Ok((store, lock))
    }

    /// Opens the store; what it has to tell is told.
    pub fn open_store(&self) -> Result<BlobStore, Diagnostic> {
        let printer = self.printer.clone();
        let store = BlobStore::open(&self.settings.store())?;
        Ok(store.telling(Arc::new(move |notice| match notice {
            Notice::Waiting { what } => printer.talk(&format!("waiting for {what}")),
            Notice::NameLost { record, kept } => printer.warn(&format!(
                "an image has lost its name: {} was damaged, and is kept as {}; pull or build the image again",
                record.display(),
                kept.display()
            )),
        })))
    }

    /// Keeps this run from changing or asking anything: `--dry-run`.
    pub fn look_only(&mut self) {
        self.is_dry = true;
        self.news = News::LeftAlone;
        self.options.menu = Menu::None;
    }

    /// Tells whether this run changes nothing.
    pub fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Gives the store back, so that `cache prune` need not wait for an agent to end.
    pub fn close_store(&mut self) {
        drop(self.store.take());
    }

    /// Returns where fetched things go.
    pub fn destination(&self) -> Result<Destination, Diagnostic> {
        let (store, lock) = self.store()?;
        Ok(Destination {
            store: store.clone(),
            lock: Arc::clone(lock),
            reporter: Arc::clone(&self.reporter),
        })
    }

    /// Returns the registry client; refused while offline.
    pub fn client(&self, what: &str) -> Result<&Client, Diagnostic> {
        if self.options.offline {
            return Err(Diagnostic::new(
                "offline",
                ExitStatus::Offline,
                format!("{what} needs the network, and `--offline` was given"),
            )
            .hint("run the same command once without `--offline`"));
        }
        if self.client.get().is_none() {
            let client = Client::new(network::client_config(self)?);
            drop(self.client.set(client));
        }
        Ok(self.client.get().expect("it was set just now"))
    }

    /// Returns what runs steps and sessions; Docker or Podman is connected.
    pub async fn engine(&self) -> Result<&Engine, EngineError> {
        self.chosen().await.map(|chosen| &chosen.engine)
    }

    /// Returns the same, and why it is this one.
    pub async fn chosen(&self) -> Result<&Chosen, EngineError> {
        let choice = self.settings.config.engine;
        let named_by = match self.settings.origin("engine") {
            Origin::Default => "nobody".to_owned(),
            Origin::Flag => "the command line".to_owned(),
            Origin::Variable(name) => format!("`{name}`"),
            Origin::File { path, line, .. } => format!("{}:{line}", path.display()),
        };
        let choose = || async {
            engine::choose(
                (choice, &named_by),
                &self.settings.engine(),
                &self.settings.native(),
            )
            .await
            .map(|chosen| chosen.heeding(self.interrupt.token()))
        };
        self.engine.get_or_try_init(choose).await
    }

    /// Returns Docker or Podman, connected, for what only they can do.
    pub async fn docker(&self) -> Result<&Docker, EngineError> {
        let chosen = self.chosen().await?;
        if let Some(docker) = chosen.engine.docker() {
            return Ok(docker);
        }
        if self.settings.config.engine == EngineChoice::Native {
            let why = chosen.why.clone();
            return Err(EngineError::NativeChosen { why });
        }
        // The machine stands in for one that did not answer; its failure tells what to do about that.
        let connect = || async { docker::connect(&self.settings.engine()).await };
        self.docker.get_or_try_init(connect).await
    }

    /// Does `work` unless the user interrupts it first.
    pub async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Diagnostic>>,
    ) -> Result<T, Diagnostic> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.interrupt.wait() => Err(Diagnostic::new(
                "interrupted",
                ExitStatus::Interrupted,
                "interrupted",
            )),
        }
    }

    /// Returns the platform that images are for: Linux on this machine's architecture.
    pub fn platform(&self) -> Platform {
        self.platform.clone()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
