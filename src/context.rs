//! What every command works with: settings, printer, and parts that are opened when first needed.
//!
//! Invariant: a command that needs no store, registry or engine opens none.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use assembler::{
    platform::Platform,
    reporter::Reporter,
    store::{BlobStore, Notice, SharedLock},
};
use registry::{Client, ClientConfig, CredentialSources, Destination, Mirror, NamedPem, Proxies};
use tokio::sync::OnceCell;

use crate::{
    cli::GlobalOptions,
    clock,
    definition::catalogue::{Catalogue, Published},
    definition_bundle,
    diagnostic::Diagnostic,
    engine::docker::{self, Docker, DockerSandbox, EngineError},
    exit_status::ExitStatus,
    interrupt::Interrupt,
    printer::Printer,
    settings::Settings,
};

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
    platform: Platform,
    catalogue: OnceLock<Catalogue>,
    store: OnceLock<(BlobStore, Arc<SharedLock>)>,
    client: OnceLock<Client>,
    docker: OnceCell<Docker>,
    pub(crate) sandbox: OnceLock<DockerSandbox<'static>>,
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
            platform: Platform::linux(std::env::consts::ARCH),
            catalogue: OnceLock::new(),
            store: OnceLock::new(),
            client: OnceLock::new(),
            docker: OnceCell::new(),
            sandbox: OnceLock::new(),
        }
    }

    /// Returns the definitions; what is wrong with any is told once.
    pub fn catalogue(&self) -> &Catalogue {
        self.catalogue.get_or_init(|| {
            let catalogue = {
                let published = definition_bundle::configured(self).unwrap_or_else(|diagnostic| {
                    let why = diagnostic.sentence();
                    self.printer.warn(&format!("there are only your own definitions, because those of `definitions` cannot be had: {why}"));
                    Published::Missing
                });
                Catalogue::read(&published, &self.settings.custom_roots())
            };
            for problem in &catalogue.problems {
                let message = format!(
                    "{} `{}` is left out: {}",
                    problem.noun, problem.id, problem.error
                );
                self.printer.warn(&message);
            }
            catalogue
        })
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
            let client = Client::new(self.client_config()?);
            drop(self.client.set(client));
        }
        Ok(self.client.get().expect("it was set just now"))
    }

    /// Returns the container engine, connected.
    pub async fn docker(&self) -> Result<&Docker, EngineError> {
        let connect = || async {
            let environment = &self.settings.environment;
            let settings = docker::EngineSettings {
                host: environment.docker_host.clone(),
                context: environment.docker_context.clone(),
                config_dir: Some(self.docker_config()),
                runtime_dir: environment.runtime_directory.clone(),
                home: Some(self.settings.user_home.clone()),
                cert_path: environment.docker_cert_path.clone(),
                tls_verify: environment.docker_tls_verify,
            };
            docker::connect(&settings).await
        };
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

    /// Returns the extra certificate authorities, concatenated; `None` when none are configured.
    pub fn extra_ca(&self) -> Result<Option<Vec<u8>>, Diagnostic> {
        let mut bundle = Vec::new();
        for file in self.ca_files()? {
            bundle.extend_from_slice(&file.pem);
            bundle.push(b'\n');
        }
        Ok((!bundle.is_empty()).then_some(bundle))
    }

    fn ca_files(&self) -> Result<Vec<NamedPem>, Diagnostic> {
        let mut files = Vec::new();
        for path in &self.settings.config.network.ca {
            let path = self.settings.user_path(path);
            let pem = fs_err::read(&path).map_err(|error| {
                Diagnostic::new(
                    "network-ca",
                    ExitStatus::Usage,
                    "cannot read a certificate authority of `network.ca`",
                )
                .caused_by(Some(&error))
                .hint("correct `network.ca` in `config.yml`")
            })?;
            files.push(NamedPem {
                name: path.display().to_string(),
                pem,
            });
        }
        Ok(files)
    }

    fn docker_config(&self) -> PathBuf {
        let environment = &self.settings.environment;
        environment
            .docker_config
            .clone()
            .unwrap_or_else(|| self.settings.user_home.join(".docker"))
    }

    /// Where credentials are looked for: Podman's files first where they are asked for, then Docker's, then Podman's.
    fn credential_sources(&self) -> CredentialSources {
        let environment = &self.settings.environment;
        let config_home = environment
            .config_home
            .clone()
            .unwrap_or_else(|| self.settings.user_home.join(".config"));
        let mut files = Vec::new();
        files.extend(environment.registry_auth_file.clone());
        files.push(self.docker_config().join("config.json"));
        if let Some(runtime) = &environment.runtime_directory {
            files.push(runtime.join("containers/auth.json"));
        }
        files.push(config_home.join("containers/auth.json"));
        let path = environment.path.as_deref().unwrap_or_default();
        CredentialSources {
            files,
            helper_path: std::env::split_paths(path).collect(),
        }
    }

    fn client_config(&self) -> Result<ClientConfig, Diagnostic> {
        let config = &self.settings.config;
        let proxy = |name| self.settings.environment.proxy(name).map(str::to_owned);
        let mut client = ClientConfig::new(system_time);
        client.credentials = self.credential_sources();
        client.mirrors = config
            .registry
            .mirrors
            .iter()
            .map(|(host, urls)| {
                let mirrors = urls.iter().map(|url| Mirror { url: url.clone() });
                (host.clone(), mirrors.collect())
            })
            .collect();
        client.plain_http.clone_from(&config.registry.plain_http);
        client.proxies = Proxies {
            http: proxy("HTTP_PROXY"),
            https: proxy("HTTPS_PROXY"),
            all: proxy("ALL_PROXY"),
            no_proxy: proxy("NO_PROXY"),
        };
        client.extra_ca = self.ca_files()?;
        client.token_cache = Some(self.settings.state().join("tokens"));
        Ok(client)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the registry client is handed the clock here"
)]
fn system_time() -> SystemTime {
    SystemTime::now()
}
