//! What Dockerfiles copy, through the public door.

use super::super::{bench::*, *};
use crate::testing::tar_of;

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
