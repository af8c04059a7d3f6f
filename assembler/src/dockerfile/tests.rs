//! Dockerfiles through the public door, with a sandbox that notes what it is asked to do.

use std::{
    io::{Read as _, Write},
    sync::Mutex,
};

use layer::tar::{LayerReader, Limits};
use serde_json::{Value, json};

use super::*;
use crate::{
    assemble::{AssembleError, Assembled, assemble},
    foresee::foresee,
    image::Image,
    instruction::{Action, Instruction, MountKind, StepMount, TarSource},
    provenance::{BaseRecord, How, Kind, Origin, Provenance},
    recipe::{Addition, ConfigChange, Recipe, Step},
    reporter::Silent,
    sandbox::{Consume, Sandbox, SandboxError, StepNetwork, StepRequest, Task, World},
    store::BlobStore,
    testing::{TestImage, add_image, image_of, tar_of},
};

/// Notes each request in words, and changes one file that is named after it.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

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
        } = request.task
        else {
            panic!("a Dockerfile has instructions");
        };
        let mut words: Vec<String> = mounts.iter().map(mount).collect();
        if request.network == StepNetwork::None {
            words.push("no network".to_owned());
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
            let secret = env.get("S").map(|secret| format!("S={secret} "));
            let user = user.as_deref().unwrap_or("-");
            let argv = argv.join(" ");
            format!("{user}@{directory} {}{argv}", secret.unwrap_or_default())
        }
        Action::Unpack {
            tar,
            to,
            destination,
            owner,
            ..
        } => format!(
            "{to} {destination:?} {} < {}",
            owner.as_deref().unwrap_or("-"),
            list(tar)
        ),
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

struct Bench {
    base: TestImage,
    notes: Notes,
}

