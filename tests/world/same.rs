//! An image is the same whatever assembled it: the same recipe natively and in an engine gives the same layers, and
//! each way runs what the other has assembled.
//!
//! The script is the one of `nasty.rs`, without what no cage may do (device nodes) and with times that do not depend on when it ran.

use std::process::Command;

use crate::ground::{BASE, Ground, Said, on_all_engines, shell};

const TREE: &str = include_str!("nasty/tree.pl");

/// Gives whatever the script wrote one time, the directories that this changes last; nothing of the base is that new.
const TIMES: &str = "
rm -rf /var/cache/ldconfig /var/log/*
find / -xdev -depth -newermt 2020-01-01 ! -path '/proc*' ! -path '/.aicage*' -exec touch -h -d '2010-01-02 03:04:05.678 UTC' {} + 2>/dev/null || true
";

/// What a session says of what it sees: owners, modes, times, kinds, and what a capability is worth.
const LOOK: &str = "stat -c '%n %f %u:%g %s %Y %h' /opt/closed /opt/fifo /opt/links/* /usr/local/bin/raised \
    /usr/local/three /etc/gai.conf /etc/host.conf /usr/share/man /srv/shared/* && cat /usr/share/common-licenses";

fn define(ground: &Ground) {
    ground.base("library/debian:stable");
    let nasty = include_str!("nasty/install.sh");
    let (script, _daemon) = nasty.split_once("# A daemon").unwrap();
    let script: Vec<_> = script
        .lines()
        .filter(|line| !line.starts_with("mknod"))
        .collect();
    let script = script.join("\n");
    assert!(script.contains("perl make.pl"), "{script}");
    let name = &ground.agent;
    let install = format!(
        "{script}
groupadd -g 7000 builders
useradd -m -u 7001 -g builders builder
install -d -o builder -g builders -m 2775 /srv/shared
echo from builder >/srv/shared/a && chown builder:builders /srv/shared/a && ln /srv/shared/a /srv/shared/b
cat >/usr/local/bin/{name} <<'PROGRAM'
#!/bin/bash
{LOOK}
PROGRAM
chmod 755 /usr/local/bin/{name}
{TIMES}"
    );
    ground.define(&install);
    ground.write_agent("make.pl", include_str!("nasty/make.pl"));
    ground.write_agent("tree.pl", TREE);
}

/// The program with a home that has the same definitions, and no engine.
fn natively(ground: &Ground, arguments: &[&str]) -> Command {
    let mut command = ground.aicage(arguments);
    command
        .env("AICAGE_HOME", ground.path("native"))
        .env("AICAGE_ENGINE", "native");
    command
}

/// The `diff_ids` of a layout's only image.
fn layers(ground: &Ground, layout: &str) -> Vec<String> {
    let config = shell(
        r#"skopeo inspect --config "oci:$1:it""#,
        &[&ground.path(layout)],
    );
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let layers = config["rootfs"]["diff_ids"].as_array().unwrap();
    layers
        .iter()
        .map(|layer| layer.as_str().unwrap().to_owned())
        .collect()
}

/// The tree of a layout's image, as umoci unpacks it.
fn tree(ground: &Ground, layout: &str) -> String {
    let (from, to, program) = (
        ground.path(layout),
        ground.path(&format!("{layout}-tree")),
        ground.path("tree.pl"),
    );
    fs_err::write(&program, TREE).unwrap();
    shell(
        r#"umoci raw unpack --image "$1:it" "$2" >&2"#,
        &[&from, &to],
    );
    String::from_utf8(shell(r#"perl "$1" "$2""#, &[&program, &to])).unwrap()
}

#[test]
fn an_image_is_the_same_whatever_assembled_it() {
    on_all_engines(|ground| {
        // Both callers have this one. (Over a rootless engine's root the kernel shows a file of the base and a new
        // link to it as two, so there they are two in the image.)
        if ground.name != "AICAGE_TEST_DOCKER_OLD" {
            return;
        }
        define(ground);
        shell(
            r#"mkdir "$2" && cp -a "$1/custom" "$2/""#,
            &[&ground.aicage_home(), &ground.path("native")],
        );
        let agent = ground.agent.clone();
        let output = |layout: &str| format!("oci:{}:it", ground.path(layout).display());
        let (theirs, ours) = (output("theirs"), output("ours"));
        ground.run(&["build", &agent, "--base", BASE, "--output", &theirs], 0);
        Said::of(
            &mut natively(
                ground,
                &["build", &agent, "--base", BASE, "--output", &ours],
            ),
            0,
        );

        let (there, here) = (tree(ground, "theirs"), tree(ground, "ours"));
        assert!(there.lines().count() > 10_000, "too few paths were seen");
        for what in ["security.capability=", "/srv/shared/a", "7001:7000"] {
            assert!(there.contains(what), "{what} is not seen");
        }
        let different: Vec<_> = there
            .lines()
            .zip(here.lines())
            .filter(|(one, other)| one != other)
            .take(20)
            .collect();
        assert!(different.is_empty(), "trees differ: {different:#?}");
        assert_eq!(there.lines().count(), here.lines().count());
        assert_eq!(layers(ground, "theirs"), layers(ground, "ours"));

        // Each runs what the other has assembled, and assembles nothing for it.
        let logs = ground.logs().len();
        let mut other = ground.aicage(&["--base", BASE, &agent]);
        other.env("AICAGE_ENGINE", "native");
        let natively_run = Said::of(&mut other, 0);
        assert_eq!(ground.logs().len(), logs, "a step ran again");
        let mut other = ground.aicage(&["--base", BASE, &agent]);
        other.env("AICAGE_HOME", ground.path("native"));
        let before = fs_err::read_dir(ground.path("native/logs"))
            .unwrap()
            .count();
        let in_engine = Said::of(&mut other, 0);
        let after = fs_err::read_dir(ground.path("native/logs"))
            .unwrap()
            .count();
        assert_eq!(before, after, "a step ran again");
        assert!(in_engine.stdout.contains("/srv/shared/a"), "{in_engine:?}");
        assert_eq!(natively_run.stdout, in_engine.stdout);
    });
}
