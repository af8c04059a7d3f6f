//! The command line of `image` and `cache`, from outside: a cleared environment, a store of its own, no network.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set up its world has failed"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A home of its own with two images: `one`, and `two`, which has another file and lacks one.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        home.rootfs("one", &[("etc/hostname", "one"), ("etc/motd", "hello")]);
        home.rootfs("two", &[("etc/hostname", "another"), ("etc/issue", "new")]);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a root filesystem as a tar.
    fn rootfs(&self, name: &str, files: &[(&str, &str)]) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut entry = |path: &str, kind, mode, content: &str| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(mode);
            header.set_mtime(1_000_000_000);
            tar.append_data(&mut header, path, content.as_bytes())
                .unwrap();
        };
        entry("etc/", tar::EntryType::Directory, 0o755, "");
        for (path, content) in files {
            entry(path, tar::EntryType::Regular, 0o644, content);
        }
        fs_err::write(self.path(&format!("{name}.tar")), tar.into_inner().unwrap()).unwrap();
    }

    fn source(&self, name: &str) -> String {
        format!("rootfs:{}", self.path(&format!("{name}.tar")).display())
    }

    /// Runs the program with nothing of ours in its environment.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_aicage"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("AICAGE_HOME", self.path("aicage"))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.directory.path())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], exit: i32, stdout: &str) {
        let output = self.run(arguments);
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(exit), stdout),
            "of {arguments:?}; stderr: {}",
            text(&output.stderr)
        );
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}; {}", text(&output.stderr)))
    }

    /// Pulls a root filesystem and returns the name that the image got.
    fn pull(&self, name: &str) -> String {
        let output = self.run(&["image", "pull", &self.source(name)]);
        let line = text(&output.stdout);
        let name = line.split(' ').next().unwrap_or_default();
        assert!(
            !name.is_empty(),
            "nothing was pulled: {}",
            text(&output.stderr)
        );
        name.to_owned()
    }

    fn blobs(&self) -> Vec<PathBuf> {
        let mut blobs: Vec<_> = fs_err::read_dir(self.path("aicage/store/blobs/sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        blobs.sort_by_key(|blob| fs_err::metadata(blob).unwrap().len());
        blobs
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_difference_is_listed_by_path_and_told_by_the_exit_code_when_asked() {
    let home = Home::new();
    let (one, two) = (home.source("one"), home.source("two"));
    let changes = "~ /etc/hostname\n+ /etc/issue\n- /etc/motd\n";
    home.check(&["image", "diff", &one, &two], 0, changes);
    home.check(&["image", "diff", &one, &two, "--exit-code"], 5, changes);
    home.check(&["image", "diff", &one, &one, "--exit-code"], 0, "");
}

#[test]
fn files_are_listed_as_ls_would() {
    let home = Home::new();
    home.check(
        &["image", "files", &home.source("one")],
        0,
        "MODE        OWNER  SIZE  PATH\n\
         drwxr-xr-x  0:0     0 B  /etc\n\
         -rw-r--r--  0:0     3 B  /etc/hostname\n\
         -rw-r--r--  0:0     5 B  /etc/motd\n",
    );
}

#[test]
fn why_names_the_layer_that_a_path_comes_from_and_fails_for_one_that_is_not_there() {
    let home = Home::new();
    let one = home.source("one");
    let why = home.json(&["image", "why", &one, "/etc/motd", "--json"]);
    assert_eq!(why["schema"], "aicage.image.why/1");
    assert_eq!(
        (&why["layer"], &why["path"]),
        (&Value::from(0), &Value::from("/etc/motd"))
    );
    assert_eq!(why["history"][0]["cause"], "added");
    let output = home.run(&["image", "why", &one, "/etc/nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "", "there is no result");
}

#[test]
fn an_image_is_listed_while_it_has_a_name_and_its_room_is_free_after_prune() {
    let home = Home::new();
    let name = home.pull("one");
    let list = home.json(&["image", "list", "--json"]);
    assert_eq!(list["schema"], "aicage.image.list/1");
    assert_eq!(list["images"][0]["reference"], name.as_str());
    home.check(&["image", "rm", &name], 0, &format!("removed {name}\n"));
    let prune = home.json(&["cache", "prune", "--all", "--dry-run", "--json"]);
    assert_eq!(prune["dry_run"], true);
    assert_eq!(home.blobs().len(), 3, "a dry run removes nothing");
    let refused = home.run(&["cache", "prune", "--all"]);
    assert_eq!(
        refused.status.code(),
        Some(2),
        "nobody was there to say yes"
    );
    let pruned = home.json(&["cache", "prune", "--all", "--yes", "--json"]);
    assert_eq!(pruned["bytes"], prune["bytes"]);
    assert_eq!(home.blobs(), Vec::<PathBuf>::new());
}

#[test]
fn a_flipped_bit_is_found_named_and_put_right() {
    let home = Home::new();
    home.pull("one");
    assert_eq!(home.run(&["cache", "verify"]).status.code(), Some(0));
    let victim = home.blobs().pop().unwrap();
    flip(&victim);
    let verify = home.run(&["cache", "verify"]);
    assert_eq!(verify.status.code(), Some(1));
    let digest = victim.file_name().unwrap().to_str().unwrap();
    assert!(
        text(&verify.stdout).contains(digest),
        "{}",
        text(&verify.stdout)
    );
    let fixed = home.json(&["cache", "verify", "--fix", "--json"]);
    assert_eq!(fixed["schema"], "aicage.cache.verify/1");
    assert_eq!(fixed["problems"][0]["problem"], "corrupt");
    assert!(!victim.exists(), "the corrupt blob is gone");
}

#[test]
fn an_image_that_lost_its_name_is_told_of_once_and_the_rest_goes_on() {
    let home = Home::new();
    let (one, two) = (home.pull("one"), home.pull("two"));
    let records = home.path("aicage/store/images");
    let record = fs_err::read_dir(records)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("one"))
        .unwrap();
    fs_err::write(&record, "{").unwrap();
    let listed = home.run(&["image", "list"]);
    let names = text(&listed.stdout);
    assert!(names.contains(&two) && !names.contains(&one), "{names}");
    let warning = text(&listed.stderr).replace("\n  ", "");
    assert!(warning.contains("has lost its name"), "{warning}");
    assert!(warning.contains(".json.damaged"), "{warning}");
    assert_eq!(text(&home.run(&["image", "list"]).stderr), "");
}

fn flip(path: &Path) {
    let mut bytes = fs_err::read(path).unwrap();
    bytes[9] ^= 1;
    fs_err::remove_file(path).unwrap();
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn logs_and_files_of_killed_runs_are_counted_and_pruned() {
    let home = Home::new();
    home.pull("one");
    let old = std::time::UNIX_EPOCH;
    for (name, is_old) in [
        ("logs/agent-x-1.log", true),
        ("logs/agent-x-2.log", false),
        ("scratch/left/step-x/init", true),
    ] {
        let path = home.path("aicage").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, "0123456789").unwrap();
        if is_old {
            for path in path
                .ancestors()
                .take_while(|path| !path.ends_with("aicage"))
            {
                fs_err::File::open(path).unwrap().set_modified(old).unwrap();
            }
        }
    }
    let du = home.json(&["cache", "du", "--json"]);
    let kind = |name: &str| {
        let kinds = du["kinds"].as_array().unwrap();
        let kind = kinds.iter().find(|kind| kind["kind"] == name).unwrap();
        (kind["files"].as_u64(), kind["bytes"].as_u64())
    };
    assert_eq!(kind("logs"), (Some(2), Some(20)));
    assert_eq!(kind("scratch"), (Some(1), Some(10)));
    assert!(du["reclaimable"].as_u64() >= Some(20));
    let pruned = home.json(&["cache", "prune", "--yes", "--json"]);
    let kinds: Vec<_> = pruned["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["kind"].clone())
        .collect();
    assert_eq!(kinds, ["log", "scratch"], "{pruned}");
    assert!(home.path("aicage/logs/agent-x-2.log").exists());
    assert!(!home.path("aicage/logs/agent-x-1.log").exists());
    assert!(!home.path("aicage/scratch/left").exists());
}

#[test]
fn failures_go_to_stderr_with_their_exit_codes_and_one_hint() {
    let home = Home::new();
    for (arguments, exit, words) in [
        (
            &["image", "inspect", "aicage:none"][..],
            1,
            "error: there is no image `aicage:none`\n",
        ),
        (
            &["image", "inspect", "NOT/a name"],
            2,
            "is not an image reference",
        ),
        (
            &["--offline", "image", "inspect", "debian:stable"],
            4,
            "`--offline` was given",
        ),
        (
            &["image", "rm", "aicage:none"],
            1,
            "hint: `aicage image list`",
        ),
        (
            &["cache", "prune", "--older-than", "soon"],
            2,
            "`30d`, `12h` or `2w`",
        ),
        (&["image", "inspect"], 1, "there is no image here yet"),
    ] {
        let output = home.run(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(exit),
            "of {arguments:?}: {stderr}"
        );
        assert!(stderr.contains(words), "of {arguments:?}: {stderr}");
        assert_eq!(
            text(&output.stdout),
            "",
            "stdout is for results: {arguments:?}"
        );
        assert!(stderr.matches("hint:").count() <= 1, "{stderr}");
    }
}

#[test]
fn a_failure_with_json_is_json() {
    let home = Home::new();
    for flag in [&["--json"][..], &["--progress", "json"]] {
        let arguments = [flag, &["image", "inspect", "aicage:none"]].concat();
        let output = home.run(&arguments);
        let failure: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(failure["code"], "no-such-image", "of {arguments:?}");
        assert_eq!(failure["exit_status"], 1);
    }
}

#[test]
fn inspect_prints_what_its_schema_promises() {
    let home = Home::new();
    let report = home.json(&["image", "inspect", &home.source("one"), "--json"]);
    let schema: Value =
        serde_json::from_str(include_str!("../schemas/image.inspect.schema.json")).unwrap();
    conforms(&report, &schema, &schema);
    assert_eq!(report["layers"].as_array().unwrap().len(), 1);
}

/// Checks the few rules of JSON Schema that the schema uses, and that nothing is printed that it does not name.
#[track_caller]
fn conforms(value: &Value, rule: &Value, root: &Value) {
    if let Some(target) = rule["$ref"].as_str() {
        let rule = root.pointer(target.trim_start_matches('#')).unwrap();
        conforms(value, rule, root);
    }
    if let Some(expected) = rule.get("const") {
        assert_eq!(value, expected);
    }
    if let Some(allowed) = rule["enum"].as_array() {
        assert!(allowed.contains(value), "{value} is none of {allowed:?}");
    }
    if let (Some(value), Some(properties)) = (value.as_object(), rule["properties"].as_object()) {
        for name in rule["required"].as_array().unwrap() {
            assert!(
                value.contains_key(name.as_str().unwrap()),
                "{name} is missing"
            );
        }
        for (name, value) in value {
            let rule = properties.get(name);
            conforms(
                value,
                rule.unwrap_or_else(|| panic!("{name} is not in the schema")),
                root,
            );
        }
    }
    for value in value.as_array().into_iter().flatten() {
        conforms(value, &rule["items"], root);
    }
}

#[test]
fn a_reader_that_goes_away_ends_output_quietly() {
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_aicage");
    let output = Command::new("/bin/sh")
        .args(["-c", "\"$0\" image files \"$1\" 2>err | true; cat err"])
        .args([program, &home.source("one")])
        .env_clear()
        .env("HOME", home.directory.path())
        .env("PATH", "/usr/bin:/bin")
        .current_dir(home.directory.path())
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_full_disk_behind_stdout_is_a_failure() {
    let home = Home::new();
    let full = fs_err::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_aicage"))
        .args(["image", "files", &home.source("one")])
        .env_clear()
        .env("HOME", home.directory.path())
        .stdout(full.into_file())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn names_of_images_that_are_made_here_are_neither_given_away_nor_asked_of_a_registry() {
    let home = Home::new();
    let asked = [
        (
            vec!["image", "pull", "aicage:codex-debian"],
            2,
            "is a name for images that are made here",
        ),
        (
            vec!["image", "pull", "docker-daemon:aicage-image-base:debian"],
            2,
            "is a name for images that are made here",
        ),
        (
            vec!["image", "inspect", "aicage:codex-debian"],
            1,
            "there is no image `aicage:codex-debian`",
        ),
        (
            vec![
                "base",
                "build",
                "debian",
                "--from",
                "aicage-image-base:ubuntu",
            ],
            1,
            "there is no image `aicage-image-base:ubuntu`",
        ),
    ];
    for (arguments, exit, words) in asked {
        let output = home.run(&arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {stderr}");
        assert!(
            stderr.replace('\n', " ").contains(words),
            "{arguments:?}: {stderr}"
        );
    }
}
