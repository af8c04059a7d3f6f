//! The command line of definitions, from outside: a home of its own, no network, no engine.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

use std::{
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn custom(&self, path: &str) -> PathBuf {
        self.0.path().join(".aicage/custom").join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.custom(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_aicage"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/bin:/bin")
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[&["--json"], arguments].concat())).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn a_new_definition_is_valid_at_once_and_is_never_overwritten() {
    for (noun, folder, file, script) in [
        ("agent", "agents", "agent.yml", "install.sh"),
        ("base", "image-base", "base.yml", "scripts/10-tools.sh"),
        (
            "extension",
            "extension",
            "extension.yml",
            "scripts/10-install.sh",
        ),
    ] {
        let home = Home::new();
        let printed = home.done(&[noun, "new", "mine"]);
        let directory = home.custom(&format!("{folder}/mine"));
        assert!(
            printed.contains(&directory.join(file).display().to_string()),
            "{printed}"
        );
        let shown = home.run(&[noun, "show", "mine"]);
        assert!(
            shown.status.success() && !String::from_utf8_lossy(&shown.stderr).contains("warning"),
            "what `{noun} new` writes is not valid: {}",
            String::from_utf8_lossy(&shown.stderr)
        );
        let script = directory.join(script);
        let mode = fs_err::metadata(&script).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let syntax = Command::new("sh").arg("-n").arg(&script).status().unwrap();
        assert!(syntax.success());
        let text = fs_err::read_to_string(&script).unwrap();
        assert!(!text.contains("@NAME@"));
        assert_eq!(
            text.contains("mkdir -p /usr/local/bin\n"),
            text.contains("> /usr/local/bin/"),
            "small bases have no such directory"
        );
        fs_err::write(directory.join(file), "# mine\n").unwrap();
        let refusal = home.refused(&[noun, "new", "mine"]);
        assert!(refusal.contains("something already"), "{refusal}");
        assert_eq!(
            fs_err::read_to_string(directory.join(file)).unwrap(),
            "# mine\n",
            "`{noun} new` overwrote a definition"
        );
        assert_eq!(
            fs_err::read_dir(home.custom(folder)).unwrap().count(),
            1,
            "work of `{noun} new` is left"
        );
    }
}

#[test]
fn names_that_cannot_be_are_refused_before_anything_is_written() {
    let home = Home::new();
    for name in ["../x", "a/b", "Upper", "with space", "..", "-x", "update"] {
        home.refused(&["agent", "new", "--", name]);
    }
    assert!(!home.custom("").exists(), "something was written");
}

#[test]
fn a_custom_definition_with_a_built_in_name_takes_its_place_and_is_shown_as_doing_so() {
    let home = Home::new();
    let built_in = home.json(&["agent", "show", "codex"]);
    assert_eq!(built_in["replaces_built_in"], false);
    assert_eq!(
        home.json(&["agent", "new", "codex"])["replaces_built_in"],
        true
    );
    home.done(&["base", "new", "debian"]);
    let agent = home.json(&["agent", "show", "codex"]);
    assert_eq!(agent["replaces_built_in"], true);
    assert_eq!(agent["source"], "custom");
    assert_eq!(agent["build_local"], true);
    let base = home.json(&["base", "show", "debian"]);
    assert_eq!(base["replaces_built_in"], true);
    for (noun, name) in [("agent", "codex"), ("base", "debian")] {
        let list = home.done(&[noun, "list"]);
        let line = list.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains("not the built-in"), "{line}");
    }
}

#[test]
fn a_bad_definition_disables_only_itself_and_is_told_once() {
    let home = Home::new();
    home.done(&["extension", "new", "good"]);
    home.write(
        "extension/bad/extension.yml",
        "name: x\ndescription: y\nshare: []\n",
    );
    home.write("extension/.git/HEAD", "");
    let output = home.run(&["extension", "list"]);
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stdout.contains("good") && !stdout.contains("bad"),
        "{stdout}"
    );
    let flat = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(flat.matches("`bad` is left out").count(), 1, "{stderr}");
    assert!(
        flat.contains("extension.yml:3: unknown key `share`; did you mean `shares`?"),
        "{stderr}"
    );
    let report = home.json(&["extension", "list"]);
    assert_eq!(report["schema"], "aicage.extension.list/1");
    assert_eq!(report["extensions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_check_reads_a_dockerfile_to_its_end_without_any_image() {
    let home = Home::new();
    home.write("extension/d/extension.yml", "name: d\ndescription: y\n");
    for (text, part) in [
        ("RUUN x\n", Some("line 3: ")),
        (
            "RUN x\nCOPY nothing /\n",
            Some("line 4: there is no `nothing`"),
        ),
        (
            "WORKDIR $FROM_THE_IMAGE\nCOPY --from=nobody/has-it /x /\n",
            None,
        ),
    ] {
        let text = format!("ARG BASE_IMAGE\nFROM $BASE_IMAGE\n{text}");
        home.write("extension/d/Dockerfile", &text);
        let output = home.run(&["extension", "check", "d", "--no-build"]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(part.map_or(0, |_| 1)),
            "{stdout}"
        );
        if let Some(part) = part {
            assert!(stdout.contains("error: Dockerfile: "), "{stdout}");
            assert!(stdout.contains(part), "{stdout}");
        }
    }
}

#[test]
fn a_check_reads_scripts_with_their_own_shell_and_runs_nothing_of_them() {
    let home = Home::new();
    home.write("extension/x/extension.yml", "name: x\ndescription: y\n");
    let mark = home.custom("ran");
    home.write(
        "extension/x/scripts/10.sh",
        &format!("#!/bin/bash\r\ntouch {}\r\n", mark.display()),
    );
    home.write(
        "extension/x/scripts/20.py",
        "#!/usr/bin/env python3\nif x then\n",
    );
    let report = home.json(&["extension", "check", "x", "--no-build"]);
    assert_eq!(report["schema"], "aicage.extension.check/1");
    let notes: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["level"].as_str().unwrap())
        .collect();
    assert_eq!(
        notes,
        ["note", "note"],
        "not executable, Windows' line ends"
    );
    home.write("extension/x/scripts/30.sh", "if true; then\n");
    let output = home.run(&["extension", "check", "x", "--no-build"]);
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("error: scripts/30.sh: "), "{stdout}");
    assert!(!mark.exists(), "a script was run");
    home.write("extension/bad/extension.yml", "name: [\n");
    let refusal = home.refused(&["extension", "check", "bad", "--no-build"]);
    assert_eq!(
        refusal.matches("extension.yml:1").count(),
        1,
        "it is told once: {refusal}"
    );
    // What is wrong with others is told as always.
    let said = home.refused(&["extension", "check", "x", "--no-build"]);
    assert!(said.contains("`bad` is left out"), "{said}");
}

