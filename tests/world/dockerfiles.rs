//! Dockerfiles built by us and by `docker build` (`BuildKit`): trees and configs must agree.
//!
//! `fixtures/dockerfiles` holds one build context a directory. Both images become OCI layouts, umoci unpacks both, and
//! the trees are compared node by node: kind, mode, owner, link target, device, attributes, content, other names, and the
//! time of last change of what neither made anew.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use aicage::{
    engine::{
        Engine, EngineSandbox, SandboxSettings,
        docker::{EngineSettings, connect},
        session::Network,
    },
    init_program::init_for,
};
use assembler::{
    assemble::{AssembleError, assemble},
    dockerfile::{
        BuildContext, ContextLimits, DockerfileBuild, IMAGE_SO_FAR, SecretFile, SecretSource,
    },
    image::Image,
    platform::Platform,
    provenance::{BaseRecord, Kind, Origin},
    recipe::{Addition, ConfigChange, Recipe, Step},
    reporter::{Event, Reporter},
    sandbox::World,
    store::{BlobStore, SharedLock},
    transport::{Source, Target, export, import},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ground::{Said, variable},
    image_trees::{differences, plain, unpack},
};

/// The name under which Docker knows the base.
const BASE: &str = "aicage-corpus:busybox";
/// What `BuildKit` leaves of its mounts where an image lacks the directories.
pub(crate) const STUBS: [&str; 3] = ["dev", "proc", "sys"];

/// A build context with its arguments.
struct Case {
    name: String,
    directory: PathBuf,
    arguments: Vec<String>,
}

impl Case {
    fn all() -> Vec<Self> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dockerfiles");
        let mut cases = Vec::new();
        for entry in fs_err::read_dir(&top).unwrap() {
            let directory = entry.unwrap().path();
            if !directory.is_dir() {
                continue;
            }
            let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs_err::read_to_string(top.join(format!("{name}.args"))).unwrap_or_default();
            let source = format!("src={}/", top.display());
            let arguments = text
                .lines()
                .map(|line| line.replace("src=", &source))
                .collect();
            cases.push(Self {
                name,
                directory,
                arguments,
            });
        }
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        cases
    }

    /// Says whether a whole file system is copied, of which `BuildKit`'s stubs are a part.
    fn copies_a_root(&self) -> bool {
        let text = fs_err::read_to_string(self.directory.join("Dockerfile")).unwrap();
        text.lines().any(|line| {
            (line.starts_with("COPY") || line.starts_with("ADD")) && line.ends_with(" /")
        })
    }

    /// Returns the values of one kind of argument.
    fn values<'a>(&'a self, option: &'a str) -> impl Iterator<Item = &'a str> {
        let value = move |argument: &'a String| argument.strip_prefix(option)?.strip_prefix('=');
        self.arguments.iter().filter_map(value)
    }

    /// Reads the case as the front end takes it.
    fn build(&self, base: &Image) -> DockerfileBuild {
        let file = self.directory.join("Dockerfile");
        let context = BuildContext::read(&self.directory, &file, ContextLimits::default()).unwrap();
        let mut args = BTreeMap::from([("BASE_IMAGE".to_owned(), IMAGE_SO_FAR.to_owned())]);
        for argument in self.values("--build-arg") {
            let (name, value) = argument.split_once('=').unwrap();
            args.insert(name.to_owned(), value.to_owned());
        }
        let secret = |text: &str| {
            let (id, source) = text.split_once(',').unwrap();
            let id = id.strip_prefix("id=").unwrap().to_owned();
            let file = PathBuf::from(source.strip_prefix("src=").unwrap());
            (id, SecretSource::File(SecretFile::new(file)))
        };
        DockerfileBuild {
            file: "Dockerfile".to_owned(),
            text: fs_err::read_to_string(file).unwrap().into(),
            context: context.into(),
            args,
            // What the cases name is the base.
            images: BTreeMap::from([(BASE.to_owned(), *base.digest())]),
            target: self.values("--target").next().map(str::to_owned),
            secrets: self.values("--secret").map(secret).collect(),
        }
    }
}

