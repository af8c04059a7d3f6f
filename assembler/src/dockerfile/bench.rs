//! A bench for tests of Dockerfiles: an image to build on, and a sandbox that notes what it is asked to do.

use std::{
    io::{Read as _, Write},
    sync::Mutex,
    time::Duration,
};

use layer::tar::{LayerReader, Limits};
use serde_json::Value;

use super::*;
use crate::{
    assemble::{AssembleError, Assembled, assemble},
    descriptor::{Descriptor, media_type},
    image::Image,
    instruction::{Action, Instruction, MountKind, StepMount, TarSource},
    provenance::{BaseRecord, Kind, Origin},
    recipe::{Addition, ConfigChange, Recipe, Step},
    reporter::Silent,
    sandbox::{Consume, Sandbox, SandboxError, StepNetwork, StepRequest, Task, World},
    store::{BlobStore, ImageRecord, PrunePolicy},
    testing::{TestImage, image_of, tar_of},
};

/// Notes each request in words, and changes one file that is named after it.
#[derive(Default)]
pub(super) struct Notes(pub(super) Mutex<Vec<String>>);

impl Sandbox for Notes {
    fn run(
        &self,
        request: &StepRequest<'_>,
        _log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        let Task::Instructions {
            instructions,
            mounts,
            secrets,
        } = request.task
        else {
            panic!("a Dockerfile has instructions");
        };
        let mut words: Vec<String> = mounts.iter().map(mount).collect();
        if request.network == StepNetwork::None {
            words.push("no network".to_owned());
        }
        for (name, content) in secrets {
            let content = String::from_utf8_lossy(content.expose());
            words.push(format!("{name}={content}"));
        }
        words.extend(instructions.iter().map(instruction));
        let text = words.join("; ");
        let name = format!("made-{}", Digest::of(text.as_bytes()).short());
        self.0.lock().unwrap().push(text);
        consume(&mut tar_of(&[(&name, b"x")]).as_slice())?;
        Ok(())
    }

    fn query(
        &self,
        _request: &StepRequest<'_>,
        _log: &mut (dyn Write + Send),
        _limit: std::time::Duration,
    ) -> Result<Vec<u8>, SandboxError> {
        panic!("nothing is asked")
    }

    fn runner(&self) -> String {
        "notes".to_owned()
    }
}

fn mount(mount: &StepMount) -> String {
    let kind = match &mount.kind {
        MountKind::Bind { tar, file, .. } => format!("bind {file:?} {}", list(tar)),
        MountKind::Cache { id, .. } => format!("cache {id}"),
        MountKind::Tmpfs { .. } => "tmpfs".to_owned(),
        MountKind::Secret { content, .. } => {
            format!("secret {}", String::from_utf8_lossy(content.expose()))
        }
    };
    format!("[{} {kind}]", mount.target)
}

fn instruction(instruction: &Instruction) -> String {
    match &instruction.action {
        Action::Run {
            argv,
            env,
            user,
            directory,
        } => {
            let user = user.as_deref().unwrap_or("-");
            let argv = argv.join(" ");
            assert_ne!(
                env.get("S").map(String::as_str),
                Some("hush"),
                "what is secret is no plain variable"
            );
            format!("{user}@{directory} {argv}")
        }
        Action::Unpack {
            tar,
            to,
            destination,
            owner,
            mode,
            ..
        } => {
            let mode = mode.map(|mode| format!(" {mode:o}")).unwrap_or_default();
            let owner = owner.as_deref().unwrap_or("-");
            format!("{to} {destination:?} {owner}{mode} < {}", list(tar))
        }
        Action::Directory { path, .. } => format!("mkdir {path}"),
    }
}

/// Lists a tar: names, modes, and what is in files.
fn list(tar: &TarSource) -> String {
    let TarSource::File(path) = tar else {
        panic!("tars are files");
    };
    let file = fs_err::File::open(path).unwrap();
    let mut reader = LayerReader::new(file, Limits::default());
    let mut rows = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let layer::LayerItem::Entry(entry) = item else {
            panic!("no marker");
        };
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        let content = String::from_utf8_lossy(&content);
        if entry.xattrs.contains_key(layer::IMPLIED) {
            rows.push(format!("({})", entry.path));
            continue;
        }
        rows.push(format!("{} {:o} {content:?}", entry.path, entry.mode));
    }
    rows.join(", ")
}

pub(super) struct Bench {
    pub(super) base: TestImage,
    pub(super) notes: Notes,
}

impl Bench {
    pub(super) fn new() -> Self {
        let base = image_of(&[&[
            ("etc/", b""),
            ("etc/below", b"below"),
            ("usr/", b""),
            ("usr/lib/", b""),
            ("usr/lib/a.so", b"library"),
        ]]);
        Self {
            base,
            notes: Notes::default(),
        }
    }

    pub(super) fn store(&self) -> &BlobStore {
        &self.base.store
    }

