//! What users of the Python program have in their homes works unchanged: definitions in both layouts and with both
//! endings, beside what does not belong there. No network, no engine; `world/users.rs` runs an agent of it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

use std::{
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::PathBuf,
    process::{Command, Output},
};

use assembler::digest::Digest;
use serde_json::Value;

/// One way to have one's definitions: the directories below the home, and the ending of the files that describe them.
struct Layout {
    agents: &'static str,
    bases: &'static str,
    extensions: &'static str,
    ending: &'static str,
}

const OLDER: Layout = Layout {
    agents: ".aicage-custom/agents",
    bases: ".aicage-custom/base-images",
    extensions: ".aicage-custom/extensions",
    ending: "yml",
};
const NEWER: Layout = Layout {
    agents: ".aicage/custom/agents",
    bases: ".aicage/custom/image-base",
    extensions: ".aicage/custom/extension",
    ending: "yml",
};

const LAYOUTS: [Layout; 4] = [
    OLDER,
    Layout {
        ending: "yaml",
        ..OLDER
    },
    NEWER,
    Layout {
        ending: "yaml",
        ..NEWER
    },
];

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs_err::create_dir(home.path("project")).unwrap();
        home
    }

    /// A home with definitions as that program's users have them.
    fn with(layout: &Layout) -> Self {
        let home = Self::new();
        let Layout {
            agents,
            bases,
            extensions,
            ending,
        } = layout;
        home.write(
            &format!("{agents}/forge/agent.{ending}"),
            "agent_path:\n  directories:\n  - ~/.forge\n  files:\n  - ~/.forge.json\n\
             agent_full_name: Forge\nagent_homepage: https://forge.example/\nbuild_local: true\n\
             base_exclude:\n- alpine\nbase_distro_exclude: [Arch Linux]\n",
        );
        // Not executable, with Windows' line ends, a program below.
        home.write(
            &format!("{agents}/forge/install.sh"),
            "#!/usr/bin/env bash\r\n./lib/get.sh\r\n",
        );
        home.write(&format!("{agents}/forge/lib/get.sh"), "#!/bin/sh\ntrue\n");
        home.write(
            &format!("{agents}/forge/version.sh"),
            "#!/usr/bin/env bash\necho 1.2.3\n",
        );
        // One that takes the place of a built-in agent.
        home.write(
            &format!("{agents}/codex/agent.{ending}"),
            "agent_full_name: My Codex\nagent_homepage: https://codex.example/\n",
        );
        for script in ["install.sh", "version.sh"] {
            home.write(&format!("{agents}/codex/{script}"), "echo 1\n");
        }
        home.write(
            &format!("{bases}/minimal/base.{ending}"),
            "root_image: debian:stable-slim\nbase_image_distro: Debian\nbase_image_description: (Debian) minimal\n\
             architectures:\n- amd64\n- arm64\nbuild_local: true\n",
        );
        home.write(
            &format!("{bases}/minimal/Dockerfile"),
            "# check=skip=InvalidDefaultArgInFrom\nARG FROM_IMAGE\nFROM ${FROM_IMAGE} AS from_image\n\
             RUN --mount=type=bind,source=install.sh,target=/tmp/install.sh,readonly \\\n    /tmp/install.sh\n",
        );
        home.write(&format!("{bases}/minimal/install.sh"), "#!/bin/sh\ntrue\n");
        home.write(
            &format!("{extensions}/act/extension.{ending}"),
            "name: \"act\"\ndescription: \"Runs workflows\"\n",
        );
        home.write(&format!("{extensions}/act/scripts/01-act.sh"), "true\n");
        home.write(&format!("{extensions}/act/scripts/02-more.sh"), "true\n");
        home.write(
            &format!("{extensions}/cache/extension.{ending}"),
            "name: Cache\ndescription: Keeps a cache\nshares:\n- ~/.cache/mise\n- ~/.config/mise:ro\n",
        );
        home.write(
            &format!("{extensions}/gh/extension.{ending}"),
            "name: gh\ndescription: Adds gh\n",
        );
        home.write(
            &format!("{extensions}/gh/Dockerfile"),
            "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG EXTENSION\nRUN true\n",
        );
        fs_err::create_dir_all(home.path(&format!("{extensions}/gh/scripts"))).unwrap();
        // Directories of other programs, and notes.
        for place in [agents, bases, extensions] {
            home.write(&format!("{place}/.git/HEAD"), "ref: refs/heads/main\n");
            home.write(&format!("{place}/.idea/workspace.xml"), "<project/>\n");
            home.write(&format!("{place}/README.md"), "Mine.\n");
        }
        home
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_aicage"))
            .args(arguments)
            .current_dir(self.path("project"))
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/bin:/bin")
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .output()
            .unwrap()
    }

    /// Runs what must succeed without a word on stderr.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[track_caller]
    fn said(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Takes out of a report what names the layout.
fn comparable(mut value: Value) -> Value {
    let object = value.as_object_mut().unwrap();
    object.retain(|key, value| {
        let is_digest = value
            .as_str()
            .is_some_and(|text| text.starts_with("sha256:"));
        key != "directory" && !is_digest
    });
    value
}

#[test]
fn definitions_of_the_python_programs_users_are_read_in_both_layouts_and_with_both_endings() {
    let mut seen = Vec::new();
    for layout in &LAYOUTS {
        let home = Home::with(layout);
        let forge = home.json(&["agent", "show", "forge"]);
        assert_eq!(forge["source"], "custom");
        assert_eq!(forge["build_local"], true);
        let codex = home.json(&["agent", "show", "codex"]);
        assert_eq!(codex["replaces_built_in"], true);
        let base = home.json(&["base", "show", "minimal"]);
        assert_eq!(base["from_image"], "debian:stable-slim", "`root_image`");
        assert_eq!(base["image"], "aicage-image-base-custom:minimal");
        let extensions = home.json(&["extension", "list"]);
        let ids: Vec<&str> = extensions["extensions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|extension| extension["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["act", "cache", "gh"]);
        let act = home.json(&["extension", "show", "act"]);
        assert_eq!(
            act["scripts"],
            serde_json::json!(["scripts/01-act.sh", "scripts/02-more.sh"])
        );
        let cache = home.json(&["extension", "show", "cache"]);
        assert_eq!(
            cache["shares"],
            serde_json::json!(["~/.cache/mise", "~/.config/mise:ro"])
        );
        for [noun, id] in [
            ["agent", "forge"],
            ["agent", "codex"],
            ["base", "minimal"],
            ["extension", "act"],
            ["extension", "gh"],
        ] {
            home.json(&[noun, "check", id, "--no-build"]);
        }
        let said = home.said(&["plan", "--offline", "forge", "--base", "arch"], 2);
        assert!(said.contains("`base_distro_exclude`"), "{said}");
        // The project's file of that program chooses them; only the root image is wanting.
        let project = fs_err::canonicalize(home.path("project")).unwrap();
        let name = Digest::of(project.as_os_str().as_bytes()).hex();
        home.write(
            &format!(".aicage/projects/{name}.yml"),
            "agents:\n  forge:\n    base: minimal\n    extensions:\n    - act\n    - cache\n    - gh\n    \
             image_ref: aicage-extended:forge-minimal-act-cache-gh\npath: /x\n",
        );
        let said = home.said(&["--offline", "forge"], 4);
        assert!(
            said.contains("docker.io/library/debian:stable-slim"),
            "{said}"
        );
        seen.push([forge, codex, base, act, cache].map(comparable));
    }
    for other in &seen[1..] {
        assert_eq!(other, &seen[0], "the layouts differ");
    }
}

#[test]
fn both_layouts_at_once_are_one_set_and_the_newer_place_counts() {
    let home = Home::with(&OLDER);
    let agent =
        |name: &str| format!("agent_full_name: {name}\nagent_homepage: https://a.example\n");
    for (id, name) in [("forge", "Newer"), ("other", "Other")] {
        let directory = format!("{}/{id}", NEWER.agents);
        home.write(&format!("{directory}/agent.yaml"), &agent(name));
        for script in ["install.sh", "version.sh"] {
            home.write(&format!("{directory}/{script}"), "echo 1\n");
        }
    }
    let said = home.said(&["agent", "list"], 0);
    assert!(
        said.contains("agent `forge` is there twice with different files: ")
            && said.contains("/.aicage-custom/agents/forge is not"),
        "{said}"
    );
    let list = home.run(&["--json", "agent", "list"]).stdout;
    let list: Value = serde_json::from_slice(&list).unwrap();
    let name = |id: &str| {
        let agents = list["agents"].as_array().unwrap();
        let agent = agents.iter().find(|agent| agent["id"] == id).unwrap();
        agent["full_name"].as_str().unwrap().to_owned()
    };
    assert_eq!(name("forge"), "Newer");
    assert_eq!(name("other"), "Other");
    assert_eq!(name("codex"), "My Codex");
}

#[test]
fn what_cannot_be_looked_at_is_told_with_its_reason() {
    let home = Home::with(&NEWER);
    let place = |name: &str| home.path(NEWER.agents).join(name);
    symlink("nowhere", place("gone")).unwrap();
    symlink("circle", place("circle")).unwrap();
    fs_err::create_dir(place("x").with_file_name(std::ffi::OsStr::from_bytes(b"a\xff"))).unwrap();
    fs_err::create_dir(place("empty")).unwrap();
    // Not a directory: not even the superuser can list it.
    fs_err::create_dir_all(home.path(".aicage-custom")).unwrap();
    fs_err::write(home.path(OLDER.extensions), "").unwrap();
    fs_err::write(home.path(".aicage/custom/image-extended"), "").unwrap();
    let said = home.said(&["--offline", "--image-name", "x", "forge"], 2);
    assert!(
        said.contains("an extended image is left out: ") && said.contains("Not a directory"),
        "{said}"
    );
    let said = home.said(&["agent", "list"], 0);
    for part in [
        "agent `gone` is left out: ",
        "/agents/gone: a link that leads nowhere",
        "agent `circle` is left out: ",
        "/agents/circle: a link that leads in a circle",
        r"agent `a\xff` is left out: ",
        "agent `empty` is left out: ",
        "/empty has no `agent.yml`",
        "every extension of a directory is left out: cannot read ",
        "/.aicage-custom/extensions: Not a directory",
    ] {
        assert_eq!(said.matches(part).count(), 1, "`{part}` in: {said}");
    }
    assert!(!said.contains("README"), "{said}");
}

#[test]
fn files_of_editors_are_no_part_of_a_definition() {
    let home = Home::with(&NEWER);
    let before = home.json(&["extension", "show", "act"]);
    assert!(before["digest"].is_string(), "{before}");
    let scripts = format!("{}/act/scripts", NEWER.extensions);
    for name in [
        ".01-act.sh.swp",
        "._01-act.sh",
        "01-act.sh~",
        "#01-act.sh#",
        ".DS_Store",
    ] {
        home.write(&format!("{scripts}/{name}"), "if then\n");
    }
    // Emacs' lock leads nowhere.
    symlink("me@host.1:2", home.path(&scripts).join(".#01-act.sh")).unwrap();
    let after = home.json(&["extension", "show", "act"]);
    assert_eq!(after, before, "they changed the definition");
    let report = home.json(&["extension", "check", "act", "--no-build"]);
    let findings = report["findings"].as_array().unwrap();
    assert!(
        findings.iter().all(|finding| finding["level"] == "note"),
        "a file that an editor left was checked: {findings:?}"
    );
}

#[test]
fn an_unreadable_file_is_told_with_the_systems_reason() {
    let home = Home::with(&NEWER);
    let file = home.path(NEWER.agents).join("forge/agent.yml");
    fs_err::remove_file(&file).unwrap();
    // Permissions would not keep the superuser from reading it; a name that is too long does.
    symlink("x".repeat(300), &file).unwrap();
    let said = home.said(&["agent", "list"], 0);
    assert!(
        said.contains("agent `forge` is left out: cannot read ")
            && said.contains("File name too long"),
        "{said}"
    );
}
