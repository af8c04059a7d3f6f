//! Dockerfiles through the public door.

use serde_json::json;

use super::{bench::*, *};
use crate::{
    foresee::{foresee, is_result},
    provenance::{How, Kind, Provenance},
    recipe::{Addition, ConfigChange, Step},
    store::BlobStore,
    testing::{add_image, tar_of},
};

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
fn what_a_dockerfile_gave_outlives_the_stages_that_it_copied_from() {
    let bench = Bench::new();
    let store = bench.store();
    let other = add_image(store, &[&[("opt/", b""), ("opt/tool", b"tool")]]);
    let mut build = build_of("");
    build.text = "ARG BASE_IMAGE\nFROM $BASE_IMAGE AS made\nRUN make\nFROM $BASE_IMAGE\n\
                  COPY --from=made /etc/below /a\nCOPY --from=other:1 /opt /opt\nENV A=1\n"
        .into();
    build.images.insert("other:1".to_owned(), *other.digest());
    let assembled = bench.assemble(build.clone()).unwrap();
    let record = &assembled.dockerfiles[0];
    assert_eq!(
        (record.digest, &record.images),
        (build.digest(), &build.images)
    );
    bench.name("localhost/made:1", &assembled);
    let side = |store: &BlobStore| {
        fs_err::read_dir(store.root().join("layers"))
            .unwrap()
            .count()
    };
    assert_eq!(side(store), 2);
    bench.prune();
    assert_eq!(side(store), 1, "the stage's layer is in no image");
    assert!(
        !store.has(&other.layers()[0].descriptor).unwrap(),
        "the other image's layer neither"
    );
    assert_eq!(
        store.image(other.digest()).unwrap().digest(),
        other.digest(),
        "its documents stay"
    );
    bench.notes.0.lock().unwrap().clear();

    let recipe = bench.recipe(build.clone());
    let foreseen = foresee(store, &recipe).unwrap();
    assert!(
        is_result(&assembled.image, &recipe, (&bench.base.image, &foreseen)).unwrap(),
        "what is there is still known to be the result"
    );
    let again = bench.assemble(build.clone()).unwrap();
    assert_eq!(again.image.digest(), assembled.image.digest());
    assert_eq!(*bench.notes.0.lock().unwrap(), [""; 0], "nothing runs");
    assert_eq!(again.records.last().unwrap().how, How::Reused);

    let moved = add_image(store, &[&[("opt/", b""), ("opt/tool", b"newer")]]);
    build.images.insert("other:1".to_owned(), *moved.digest());
    let foreseen = foresee(store, &bench.recipe(build)).unwrap();
    assert!(foreseen[0].image.is_none(), "another image, another result");
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
fn a_default_is_set_where_the_image_says_nothing() {
    let default = |value: &str| value.to_owned();
    let change = ConfigChange {
        env: [(default("SET"), default("ours"))].into(),
        defaults: [
            (default("PATH"), default("/ours")),
            (default("LANG"), default("C.UTF-8")),
            (default("EMPTY"), default("ours")),
        ]
        .into(),
        ..ConfigChange::default()
    };
    let assembled = Bench::new()
        .assemble_with(build_of("ENV SET=theirs EMPTY=\n"), change)
        .unwrap();
    assert_eq!(
        config(&assembled.image)["Env"],
        json!(["PATH=/usr/bin:/bin", "SET=ours", "EMPTY=", "LANG=C.UTF-8"])
    );
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
