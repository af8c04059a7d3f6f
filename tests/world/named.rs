//! Images that Dockerfiles name, and stages that are only copied from: what is at hand stays usable without them.

use std::path::Path;

use crate::ground::{BASE, Ground, Said, on_every_engine, shell};

const EXTENSION: &str = "tool";

/// Returns the name of the image that the Dockerfiles copy from.
fn tool(ground: &Ground) -> String {
    format!("{}/{}/tool:1", ground.registry, ground.agent)
}

/// Pushes the image that the Dockerfiles copy from, with one file that says which generation it is.
fn push(ground: &Ground, generation: &str) {
    let script = r#"
        d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
        mkdir -p "$d/tree/etc"; echo "$2" >"$d/tree/etc/tool"
        tar --numeric-owner --owner=0 --group=0 -C "$d/tree" -cf "$d/tar" .
        umoci init --layout "$d/o"; umoci new --image "$d/o:x"
        umoci config --image "$d/o:x" --os linux --architecture "$(go_arch() { case $(uname -m) in x86_64) echo amd64;; *) echo arm64;; esac; }; go_arch)"
        umoci raw add-layer --image "$d/o:x" "$d/tar"
        skopeo copy -q --dest-tls-verify=false "oci:$d/o:x" "docker://$1""#;
    shell(script, &[Path::new(&tool(ground)), Path::new(generation)]);
}

/// A Dockerfile of two stages that copies from the image of the registry, too.
fn dockerfile(ground: &Ground, below: &str) -> String {
    format!(
        "ARG {below}=none\nFROM ${{{below}}} AS made\nRUN echo made >/made\n\
         FROM ${{{below}}}\nCOPY --from=made /made /etc/made\nCOPY --from={} /etc/tool /etc/tool\n",
        tool(ground)
    )
}

/// An agent that prints what was copied, and an extension that copies it.
fn defined(ground: &Ground) {
    push(ground, "first");
    ground.base("library/busybox:latest");
    ground.define_program("cat /etc/made /etc/tool");
    let directory = ground.aicage_home().join("custom/extension/tool");
    fs_err::create_dir_all(&directory).unwrap();
    fs_err::write(
        directory.join("extension.yml"),
        "name: Tool\ndescription: For tests\n",
    )
    .unwrap();
    fs_err::write(
        directory.join("Dockerfile"),
        dockerfile(ground, "BASE_IMAGE"),
    )
    .unwrap();
}

fn start(ground: &Ground, options: &[&str]) -> Said {
    let mut all = options.to_vec();
    all.extend(["--base", BASE, "--extension", EXTENSION, &ground.agent]);
    ground.run(&all, 0)
}

#[test]
fn a_prune_takes_what_a_dockerfile_copied_from_and_the_image_still_starts_offline() {
    on_every_engine(|ground| {
        defined(ground);
        assert_eq!(start(ground, &[]).stdout, "made\nfirst\n");
        let logs = ground.logs().len();
        ground.run(&["cache", "prune", "--all", "--yes"], 0);
        assert_eq!(start(ground, &["--offline"]).stdout, "made\nfirst\n");
        assert_eq!(start(ground, &[]).stdout, "made\nfirst\n");
        assert!(
            ground.logs().len() <= logs,
            "a script ran again: {:?}",
            ground.logs().keys()
        );
        ground.run(&["update", "--check"], 0);
        ground.run(&["cache", "verify"], 0);

        // Neither a repository in the definition nor a commit in it is news.
        let git = ground.aicage_home().join("custom/extension/tool/.git");
        fs_err::create_dir_all(&git).unwrap();
        for head in ["one", "two"] {
            fs_err::write(git.join("HEAD"), head).unwrap();
            let said = start(ground, &["--offline"]);
            assert_eq!(
                (said.stdout.as_str(), said.stderr.as_str()),
                ("made\nfirst\n", "")
            );
        }

        // What goes on top needs neither stage nor image.
        let directory = ground.aicage_home().join("custom/extension/top");
        fs_err::create_dir_all(directory.join("scripts")).unwrap();
        let text = "name: Top\ndescription: For tests\n";
        fs_err::write(directory.join("extension.yml"), text).unwrap();
        let script = "#!/bin/sh\necho top >>/etc/tool\n";
        fs_err::write(directory.join("scripts/1.sh"), script).unwrap();
        let said = ground.run(
            &[
                "--offline",
                "--base",
                BASE,
                "--extension",
                EXTENSION,
                "--extension",
                "top",
                &ground.agent,
            ],
            0,
        );
        assert_eq!(said.stdout, "made\nfirst\ntop\n");
    });
}

#[test]
fn a_base_of_a_dockerfile_outlives_a_prune_and_the_image_that_it_names() {
    on_every_engine(|ground| {
        defined(ground);
        let base = ground.aicage_home().join("custom/image-base").join(BASE);
        fs_err::write(base.join("Dockerfile"), dockerfile(ground, "FROM_IMAGE")).unwrap();
        assert_eq!(ground.start(&[], 0).stdout, "made\nfirst\n");
        let logs = ground.logs().len();
        ground.run(&["cache", "prune", "--all", "--yes"], 0);
        let delete = "skopeo delete --tls-verify=false \"docker://$1\"";
        shell(delete, &[Path::new(&tool(ground))]);
        let check = ground.run(&["update", "--check"], 5).stdout;
        assert!(check.contains("no longer has"), "{check}");
        assert_eq!(ground.start(&[], 0).stdout, "made\nfirst\n");
        assert!(ground.logs().len() <= logs, "a script ran again");
        push(ground, "second");
        let check = ground.run(&["update", "--check"], 5).stdout;
        let news = format!(
            "base `{BASE}`: image `{}` that `Dockerfile` names moved",
            tool(ground)
        );
        assert!(check.contains(&news), "{check}");
        ground.run(&["update"], 0);
        assert_eq!(ground.start(&[], 0).stdout, "made\nsecond\n");
        ground.run(&["update", "--check"], 0);
    });
}

#[test]
fn an_image_that_a_dockerfile_names_moves_or_goes_and_starts_go_on() {
    on_every_engine(|ground| {
        defined(ground);
        assert_eq!(start(ground, &[]).stdout, "made\nfirst\n");
        ground.run(&["config", "set", "update.check_interval", "0s"], 0);
        push(ground, "second");
        let news = format!("image `{}` that `Dockerfile` names moved", tool(ground));
        let said = start(ground, &[]);
        assert_eq!(said.stdout, "made\nfirst\n");
        said.tells(&news);
        let check = ground.run(&["update", "--check"], 5).stdout;
        assert!(check.contains(&news), "{check}");
        assert_eq!(start(ground, &["--update"]).stdout, "made\nsecond\n");
        ground.run(&["update", "--check"], 0);

        let delete = "skopeo delete --tls-verify=false \"docker://$1\"";
        shell(delete, &[Path::new(&tool(ground))]);
        let check = ground.run(&["update", "--check"], 5).stdout;
        assert!(check.contains("no longer has"), "{check}");
        for options in [&[][..], &["--no-update"], &["--offline"]] {
            assert_eq!(start(ground, options).stdout, "made\nsecond\n");
        }
        ground.run(&["update"], 0);
        assert_eq!(start(ground, &[]).stdout, "made\nsecond\n");
    });
}
