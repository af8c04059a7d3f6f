//! The embedded program runs a step as PID 1 of a container made by hand, and GNU tar judges the layer it sends.
//!
//! The container is an overlay over a small busybox root in namespaces of its own. The tree that the script left is
//! compared with the lower tree after the layer was applied to it: names, kinds, modes, owners, mtimes, link targets,
//! hard links, devices, attributes and content.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![cfg(target_os = "linux")]

mod container;
mod snapshot;
mod upper;

use std::{os::unix::fs::PermissionsExt, process::Command};

use aicage::init_program::init_for;
use layer::{
    LayerPath,
    tar::{LayerReader, Limits},
};

use crate::{
    container::{CONTAINER, Ground, Step, can_make_containers},
    snapshot::attributes,
};

/// Changes of every kind.
const EVERY_KIND: &str = r#"#!/bin/sh
set -e
cd /
chmod 4711 etc/one
chown 1234:5678 etc/two
echo changed > etc/sub/x; touch -d '2020-01-01 00:00:00' etc/sub/x
mv usr/lib/deep usr/lib/moved
ln etc/sub/y etc/sub/y2
echo more >> old/pair1; touch -d '2020-01-01 00:00:00' old/pair1
rm -r opt/tool/data; mkdir opt/tool/data; echo new > opt/tool/data/d2
rm old/linked; echo again > old/linked; touch -d '2001-01-01 00:00:00' old/linked
rm -r gone
rm old/link; mkdir old/link; echo in > old/link/in
rm -r var/cache; echo file > var/cache
mkdir -p new/empty new/sub; echo 1 > new/sub/1; ln new/sub/1 new/first; ln new/sub/1 new/sub/z
ln -s nowhere new/dangling; mkfifo -m 640 new/pipe; mknod new/null c 1 3; mknod new/disk b 7 9
printf 'x' > "new/line
break"; printf 'y' > "$(printf 'new/\377\376')"; echo u > 'new/ünï'
long=$(printf '%0200d' 0); mkdir -p new/$long/$long; echo long > new/$long/$long/f
dd if=/dev/zero of=new/sparse bs=1 count=1 seek=3000000 2>/dev/null
: > new/zero; chmod 0 new/zero; mkdir -m 2770 new/setgid; touch -d '1960-01-01 00:00:00' new/old"#;

#[test]
fn every_kind_of_change_is_captured() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(EVERY_KIND);
    step.judge();
    let names = step.names();
    for name in [
        "-gone",
        "-usr/lib/deep",
        "-opt/tool/data/d1",
        "etc/one",
        "etc/two",
        "etc/sub/x",
        "etc/sub/y",
        "old/linked",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is missing in {names:?}"
        );
    }
    for name in [
        "-gone/a",
        "gone",
        "-var/cache/kept",
        "bin",
        "bin/busybox",
        ".",
        "old/pair2",
        "tmp",
        "home",
    ] {
        assert!(
            !names.iter().any(|found| found == name),
            "{name} should not be in {names:?}"
        );
    }
}

#[test]
fn a_directory_that_takes_anothers_place_brings_its_files_whatever_their_times() {
    if !can_make_containers() {
        return;
    }
    let script = "#!/bin/sh
set -e
rm -r /versions/1; mv /versions/2 /versions/1
chmod 700 /etc/sub; mv /usr/lib/deep /usr/lib/moved; mv /usr/lib/moved /usr/lib/deep
";
    // With the first, files keep their ctimes; with the second, `mv` copies.
    for options in [",redirect_dir=on", ",redirect_dir=off"] {
        let ground = Ground {
            options,
            ..Ground::default()
        };
        let step = Step::captured_on(ground, script);
        step.judge();
        let names = step.names();
        for name in ["versions/1/in/file", "versions/1/link", "-versions/2"] {
            assert!(
                names.iter().any(|found| found == name),
                "{options}: {name} is missing in {names:?}"
            );
        }
        assert!(
            !names.iter().any(|found| found.starts_with("etc/sub/")),
            "{options}: a directory that only has another mode is the same one: {names:?}"
        );
    }
}

#[test]
fn attributes_are_captured() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(
        "#!/bin/sh\ncd /; chmod 700 etc/attributed/file; chmod 4755 etc/attributed/able\n",
    );
    step.judge();
    assert_eq!(
        step.names(),
        [
            "etc",
            "etc/attributed",
            "etc/attributed/able",
            "etc/attributed/file"
        ]
    );
    let left = attributes(&step.path("merged/etc/attributed/able"));
    assert!(
        left.starts_with("security.capability="),
        "the judge saw no attribute: {left:?}"
    );
    assert_eq!(
        attributes(&step.path("applied/etc/attributed/file")),
        "user.a=[0, 255, 10] user.empty=[]"
    );
    assert_eq!(
        attributes(&step.path("applied/etc/attributed")),
        "user.d=[100]"
    );
}

#[test]
fn a_script_that_changes_nothing_gives_an_empty_layer() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured("#!/bin/sh\ncat /etc/one\n");
    assert_eq!(step.names(), Vec::<String>::new());
    assert_eq!(step.layer, vec![0; 1024]);
    assert!(
        step.stderr.contains("one"),
        "the script's output is gone: {}",
        step.stderr
    );
}