/// Says nothing.
#[derive(Debug)]
struct Silent;

impl Reporter for Silent {
    fn event(&self, _event: Event<'_>) {}
}

/// Where both kinds of images are made.
struct Yard {
    directory: tempfile::TempDir,
    engine: String,
    runtime: tokio::runtime::Runtime,
    store: BlobStore,
    lock: SharedLock,
    base: Image,
    /// When the first case was about to be built.
    begin: i64,
}

impl Yard {
    fn new(engine: String, layout: &str) -> Self {
        let directory = tempfile::TempDir::with_prefix("aicage-dockerfiles-").unwrap();
        let store = BlobStore::open(&directory.path().join("store")).unwrap();
        let lock = store.share().unwrap();
        let source = Source::parse(&format!("oci:{layout}:busybox")).unwrap();
        let base = import(&store, &lock, &source, &Platform::linux("amd64")).unwrap();
        let yard = Self {
            begin: fs_err::metadata(directory.path()).unwrap().mtime(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
            directory,
            engine,
            store,
            lock,
            base,
        };
        let archive = yard.path("busybox.tar");
        let target = Target::DockerArchive {
            file: archive.clone(),
        };
        export(&yard.store, &yard.base, &[BASE.parse().unwrap()], &target).unwrap();
        yard.docker(&["load", "-q", "-i", archive.to_str().unwrap()]);
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    #[track_caller]
    fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(&self.engine)
            .args(arguments)
            .env("DOCKER_CONFIG", self.path("docker"))
            .env("BUILDKIT_PROGRESS", "plain");
        Said::of(&mut command, 0).stdout
    }

    /// Builds a case with `docker build` into an OCI layout.
    fn theirs(&self, case: &Case, layout: &Path) {
        let tar = self.path("theirs.tar");
        let output = format!("type=oci,dest={}", tar.display());
        let base = format!("BASE_IMAGE={BASE}");
        let mut arguments = vec!["buildx", "build", "--no-cache", "--provenance=false"];
        arguments.extend(["--build-arg", &base, "--output", &output]);
        arguments.extend(case.arguments.iter().map(String::as_str));
        arguments.push(case.directory.to_str().unwrap());
        self.docker(&arguments);
        fs_err::create_dir_all(layout).unwrap();
        Said::of(
            Command::new("tar")
                .arg("-xf")
                .arg(&tar)
                .arg("-C")
                .arg(layout),
            0,
        );
    }

    /// Builds a case ourselves into an OCI layout.
    fn ours(&self, case: &Case, layout: &Path) -> Result<(), AssembleError> {
        let settings = EngineSettings {
            host: Some(self.engine.clone()),
            ..EngineSettings::default()
        };
        let docker = self.runtime.block_on(connect(&settings)).unwrap();
        let settings = SandboxSettings {
            init: init_for("amd64").unwrap(),
            scratch: self.path("scratch"),
            locks: self.path("locks"),
            env: BTreeMap::new(),
            hosts: Vec::new(),
            ca: None,
            network: Network::Bridge,
            interrupt: CancellationToken::new(),
        };
        let runtime = self.runtime.handle().clone();
        let engine = Engine::from(&docker);
        let sandbox = EngineSandbox::new(&engine, runtime, settings, Arc::new(Silent));
        let world = World {
            store: &self.store,
            lock: &self.lock,
            sandbox: &sandbox,
            reporter: &Silent,
            logs: &self.path("logs"),
            now: "2026-01-01T00:00:00Z",
        };
        let origin = |kind| Origin {
            kind,
            id: case.name.clone(),
            version: None,
        };
        let recipe = Recipe {
            base: *self.base.digest(),
            base_record: BaseRecord {
                reference: BASE.to_owned(),
                digest: *self.base.digest(),
            },
            base_origin: origin(Kind::Root),
            steps: vec![Step {
                origin: origin(Kind::Base),
                addition: Addition::Dockerfile(Arc::new(case.build(&self.base))),
            }],
            config: ConfigChange::default(),
            source_date: None,
        };
        let assembled = assemble(&world, &recipe);
        self.runtime.block_on(sandbox.clean()).unwrap();
        let target = Target::Oci {
            directory: layout.to_owned(),
            tag: Some("it".to_owned()),
        };
        export(&self.store, &assembled?.image, &[], &target).unwrap();
        Ok(())
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        // What fails here has been said by the test.
        let caches = "docker -H $1 volume ls -q --filter label=io.github.aicage.cache | grep -F aicage-cache | xargs -r docker -H $1 volume rm";
        let _said = Command::new("sh")
            .args(["-c", caches, "sh", &self.engine])
            .output();
    }
}

/// Builds a case both ways; returns what differs.
fn compare(yard: &Yard, case: &Case) -> Vec<String> {
    let place = |name: &str| yard.path(&format!("{}-{name}", case.name));
    let (ours, theirs) = (place("ours"), place("theirs"));
    if let Err(error) = yard.ours(case, &ours) {
        return vec![format!("  we cannot build it: {}", explain(&error))];
    }
    yard.theirs(case, &theirs);
    let begin = yard.begin;
    let (our_tree, our_config) = unpack(&ours, &place("our-tree"), begin);
    let (mut their_tree, their_config) = unpack(&theirs, &place("their-tree"), begin);
    for stub in STUBS {
        if !our_tree.contains_key(stub) && !case.copies_a_root() {
            their_tree.remove(stub);
        }
    }
    for (name, theirs) in &mut their_tree {
        let Some(ours) = our_tree.get(name) else {
            continue;
        };
        if ours.changed == Some(0) {
            // Ours of a here-document is the same whenever it is made.
            theirs.changed = ours.changed;
        }
        if case.copies_a_root() {
            // What an engine mounts over a file has no other name.
            theirs.first.clone_from(&ours.first);
        }
    }
    let mut found = differences(&our_tree, &their_tree);
    found.extend(differences(&plain(&our_config), &plain(&their_config)));
    found
}

fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// So many tests share the cases, because each takes its time.
const PARTS: usize = 4;

#[test]
fn images_of_dockerfiles_are_what_buildkit_makes_1() {
    compare_part(0);
}

#[test]
fn images_of_dockerfiles_are_what_buildkit_makes_2() {
    compare_part(1);
}

#[test]
fn images_of_dockerfiles_are_what_buildkit_makes_3() {
    compare_part(2);
}

#[test]
fn images_of_dockerfiles_are_what_buildkit_makes_4() {
    compare_part(3);
}

fn compare_part(part: usize) {
    let (Some(engine), Some(layout)) = (
        variable("AICAGE_TEST_DOCKER_NEW"),
        variable("AICAGE_TEST_LAYOUT"),
    ) else {
        return;
    };
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: comparing owners needs root");
        return;
    }
    let world =
        std::env::var("AICAGE_WORLD").unwrap_or_else(|_| "/var/cache/aicage-world".to_owned());
    let buildx =
        Path::new(&world).join("roots/engine-new/usr/libexec/docker/cli-plugins/docker-buildx");
    let yard = Yard::new(engine, &layout);
    if buildx.exists() {
        let plugins = yard.path("docker/cli-plugins");
        fs_err::create_dir_all(&plugins).unwrap();
        fs_err::os::unix::fs::symlink(buildx, plugins.join("docker-buildx")).unwrap();
    }
    // For work on one case.
    let only = std::env::var("AICAGE_TEST_DOCKERFILE").ok();
    let cases = Case::all();
    assert!(cases.len() >= 25, "only {} Dockerfiles", cases.len());
    let (mut agreed, mut report) = (0, String::new());
    for case in cases.into_iter().skip(part).step_by(PARTS) {
        if only
            .as_ref()
            .is_some_and(|only| !case.name.contains(only.as_str()))
        {
            continue;
        }
        let found = compare(&yard, &case);
        if found.is_empty() {
            agreed += 1;
        } else {
            let lines = [case.name.as_str(), &found.join("\n"), ""];
            report.push_str(&lines.join("\n"));
        }
    }
    assert!(report.is_empty(), "{agreed} agree; these do not:\n{report}");
}
