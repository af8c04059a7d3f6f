//! What Dockerfiles copy, through the public door.

use super::super::{bench::*, *};
use crate::testing::{add_image, tar_of};

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
    build.context = BuildContext::new(entries.into()).into();
    let assembled = bench.ran(build);
    assert!(
        assembled[0].starts_with(
            "/to Directory - < in 755 \"\", in/file 644 \"deep\"; /raw Auto - < x.tgz 600"
        ),
        "{assembled:?}"
    );
}

/// Adds one file; returns what was said, or what ran.
fn added(content: Vec<u8>) -> Result<Vec<String>, String> {
    let bench = Bench::new();
    let entry = ContextEntry::file(content, 0o644, 7);
    let mut build = build_of("ADD d/x.tar /to/\n");
    let path = |path: &str| layer::LayerPath::new(path).unwrap();
    let directory = ContextEntry {
        kind: ContextKind::Directory,
        mode: 0o755,
        mtime: 7,
    };
    build.context =
        BuildContext::new([(path("d"), directory), (path("d/x.tar"), entry)].into()).into();
    match bench.assemble(build.clone()) {
        Ok(_) => Ok(bench.ran(build)),
        Err(error) => {
            let mut words = vec![error.to_string()];
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                words.push(error.to_string());
                source = error.source();
            }
            Err(words.join(": "))
        }
    }
}

#[test]
fn an_archive_that_is_wrong_is_refused_and_what_is_none_is_copied() {
    use crate::testing::gzip_of;
    let good = tar_of(&[("in/", b""), ("in/file", &[b'x'; 3000])]);
    // The name of the first entry, with a checksum that fits.
    let renamed = |name: &str| {
        let mut tar = good.clone();
        tar[..name.len()].copy_from_slice(name.as_bytes());
        tar[148..156].fill(b' ');
        let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar
    };
    let mut sum = good.clone();
    sum[150] = b'9';
    let zipped = gzip_of(&good);
    let mut flipped = zipped.clone();
    flipped[12] ^= 0xff;
    for (content, said) in [
        (renamed("../x"), "../x"),
        (sum, "checksum"),
        (good[..2000].to_vec(), "cut off"),
        (zipped[..zipped.len() / 2].to_vec(), ""),
        (flipped, ""),
        (renamed(".wh.x"), "`.wh.` for `x`"),
    ] {
        let words = added(content).unwrap_err();
        assert!(
            words.contains("Dockerfile line 3") && words.contains("`d/x.tar` cannot be unpacked"),
            "{words}"
        );
        assert!(words.contains(said), "{words}");
    }
    for content in [
        b"text".to_vec(),
        vec![b'x'; 2000],
        Vec::new(),
        gzip_of(b"text"),
        gzip_of(&[b'x'; 2000]),
    ] {
        let ran = added(content).unwrap();
        assert!(ran[0].contains("x.tar 644"), "{ran:?}");
    }
}

#[test]
fn directories_that_an_archive_does_not_name_are_marked() {
    let bench = Bench::new();
    // The headers of the two directories are left out.
    let tar = tar_of(&[("tmp/", b""), ("tmp/deep/", b""), ("tmp/deep/file", b"x")]).split_off(1024);
    let entry = ContextEntry::file(tar, 0o644, 7);
    let mut build = build_of("ADD x.tar /\n");
    build.context = BuildContext::new([("x.tar".parse().unwrap(), entry)].into()).into();
    let ran = bench.ran(build);
    assert_eq!(
        ran,
        ["/ Directory - < (tmp), (tmp/deep), tmp/deep/file 644 \"x\""]
    );
}

/// Makes a link of a build context.
fn link(target: &str) -> ContextEntry {
    ContextEntry {
        kind: ContextKind::Symlink(target.into()),
        mode: 0o777,
        mtime: 7,
    }
}

#[test]
fn a_link_that_leads_nowhere_is_refused_even_if_only_a_pattern_fits_it() {
    let mut build = build_of("RUN x\nCOPY d/* /x/\n");
    let mut entries: BTreeMap<_, _> = build
        .context
        .open()
        .unwrap()
        .iter()
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    entries.insert("d/dead".parse().unwrap(), link("nowhere"));
    build.context = BuildContext::new(entries).into();
    let (line, said) = Bench::new().refused(build);
    assert!(line == 4 && said.contains("no `d/dead`"), "{line} {said}");
}

#[test]
fn what_is_excluded_is_below_a_directory_that_is_copied() {
    for (source, copied) in [
        ("d/b", "/x/ Auto - < b 644 \"B\""),
        ("d/*", "/x/ Auto - < b 644 \"B\""),
        ("d", "/x/ Directory - < . 755 \"\""),
    ] {
        let ran = Bench::new().ran(build_of(&format!("COPY --exclude=b {source} /x/\n")));
        assert_eq!(ran, [copied], "{source}");
    }
}

#[test]
fn what_is_excluded_is_not_part_of_the_key() {
    let bench = Bench::new();
    let mut build = build_of("COPY --exclude=*.md . /x\nRUN slow\n");
    let files = |note| context(&[("a", "A"), ("n.md", note)]);
    build.context = files("one");
    assert_eq!(bench.ran(build.clone()).len(), 1);
    build.context = files("two");
    assert_eq!(bench.ran(build.clone()), [""; 0], "nobody sees `n.md`");
    build.text = build.text.replace("*.md", "*.txt").into();
    assert_eq!(bench.ran(build).len(), 1, "now somebody sees it");
}

#[test]
fn an_archive_keeps_its_modes_and_what_is_none_gets_the_one_that_is_asked_for() {
    let entries = [("t.tar", tar_of(&[("f", b"in")])), ("u.txt", b"u".to_vec())]
        .map(|(path, content)| (path.parse().unwrap(), ContextEntry::file(content, 0o644, 7)));
    let mut build = build_of("ADD --chmod=700 *.t* /x/\n");
    build.context = BuildContext::new(entries.into()).into();
    assert_eq!(
        Bench::new().ran(build),
        ["/x/ Directory - < f 644 \"in\"; /x/ Auto - 700 < u.txt 700 \"u\""]
    );
}

#[test]
fn what_fits_a_pattern_is_one_tar_unless_the_order_matters() {
    let bench = Bench::new();
    let other = add_image(
        bench.store(),
        &[&[
            ("bin/", b""),
            ("bin/a", b"A"),
            ("bin/b", b"B"),
            ("d1/", b""),
            ("d1/x", b"1"),
            ("d2/", b""),
            ("d2/x", b"2"),
        ]],
    );
    for (source, copied) in [
        ("/bin/* /x/", "/x/ Directory - < a 644 \"A\", b 644 \"B\""),
        (
            "/d* /x/",
            "/x/ Directory - < . 755 \"\", x 644 \"1\"; /x/ Directory - < . 755 \"\", x 644 \"2\"",
        ),
        (
            "/bin/* /x",
            "/x Auto - < a 644 \"A\"; /x Auto - < b 644 \"B\"",
        ),
    ] {
        let mut build = build_of(&format!("COPY --from=other {source}\n"));
        build.images.insert("other".to_owned(), *other.digest());
        assert_eq!(bench.ran(build), [copied], "{source}");
    }
}