#[test]
fn a_script_that_destroys_its_container_is_captured_all_the_same() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(
        "#!/bin/sh\ncd /\n(sleep 1000 &) \nexec 3>&- 1>&- 2>&-\ncp bin/busybox /busybox\n/busybox rm -rf /.aicage-n1 /bin /etc /usr\n/busybox true\n",
    );
    step.judge();
    let names = step.names();
    assert_eq!(names, ["-bin", "-etc", "-usr", "busybox"]);
}

#[test]
fn a_windows_script_and_one_without_an_interpreter_run() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured("#!/bin/sh\r\necho a > /made\r\n");
    assert_eq!(step.names(), ["made"]);
    let step = Step::captured("echo a > /made\n");
    assert_eq!(step.names(), ["made"]);
}

#[test]
fn a_failing_script_is_named_with_its_code() {
    if !can_make_containers() {
        return;
    }
    for (script, exit) in [
        ("#!/bin/sh\nexit 7\n", 7),
        ("#!/bin/sh\nkill -9 $$\n", 137),
        ("#!/bin/nowhere\n", 127),
    ] {
        let step = Step::run(script.as_bytes(), r#""mode":"capture""#);
        assert_eq!(
            step.answer,
            format!("{{\"status\":\"failed\",\"script\":\"install.sh\",\"exit\":{exit}}}\n")
        );
        assert_eq!((step.layer.len(), step.code), (0, Some(0)));
    }
}

#[test]
fn a_query_answers_with_what_was_printed() {
    if !can_make_containers() {
        return;
    }
    let step = Step::run(b"#!/bin/sh\necho out; echo err >&2\n", r#""mode":"query""#);
    assert!(
        step.answer.starts_with(r#"{"status":"ok""#),
        "{}",
        step.answer
    );
    assert_eq!(step.layer, b"out\n");
    assert!(
        step.stderr.contains("err") && !step.stderr.contains("out"),
        "{}",
        step.stderr
    );
    let step = Step::run(
        b"#!/bin/sh\ndd if=/dev/zero bs=1000000 count=3\n",
        r#""mode":"query""#,
    );
    assert_eq!(step.layer.len(), 1 << 20, "an answer is bounded");
}

#[test]
fn a_whiteout_name_is_refused_and_named() {
    if !can_make_containers() {
        return;
    }
    let step = Step::run(b"#!/bin/sh\necho a > /etc/.wh.x\n", r#""mode":"capture""#);
    assert_eq!(step.code, Some(99));
    assert!(step.stderr.contains("etc/.wh.x"), "{}", step.stderr);
}

#[test]
fn a_late_mtime_is_clamped_and_excluded_paths_are_left_out() {
    if !can_make_containers() {
        return;
    }
    let step = Step::run(
        b"#!/bin/sh\nmkdir /x; echo a > /x/a; echo b > /x/b\n",
        r#""mode":"capture","source_date_epoch":1000,"exclude":["/x/b"]"#,
    );
    let mut reader = LayerReader::new(step.layer.as_slice(), Limits::default());
    while let Some(item) = reader.next_item().unwrap() {
        let layer::LayerItem::Entry(entry) = item else {
            panic!("{item:?}")
        };
        assert_eq!(entry.mtime, 1000, "{:?}", entry.path);
    }
    assert_eq!(step.names(), ["x", "x/a"]);
}

#[test]
fn a_hundred_thousand_files_and_a_deep_tree_are_captured() {
    if !can_make_containers() {
        return;
    }
    let step = Step::captured(
        r"#!/bin/sh
mkdir /many; cd /many
i=0; while [ $i -lt 1000 ]; do d=$i; mkdir $d; i=$((i+1)); done
for d in *; do (cd $d; j=0; while [ $j -lt 100 ]; do : > f$j; j=$((j+1)); done); done
mkdir /deep; cd /deep
chain() { i=0; while [ $i -lt 700 ]; do mkdir d$i; cd d$i; i=$((i+1)); done; }
mkdir a b; cd a; chain
(cd /deep/b; chain; echo bottom > f)
mv /deep/b .
",
    );
    let mut reader = LayerReader::new(
        step.layer.as_slice(),
        Limits {
            path_bytes: 1 << 20,
            ..Limits::default()
        },
    );
    let (mut count, mut deepest) = (0, LayerPath::root());
    while let Some(item) = reader.next_item().unwrap() {
        count += 1;
        if item.path().as_bytes().len() > deepest.as_bytes().len() {
            deepest = item.path().clone();
        }
    }
    assert_eq!(count, 1 + 1000 + 100_000 + 1 + 2 + 1400 + 1);
    assert!(deepest.to_string().ends_with("/d699/f"), "{deepest}");
}

#[test]
fn another_nonce_ends_at_once() {
    if !can_make_containers() {
        return;
    }
    let script = CONTAINER.replace("\"$NONCE\"'", "other'");
    assert_ne!(script, CONTAINER);
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    for name in ["lower/proc", "lower/dev", "upper", "work", "root", "step"] {
        fs_err::create_dir_all(work.path().join(name)).unwrap();
    }
    fs_err::write(
        work.path().join("step/init"),
        init_for(std::env::consts::ARCH).unwrap(),
    )
    .unwrap();
    fs_err::set_permissions(
        work.path().join("step/init"),
        PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let spec = r#"{"nonce":"n1","scripts":[],"mode":"capture","output":"stdout"}"#;
    fs_err::write(work.path().join("step/step.json"), spec).unwrap();
    let run = |script: &str| {
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .envs([
                ("WORK", work.path().to_str().unwrap()),
                ("DIR", "/.aicage-n1"),
                ("NONCE", "n1"),
            ])
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(run(&script), Some(97));
}