    pub(super) fn recipe(&self, build: DockerfileBuild) -> Recipe {
        Recipe {
            base: *self.base.image.digest(),
            base_record: BaseRecord {
                reference: "localhost/test:1".to_owned(),
                digest: *self.base.image.digest(),
            },
            base_origin: origin(Kind::Base, "test"),
            steps: vec![Step {
                origin: origin(Kind::Extension, "x"),
                addition: Addition::Dockerfile(Arc::new(build)),
            }],
            config: ConfigChange::default(),
            source_date: None,
        }
    }

    pub(super) fn assemble(&self, build: DockerfileBuild) -> Result<Assembled, AssembleError> {
        self.assemble_with(build, ConfigChange::default())
    }

    /// Builds, and changes the config as `change` says.
    pub(super) fn assemble_with(
        &self,
        build: DockerfileBuild,
        change: ConfigChange,
    ) -> Result<Assembled, AssembleError> {
        let lock = self.store().share().unwrap();
        let logs = self.store().root().join("../logs");
        let world = World {
            store: self.store(),
            lock: &lock,
            sandbox: &self.notes,
            reporter: &Silent,
            logs: &logs,
            now: "2026-01-02T03:04:05Z",
        };
        let mut recipe = self.recipe(build);
        recipe.config = change;
        assemble(&world, &recipe)
    }

    /// Gives an image a name, as the program does.
    pub(super) fn name(&self, reference: &str, assembled: &Assembled) {
        let manifest = assembled.image.manifest();
        let record = ImageRecord {
            reference: reference.parse().unwrap(),
            manifest: Descriptor {
                media_type: media_type::OCI_MANIFEST.to_owned(),
                digest: *manifest.digest(),
                size: manifest.size(),
                annotations: BTreeMap::new(),
            },
            made_at: "2026-01-02T03:04:05Z".to_owned(),
            base: Some(BaseRecord {
                reference: "localhost/test:1".to_owned(),
                digest: *self.base.image.digest(),
            }),
            layers: assembled.records.clone(),
            reason: None,
            parts: None,
            source_date: None,
            dockerfiles: assembled.dockerfiles.clone(),
        };
        let lock = self.store().share().unwrap();
        self.store().tag(&lock, &record).unwrap();
    }

    /// Removes all that no image needs.
    pub(super) fn prune(&self) {
        let layout = fs_err::metadata(self.store().root().join("oci-layout")).unwrap();
        let policy = PrunePolicy {
            now: layout.modified().unwrap() + Duration::from_hours(24),
            older_than: Duration::ZERO,
            keep_layers: Duration::ZERO,
            keep: BTreeSet::new(),
        };
        let plan = self.store().prune_plan(&policy).unwrap();
        let lock = self.store().exclusive(Duration::ZERO).unwrap();
        self.store()
            .prune_apply(&lock, &plan, &crate::store::rootfs::Directly)
            .unwrap();
    }

    /// Builds, and returns what ran.
    pub(super) fn ran(&self, build: DockerfileBuild) -> Vec<String> {
        self.assemble(build).unwrap();
        std::mem::take(&mut *self.notes.0.lock().unwrap())
    }

    pub(super) fn refused(&self, build: DockerfileBuild) -> (usize, String) {
        match self.assemble(build).unwrap_err() {
            AssembleError::Dockerfile(DockerfileError::Refused {
                line,
                reason,
                instead,
                ..
            }) => (line, format!("{reason} ({instead})")),
            other => panic!("{other}"),
        }
    }
}

pub(super) fn origin(kind: Kind, id: &str) -> Origin {
    Origin {
        kind,
        id: id.to_owned(),
        version: None,
    }
}

pub(super) fn context(files: &[(&str, &str)]) -> LazyContext {
    let entries = files.iter().map(|(path, content)| {
        let entry = if path.ends_with('/') {
            ContextEntry {
                kind: ContextKind::Directory,
                mode: 0o755,
                mtime: 7,
            }
        } else {
            ContextEntry::file(content.as_bytes(), 0o644, 7)
        };
        (layer::LayerPath::new(path).unwrap(), entry)
    });
    BuildContext::new(entries.collect()).into()
}

pub(super) fn build_of(text: &str) -> DockerfileBuild {
    DockerfileBuild {
        file: "Dockerfile".to_owned(),
        text: format!("ARG BASE_IMAGE\nFROM $BASE_IMAGE\n{text}").into(),
        context: context(&[("a", "A"), ("d/", ""), ("d/b", "B")]),
        args: [("BASE_IMAGE".to_owned(), IMAGE_SO_FAR.to_owned())].into(),
        images: BTreeMap::new(),
        target: None,
        secrets: BTreeMap::new(),
    }
}

pub(super) fn config(image: &Image) -> Value {
    let document: Value = serde_json::from_slice(image.config().bytes()).unwrap();
    document["config"].clone()
}