#[test]
fn a_new_definition_may_have_a_name_that_yaml_takes_for_something_else() {
    let home = Home::new();
    for name in ["null", "true", "1.5", "1e3", "no"] {
        for noun in ["agent", "base", "extension"] {
            home.done(&[noun, "new", name]);
            home.done(&[noun, "show", name]);
        }
    }
}

#[test]
fn an_exported_set_replaces_the_built_in_one_as_a_directory_and_as_an_image() {
    let home = Home::new();
    let bundle = home.0.path().join("bundle");
    let bundle = bundle.to_str().unwrap();
    let before = home.json(&["agent", "list"]);
    home.done(&["definitions", "export", bundle]);
    let refusal = home.refused(&["definitions", "export", bundle]);
    assert!(refusal.contains("something already"), "{refusal}");
    let index = fs_err::read_to_string(format!("{bundle}/images-metadata.yaml")).unwrap();
    let line = "ghcr.io/aicage/aicage:codex-debian";
    assert!(index.contains(line), "{index}");
    let layout = format!("oci:{}:1", home.0.path().join("layout").display());
    home.done(&["definitions", "export", &layout]);
    for place in [bundle, &layout] {
        home.done(&["config", "set", "definitions", place]);
        assert_eq!(home.json(&["agent", "list"]), before, "from {place}");
        let again = home.0.path().join("again");
        home.done(&["definitions", "export", again.to_str().unwrap()]);
        let differ = Command::new("diff")
            .args(["-r", bundle, again.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(
            differ.status.success(),
            "{}",
            String::from_utf8_lossy(&differ.stdout)
        );
        fs_err::remove_dir_all(again).unwrap();
    }
    // A newer set needs no new program.
    fs_err::remove_dir_all(format!("{bundle}/agents/codex")).unwrap();
    fs_err::rename(
        format!("{bundle}/agents/goose"),
        format!("{bundle}/agents/gander"),
    )
    .unwrap();
    home.done(&["config", "set", "definitions", bundle]);
    home.refused(&["agent", "show", "codex"]);
    assert_eq!(
        home.json(&["agent", "show", "gander"])["source"],
        "built-in"
    );
    home.done(&["agent", "new", "gander"]);
    let gander = home.json(&["agent", "show", "gander"]);
    assert_eq!(gander["replaces_built_in"], true);
}

#[test]
fn a_bundle_that_cannot_be_had_is_told_and_leaves_the_users_own_definitions() {
    let home = Home::new();
    home.done(&["agent", "new", "mine"]);
    home.done(&["config", "set", "definitions", "/nonexistent/bundle"]);
    let output = home.run(&["agent", "list"]);
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("mine") && !stdout.contains("codex"),
        "{stdout}"
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    let flat = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("has neither `agents` nor `bases`"),
        "{stderr}"
    );
}

#[test]
fn of_two_definitions_with_one_name_it_is_told_which_is_used_unless_they_are_the_same() {
    let home = Home::new();
    home.done(&["extension", "new", "mine"]);
    let custom = home.custom("extension/mine");
    let older = home.0.path().join(".aicage-custom/extensions/mine");
    let copied = Command::new("cp")
        .args(["-r", "--parents", "extension.yml", "scripts"])
        .arg({
            fs_err::create_dir_all(&older).unwrap();
            &older
        })
        .current_dir(&custom)
        .status()
        .unwrap();
    assert!(copied.success());
    let said = || {
        let output = home.run(&["extension", "list"]);
        assert!(output.status.success());
        let stderr = String::from_utf8(output.stderr).unwrap();
        stderr.split_whitespace().collect::<String>()
    };
    assert_eq!(said(), "", "they are the same");
    fs_err::write(older.join("scripts/20-more.sh"), "true\n").unwrap();
    let told = format!(
        "extension`mine`istheretwicewithdifferentfiles:{}isused,{}isnot",
        custom.display(),
        older.display()
    );
    let said = said();
    assert!(said.contains(&told), "{said}");
}

#[test]
fn an_export_fills_an_empty_directory_and_names_what_hinders_it() {
    let home = Home::new();
    let empty = home.0.path().join("empty");
    fs_err::create_dir(&empty).unwrap();
    home.done(&["definitions", "export", empty.to_str().unwrap()]);
    assert!(empty.join("agents/codex/agent.yml").exists());
    let refusal = home.refused(&["definitions", "export", empty.to_str().unwrap()]);
    assert!(refusal.contains("or is empty"), "{refusal}");
    let refusal = home.refused(&["definitions", "export", "/proc/nowhere/x"]);
    assert!(!refusal.contains("not there yet"), "{refusal}");
}
