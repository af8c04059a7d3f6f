//! Groups and configs of Dockerfiles, through the public door.

use serde_json::json;

use super::super::{bench::*, check};
use crate::{
    foresee::foresee,
    platform::Platform,
    provenance::{How, Kind, Provenance},
    recipe::{Addition, ConfigChange, Step},
    testing::add_image,
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
        (
            &format!("RUN x\nENV A={}\n", "${b:-".repeat(60_000)),
            4,
            "100 deep",
        ),
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
    let mut build =
        build_of("RUN x\nWORKDIR /w\nRUN --mount=from=other,source=/missing,target=/m y\n");
    build.images.insert("other".to_owned(), *other.digest());
    let (line, said) = bench.refused(build);
    assert!(line == 5 && said.contains("no `/missing`"), "{line} {said}");
    assert!(bench.notes.0.lock().unwrap().is_empty(), "something ran");
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
fn a_file_is_looked_over_without_any_image() {
    let said = |text: &str| check(&build_of(text), &Platform::linux("amd64"));
    for (text, part) in [
        ("RUUN x\n", "line 3: "),
        ("RUN x\nCOPY nothing /\n", "line 4: there is no `nothing`"),
        (
            "ARG A=1\nENV B=x$A\nCOPY no-$B \\\n  /\n",
            "line 5: there is no `no-x1`",
        ),
        ("COPY --from=missing:1 /x /\nWORKDIR\n", "line 4: "),
    ] {
        let error = said(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    for text in [
        "COPY --from=missing:1 /x /\n",
        "WORKDIR $SET_BY_THE_IMAGE\n",
        "WORKDIR $SET\nENV SET=later\n",
        "ENV A=$SET_BY_THE_IMAGE\nCOPY $A /\nWORKDIR $A\n",
        "RUN --mount=type=secret,id=s,required x\n",
    ] {
        assert!(said(text).is_ok(), "{text} may be right: {:?}", said(text));
    }
}

#[test]
fn a_command_sees_nothing_of_what_another_wrote_into_a_mount_of_its_own() {
    for mount in ["type=tmpfs,target=/t", "type=bind,source=d,target=/t,rw"] {
        let run = format!("RUN --mount={mount} true\n");
        let ran = Bench::new().ran(build_of(&format!("{run}{run}WORKDIR /w\n{run}")));
        assert_eq!(ran.len(), 3, "{mount} is new each time: {ran:?}");
    }
    for mount in [
        "type=cache,target=/t",
        "type=bind,source=d,target=/t",
        "type=secret,id=none",
    ] {
        let run = format!("RUN --mount={mount} true\n");
        let ran = Bench::new().ran(build_of(&format!("{run}{run}")));
        assert_eq!(ran.len(), 1, "{mount} is the same for both: {ran:?}");
    }
}
