//! Stages of Dockerfiles, through the public door.

use serde_json::json;

use super::super::{bench::*, *};
use crate::{foresee::foresee, provenance::Kind, testing::add_image};

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
fn what_a_base_image_left_may_need_a_stage_that_no_line_needs() {
    let mut bench = Bench::new();
    let below = bench.assemble(build_of("ONBUILD COPY --from=tools /opt/x /x\n"));
    bench.base.image = below.unwrap().image;
    let mut build = build_of("");
    build.text = "ARG BASE_IMAGE\nFROM other AS tools\nRUN make\nFROM $BASE_IMAGE\n".into();
    let (line, said) = bench.refused(build.clone());
    assert!(line == 2 && said.contains("ONBUILD"), "{line} {said}");
    let other = add_image(bench.store(), &[&[("opt/", b""), ("opt/x", b"X")]]);
    build.images.insert("other".to_owned(), *other.digest());
    assert_eq!(
        bench.ran(build),
        ["-@/ /bin/sh -c make", "/x Auto - < x 644 \"X\""]
    );
}

#[test]
fn a_stage_that_asks_for_the_image_below_gets_its_name() {
    let bench = Bench::new();
    let mut build = build_of("");
    build.text =
        "ARG BASE_IMAGE\nARG COPY_OF=$BASE_IMAGE\nFROM $BASE_IMAGE\nARG BASE_IMAGE\nARG COPY_OF\n\
                  LABEL one=$BASE_IMAGE two=$COPY_OF\nRUN echo $BASE_IMAGE\n"
            .into();
    let image = bench.assemble(build.clone()).unwrap().image;
    assert_eq!(config(&image)["Labels"]["one"], "localhost/test:1");
    assert_eq!(config(&image)["Labels"]["two"], "localhost/test:1");
    let mut recipe = bench.recipe(build.clone());
    recipe.base_record.reference = "localhost/other:1".to_owned();
    assert!(
        foresee(bench.store(), &recipe).unwrap()[0].image.is_none(),
        "under another name the command sees another one"
    );
    build.text = "ARG BASE_IMAGE\nFROM $BASE_IMAGE-slim\n".into();
    let (line, said) = bench.refused(build);
    assert!(line == 2 && said.contains("alone"), "{line} {said}");
}