impl Bench {
    fn new() -> Self {
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

    fn store(&self) -> &BlobStore {
        &self.base.store
    }

    fn recipe(&self, build: DockerfileBuild) -> Recipe {
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

    fn assemble(&self, build: DockerfileBuild) -> Result<Assembled, AssembleError> {
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
        assemble(&world, &self.recipe(build))
    }

    /// Builds, and returns what ran.
    fn ran(&self, build: DockerfileBuild) -> Vec<String> {
        self.assemble(build).unwrap();
        std::mem::take(&mut *self.notes.0.lock().unwrap())
    }

    fn refused(&self, build: DockerfileBuild) -> (usize, String) {
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

fn origin(kind: Kind, id: &str) -> Origin {
    Origin {
        kind,
        id: id.to_owned(),
        version: None,
    }
}

fn context(files: &[(&str, &str)]) -> Arc<BuildContext> {
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
    Arc::new(BuildContext::new(entries.collect()))
}

fn build_of(text: &str) -> DockerfileBuild {
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

fn config(image: &Image) -> Value {
    let document: Value = serde_json::from_slice(image.config().bytes()).unwrap();
    document["config"].clone()
}

#[test]
fn instructions_with_the_same_mounts_share_a_container() {
    let bench = Bench::new();
    let ran = bench.ran(build_of(
        "WORKDIR /w\nCOPY a d ./\nRUN one\nUSER u\nRUN two\n\
         RUN --mount=type=cache,target=/c three\nCOPY --chown=u:g a /c/x\nCOPY a /y\nRUN --network=none four\n",
    ));
    assert_eq!(
        ran,
        [
            "mkdir /w; /w/ Auto - < a 644 \"A\"; /w/ Directory - < . 755 \"\", b 644 \"B\"; \
             -@/w /bin/sh -c one; u@/w /bin/sh -c two",
            "[/c cache /c]; u@/w /bin/sh -c three",
            "no network; /c/x Auto u:g < a 644 \"A\"; /y Auto - < a 644 \"A\"; u@/w /bin/sh -c four",
        ]
    );
}

#[test]
fn nothing_runs_a_second_time_and_only_what_changed_runs_again() {
    let bench = Bench::new();
    let text = "RUN --mount=type=bind,target=/m,source=d one\nRUN two\nCOPY a /a\n";
    assert_eq!(bench.ran(build_of(text)).len(), 2);
    assert!(bench.ran(build_of(text)).is_empty(), "all of it is kept");
    let mut touched = build_of(text);
    touched.context = context(&[("a", "changed"), ("d/", ""), ("d/b", "B"), ("new", "")]);
    let foreseen = foresee(bench.store(), &bench.recipe(touched.clone())).unwrap();
    let kept: Vec<bool> = foreseen[0]
        .groups
        .iter()
        .map(|group| group.kept.is_some())
        .collect();
    assert_eq!(kept, [true, false]);
    assert_eq!(
        foreseen[0].groups[1].title,
        "RUN two and 1 more (Dockerfile line 4)"
    );
    let ran = bench.ran(touched);
    assert_eq!(ran.len(), 1, "the bound directory is as it was: {ran:?}");
    let foreseen = foresee(bench.store(), &bench.recipe(build_of(text))).unwrap();
    assert!(foreseen[0].image.is_some(), "the older one is still kept");
}

#[test]
fn the_config_is_what_the_instructions_say_and_layers_have_their_contributor() {
    let bench = Bench::new();
    let mut build = build_of(
        "ARG V=1\nARG TARGETARCH\nENV A=$V B=\"${A:-none} x\" ARCH=$TARGETARCH\nLABEL l=\"$V $A\"\nWORKDIR /w\nWORKDIR sub\n\
         USER $A\nEXPOSE 80 9000-9001/udp\nVOLUME [\"/data\"]\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\n\
         HEALTHCHECK --interval=5s --retries=2 CMD true\nENTRYPOINT run $A\nCMD [\"x\"]\nMAINTAINER me\nONBUILD RUN later\n",
    );
    build.args.insert("V".to_owned(), "2".to_owned());
    let assembled = bench.assemble(build).unwrap();
    let mut config = config(&assembled.image);
    config["Labels"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| name == "l");
    assert_eq!(
        config,
        json!({
            "Env": ["PATH=/usr/bin:/bin", "A=2", "B=none x", "ARCH=amd64"],
            "Labels": {"l": "2 2"},
            "WorkingDir": "/w/sub",
            "User": "2",
            "ExposedPorts": {"80/tcp": {}, "9000/udp": {}, "9001/udp": {}},
            "Volumes": {"/data": {}},
            "StopSignal": "SIGINT",
            "Shell": ["/bin/bash", "-c"],
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_u64, "Retries": 2},
            "Entrypoint": ["/bin/bash", "-c", "run $A"],
            "Cmd": ["x"],
            "ArgsEscaped": true,
            "OnBuild": ["RUN later"],
        })
    );
    let origins: Vec<_> = assembled
        .records
        .iter()
        .map(|record| (record.origin.kind, record.how))
        .collect();
    assert_eq!(
        origins,
        [(Kind::Base, How::Pulled), (Kind::Extension, How::Executed)]
    );
    let known = Provenance::of(assembled.image.config().value()).unwrap();
    assert_eq!(known.layers.len(), 2);
}

#[test]
fn stages_are_built_when_they_are_needed_and_copied_from_layers() {
    let bench = Bench::new();
    let mut build = build_of("");
    build.text = "ARG BASE_IMAGE\nFROM other:1 AS tools\nRUN make\nFROM tools AS unused\nRUN never\n\
                  FROM $BASE_IMAGE\nCOPY --from=tools /opt/t* /bin/\nCOPY --from=0 /opt /opt\nRUN --mount=from=other:1,target=/o look\n"
        .into();
    let platform = Platform::linux("amd64");
    assert_eq!(
        needed_images(&build, &platform)
            .unwrap()
            .into_iter()
            .collect::<Vec<_>>(),
        ["other:1"]
    );
    let (line, said) = bench.refused(build.clone());
    assert!(line == 2 && said.contains("other:1"), "{line} {said}");
    let other = add_image(
        bench.store(),
        &[
            &[("opt/", b""), ("opt/gone", b""), ("opt/tool", b"old")],
            &[("opt/", b""), ("!opt/gone", b""), ("opt/tool", b"new")],
        ],
    );
    build.images.insert("other:1".to_owned(), *other.digest());
    let ran = bench.ran(build.clone());
    assert_eq!(ran[0], "-@/ /bin/sh -c make");
    assert!(
        ran[1].starts_with("[/o bind None . 755") || ran[1].starts_with("[/o bind None opt"),
        "{ran:?}"
    );
    assert!(
        ran[1].contains(
            "/bin/ Auto - < tool 644 \"new\"; /opt Directory - < . 755 \"\", tool 644 \"new\""
        ),
        "{ran:?}"
    );
    assert_eq!(ran.len(), 2, "{ran:?}");
    build.target = Some("unused".to_owned());
    let assembled = bench.assemble(build).unwrap();
    let kinds: Vec<Kind> = assembled
        .records
        .iter()
        .map(|record| record.origin.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            Kind::Unknown,
            Kind::Unknown,
            Kind::Extension,
            Kind::Extension
        ],
        "another image takes the place of the one so far"
    );
}

#[test]
fn mistakes_are_refused_before_anything_runs() {
    let bench = Bench::new();
    for (text, line, part) in [
        ("RUN x\nCOPY nothing /\n", 4, "no `nothing`"),
        ("RUN x\nCOPY ../a /\n", 4, "without `..`"),
        ("RUN x\nCOPY d/../../a /\n", 4, "without `..`"),
        ("RUN x\nCOPY a d /to\n", 4, "`/to/`"),
        ("RUN x\nCOPY --from=nobody /a /\n", 4, "no stage `nobody`"),
        (
            "RUN x\nRUN --mount=source=none,target=/x y\n",
            4,
            "no `none`",
        ),
        ("RUN x\nRUN --network=host y\n", 4, "--network=none"),
        (
            "RUN x\nRUN --mount=type=secret,id=s,required y\n",
            4,
            "secret `s`",
        ),
        ("RUN x\nENV A=\"${B:?must be there}\"\n", 4, "must be there"),
        ("RUN x\nEXPOSE http\n", 4, "`http`"),
        ("RUN x\nSTOPSIGNAL SIGX\n", 4, "SIGX"),
        ("RUN x\nCOPY --chmod=999 a /\n", 4, "octal"),
        ("RUN x\nHEALTHCHECK --interval=1 CMD y\n", 4, "interval=1"),
    ] {
        let (at, said) = bench.refused(build_of(text));
        assert_eq!(at, line, "{text}: {said}");
        assert!(said.contains(part), "{text}: {said}");
    }
    let other = add_image(bench.store(), &[&[("there", b"")]]);
    let mut build = build_of("RUN x\nCOPY --from=other /there /missing /to/\n");
    build.images.insert("other".to_owned(), *other.digest());
    let (line, said) = bench.refused(build);
    assert!(line == 4 && said.contains("no `/missing`"), "{line} {said}");
    assert!(bench.notes.0.lock().unwrap().is_empty(), "something ran");
}

#[test]
fn here_documents_become_scripts_files_and_programs() {
    let bench = Bench::new();
    let ran = bench.ran(build_of(
        "ENV W=world\nRUN <<EOF\necho $W\ncat <<-X\n\tx\n\tX\nEOF\nRUN cat <<A >/a\na $W\nA\n\
         COPY <<b <<\"c\" /d/\nhello $W\nb\nhello $W\nc\nRUN <<P\n#!/usr/bin/python3\nprint()\nP\n",
    ));
    assert_eq!(
        ran,
        [
            "-@/ /bin/sh -c echo $W\ncat <<-X\n\tx\n\tX\n; -@/ /bin/sh -c cat <<A >/a\na $W\nA; \
             /d/ Auto - < b 644 \"hello world\\n\"; /d/ Auto - < c 644 \"hello $W\\n\"",
            "[/dev/pipes bind None P 755 \"#!/usr/bin/python3\\nprint()\\n\"]; -@/ /bin/sh -c /dev/pipes/P",
        ]
    );
}

#[test]
fn archives_are_unpacked_by_add_and_copied_by_copy() {
    let bench = Bench::new();
    let tar = crate::testing::gzip_of(&tar_of(&[("in/", b""), ("in/file", b"deep")]));
    let entries = [
        ("x.tgz", tar.clone()),
        ("plain.gz", crate::testing::gzip_of(b"text")),
    ]
    .map(|(path, content)| {
        (
            layer::LayerPath::new(path).unwrap(),
            ContextEntry::file(content, 0o600, 7),
        )
    });
    let mut build = build_of("ADD x.tgz /to\nADD --unpack=false x.tgz /raw\n");
    build.context = Arc::new(BuildContext::new(entries.into()));
    let assembled = bench.ran(build);
    assert!(
        assembled[0].starts_with(
            "/to Directory - < in 755 \"\", in/file 644 \"deep\"; /raw Auto - < x.tgz 600"
        ),
        "{assembled:?}"
    );
}

#[test]
fn a_secret_is_given_and_decides_nothing() {
    let bench = Bench::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), "hush").unwrap();
    let text = "RUN --mount=type=secret,id=s use\n";
    let mut build = build_of(text);
    build.secrets.insert("s".to_owned(), file.path().to_owned());
    assert_eq!(
        bench.ran(build.clone()),
        ["[/run/secrets/s secret hush]; -@/ /bin/sh -c use"]
    );
    fs_err::write(file.path(), "other").unwrap();
    assert!(
        bench.ran(build).is_empty(),
        "another secret is the same step"
    );
}

#[test]
fn directories_that_an_archive_does_not_name_are_marked() {
    let bench = Bench::new();
    // The headers of the two directories are left out.
    let tar = tar_of(&[("tmp/", b""), ("tmp/deep/", b""), ("tmp/deep/file", b"x")]).split_off(1024);
    let entry = ContextEntry::file(tar, 0o644, 7);
    let mut build = build_of("ADD x.tar /\n");
    build.context = Arc::new(BuildContext::new(
        [("x.tar".parse().unwrap(), entry)].into(),
    ));
    let ran = bench.ran(build);
    assert_eq!(
        ran,
        ["/ Directory - < (tmp), (tmp/deep), tmp/deep/file 644 \"x\""]
    );
}

#[test]
fn proxies_reach_commands_without_being_part_of_the_key() {
    let bench = Bench::new();
    let mut build = build_of("RUN x\n");
    build
        .args
        .insert("HTTP_PROXY".to_owned(), "http://a".to_owned());
    assert_eq!(bench.ran(build.clone()).len(), 1);
    build
        .args
        .insert("HTTP_PROXY".to_owned(), "http://b".to_owned());
    assert!(
        bench.ran(build).is_empty(),
        "the proxy is not part of the step"
    );
}

#[test]
fn a_stage_leaves_triggers_and_arguments_to_what_is_built_on_it() {
    let bench = Bench::new();
    let mut build = build_of("");
    build.text = "ARG BASE_IMAGE\nFROM $BASE_IMAGE AS b\nARG A=1\nENV E=$A\nONBUILD RUN later $A\nONBUILD COPY a /from-below\n\
                  FROM b\nRUN now\nENV F=$A\n"
        .into();
    let assembled = bench.assemble(build).unwrap();
    assert_eq!(
        std::mem::take(&mut *bench.notes.0.lock().unwrap()),
        ["-@/ /bin/sh -c later $A; /from-below Auto - < a 644 \"A\"; -@/ /bin/sh -c now"]
    );
    let config = config(&assembled.image);
    assert_eq!(config["Env"], json!(["PATH=/usr/bin:/bin", "E=1", "F=1"]));
    assert_eq!(config.get("OnBuild"), None, "triggers go off once");
}

#[test]
fn an_empty_image_begins_as_builders_begin_it() {
    let bench = Bench::new();
    let mut build = build_of("");
    build.text = "FROM scratch\nCOPY a /\nCMD [\"/a\"]\n".into();
    let assembled = bench.assemble(build).unwrap();
    let config = config(&assembled.image);
    assert_eq!(config["WorkingDir"], json!("/"));
    assert_eq!(config["Env"], json!([crate::transport::ROOTFS_PATH]));
    assert_eq!(
        assembled.records.len(),
        1,
        "nothing of the image so far is in it"
    );
    assert_eq!(assembled.image.layers().len(), 1);
}

#[test]
fn a_step_on_top_of_a_dockerfile_is_foreseen_once_all_below_is_kept() {
    let bench = Bench::new();
    let mut recipe = bench.recipe(build_of("RUN one\nENV A=1\n"));
    recipe.steps.push(Step {
        origin: origin(Kind::Glue, ""),
        addition: Addition::Files(Vec::new()),
    });
    let foreseen = foresee(bench.store(), &recipe).unwrap();
    assert!(foreseen[0].image.is_none() && foreseen[1].key.is_none());
    bench.ran(build_of("RUN one\nENV A=1\n"));
    let foreseen = foresee(bench.store(), &recipe).unwrap();
    let image = foreseen[0].image.as_ref().expect("all of it is kept");
    assert_eq!(config(image)["Env"], json!(["PATH=/usr/bin:/bin", "A=1"]));
    assert!(foreseen[1].key.is_some());
}

#[test]
fn a_secret_may_be_a_variable() {
    let bench = Bench::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), "hush").unwrap();
    let mut build = build_of("RUN --mount=type=secret,id=s,env=S use\n");
    build.secrets.insert("s".to_owned(), file.path().to_owned());
    assert_eq!(bench.ran(build), ["-@/ S=hush /bin/sh -c use"]);
}
