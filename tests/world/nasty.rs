//! A script that does everything that a script may do: the image holds exactly what it left.
//!
//! Four views of the tree must be equal, written by one small program (`nasty/tree.pl`): as the script saw it at its end,
//! as `umoci` unpacks it after `skopeo` copied it, as a container of the loaded image sees it, and as a container of
//! the archive that `docker load` took sees it.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, process::Command};

use crate::ground::{BASE, Ground, Said, on_every_engine, shell};

const TREE: &str = include_str!("nasty/tree.pl");

/// Expects two views to be equal, and names the paths where they are not.
#[track_caller]
fn same(seen: &[u8], other: &[u8], what: &str) {
    let lines = |bytes: &[u8]| -> BTreeMap<String, String> {
        String::from_utf8(bytes.to_vec())
            .unwrap()
            .lines()
            // Rewritten by a daemon for as long as it is let live; the glue layer.
            .filter(|line| {
                !line.starts_with("/var/daemon/alive ") && !line.starts_with("/opt/aicage")
            })
            .map(|line| line.split_once(' ').unwrap())
            .map(|(path, rest)| (path.to_owned(), rest.to_owned()))
            .collect()
    };
    let (seen, other) = (lines(seen), lines(other));
    assert!(seen.len() > 10_000, "only {} paths were seen", seen.len());
    let paths = seen.keys().chain(other.keys());
    let different: std::collections::BTreeSet<_> = paths
        .filter(|path| seen.get(*path) != other.get(*path))
        .collect();
    let shown: Vec<_> = different
        .iter()
        .take(20)
        .map(|path| format!("{path}\n  {:?}\n  {:?}", seen.get(*path), other.get(*path)))
        .collect();
    assert!(
        different.is_empty(),
        "{} paths differ {what}:\n{}",
        different.len(),
        shown.join("\n")
    );
}

fn define(ground: &Ground) {
    ground.base("library/debian:stable");
    ground.define("");
    let windows = |script: &str| script.replace('\n', "\r\n");
    ground.write_agent("install.sh", &windows(include_str!("nasty/install.sh")));
    ground.write_agent("version.sh", &windows("#!/bin/sh\nset -e\necho 1.0\n"));
    ground.write_agent("make.pl", include_str!("nasty/make.pl"));
    ground.write_agent("tree.pl", TREE);
}

/// Returns what a container of the image sees.
fn inside(ground: &Ground, image: &str) -> Vec<u8> {
    let mut command = Command::new("docker");
    command
        .args(["-H", &ground.engine, "run", "--rm", "--entrypoint", "perl"])
        .args([image, "-e", TREE, "/"]);
    Said::of(&mut command, 0).stdout.into_bytes()
}

#[test]
fn an_image_holds_exactly_what_a_nasty_script_left() {
    on_every_engine(|ground| {
        define(ground);
        let (layout, copy) = (ground.path("layout"), ground.path("copy"));
        let archive = ground.path("image.tar");
        let output = format!("oci:{}:nasty", layout.display());
        ground.run(
            &["build", &ground.agent, "--base", BASE, "--output", &output],
            0,
        );

        // Judged by tools that share nothing with aicage.
        shell(
            r#"skopeo inspect "oci:$1:nasty" && skopeo copy -q "oci:$1:nasty" "oci:$2:nasty""#,
            &[&layout, &copy],
        );
        let bundle = ground.path("bundle");
        shell(r#"umoci unpack --image "$1:nasty" "$2""#, &[&copy, &bundle]);
        let root = bundle.join("rootfs");
        let left = fs_err::read(root.join("srv/tree")).unwrap();
        let program = ground.path("tree.pl");
        fs_err::write(&program, TREE).unwrap();
        let unpacked = shell(r#"perl "$1" "$2""#, &[&program, &root]);
        same(
            &left,
            &unpacked,
            "between the script's end and what umoci unpacks",
        );
        seen_at_all(&String::from_utf8(left.clone()).unwrap());

        // The image is there: nothing runs for the second form.
        let logs = ground.logs().len();
        let output = format!("docker-archive:{}", archive.display());
        ground.run(
            &["build", &ground.agent, "--base", BASE, "--output", &output],
            0,
        );
        assert_eq!(ground.logs().len(), logs, "a step ran again");
        let said = ground.docker(&["load", "--input", archive.to_str().unwrap()]);
        assert!(said.contains(&ground.image()), "{said}");
        same(
            &left,
            &inside(ground, &ground.image()),
            "between the script's end and a container of the archive",
        );
        ground.docker(&["image", "rm", &ground.image()]);

        ground.build();
        same(
            &left,
            &inside(ground, &ground.image()),
            "between the script's end and a container of the loaded image",
        );
        let mode = fs_err::metadata(root.join("usr/local/bin/raised")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o7777, 0o6755);
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

/// Expects the view to show what the script did, so that equal views are not equally blind.
#[track_caller]
fn seen_at_all(view: &str) {
    let line = |path: &str| {
        let found = view
            .lines()
            .find(|line| line.split(' ').next() == Some(path));
        assert!(found.is_some(), "{path} is not seen");
        found.unwrap()
    };
    for (path, what) in [
        ("/opt/names/line\\x0abreak", "size 6"),
        ("/opt/names/\\xff\\xfe\\x20not\\x20UTF-8", "size 6"),
        ("/opt/attributes", "user.bytes=a\\x00b\\x0a=\\xff"),
        ("/opt/capable", "security.capability="),
        ("/opt/links/two", "linked /opt/links/renamed"),
        ("/usr/local/three", "linked /opt/links/renamed"),
        ("/opt/links/of-the-base", "linked /etc/issue"),
        ("/opt/fifo", "010620"),
        ("/opt/null", "020666 0:0"),
        ("/opt/loop", "060600 0:0"),
        ("/opt/closed", "040000"),
        ("/opt/sparse", "size 16777219"),
        ("/etc/host.conf", "946684799"),
        ("/etc/gai.conf", "12:34"),
        ("/etc/debconf.conf", "user.only=this"),
        ("/opt/many/29/199", "size 7"),
    ] {
        assert!(line(path).contains(what), "{}", line(path));
    }
    for gone in ["/usr/bin/sh", "/usr/share/doc", "/etc/cron.daily"] {
        assert!(
            !view
                .lines()
                .any(|line| line.split(' ').next() == Some(gone)),
            "{gone} is still there"
        );
    }
}
