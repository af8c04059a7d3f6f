//! Completions in real shells.

use std::process::Command;

use crate::ground::Ground;

impl Ground {
    fn with_words() -> Self {
        let ground = Self::new();
        ground.write(
            ".aicage/custom/agents/mine/agent.yml",
            "agent_full_name: Mine\nagent_homepage: https://a.example\n",
        );
        for script in ["install.sh", "version.sh"] {
            ground.write(&format!(".aicage/custom/agents/mine/{script}"), "echo 1\n");
        }
        ground.write(
            ".aicage/custom/extension/act/extension.yml",
            "name: act\ndescription: Adds act\n",
        );
        ground.write(".aicage/custom/extension/act/scripts/1.sh", "true\n");
        ground.write("project/file with space", "");
        ground
    }

    /// Runs a script in a shell that finds our program as `aicage`.
    fn shell(&self, shell: &[&str], script: &str) -> String {
        let directory = self.path("bin");
        if !directory.exists() {
            fs_err::create_dir(&directory).unwrap();
            fs_err::os::unix::fs::symlink(env!("CARGO_BIN_EXE_aicage"), directory.join("aicage"))
                .unwrap();
        }
        let aicage = self.aicage(&[]);
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(script)
            .current_dir(self.path("project"))
            .env_clear()
            .envs(
                aicage
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("PATH", format!("{}:/usr/bin:/bin", directory.display()));
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {stderr}");
        assert_eq!(stderr, "", "nothing is said while somebody types");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns what bash offers for a line.
    fn bash(&self, line: &str) -> Vec<String> {
        let script = format!(
            "source <(aicage completion bash); COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
             COMP_TYPE=9; _aicage; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let offered = self.shell(&["bash", "--norc", "-c"], &script);
        offered.lines().map(str::to_owned).collect()
    }
}

#[test]
fn bash_is_offered_what_there_is() {
    let ground = Ground::with_words();
    for (line, has, has_not) in [
        (
            "aicage ",
            &["codex", "mine", "plan", "doctor"][..],
            &["act"][..],
        ),
        ("aicage cod", &["codex"], &["claude"]),
        ("aicage --base deb", &["debian"], &["ubuntu"]),
        ("aicage --base=deb", &["debian"], &["--base=debian"]),
        ("aicage --base debian --extension ", &["act"], &["codex"]),
        ("aicage plan ", &["mine", "codex"], &["debian"]),
        ("aicage plan --off", &["--offline"], &[]),
        ("aicage agent check mi", &["mine"], &["codex"]),
        ("aicage base show al", &["alpine"], &["arch"]),
        (
            "aicage config set network.c",
            &["network.ca"],
            &["registry.mirrors"],
        ),
        ("aicage run co", &["codex", "copilot"], &["claude"]),
        // What follows an agent is the agent's own.
        ("aicage codex --", &[], &["--offline", "--base"]),
    ] {
        let offered = ground.bash(line);
        for word in has {
            assert!(
                offered.iter().any(|one| one == word),
                "{line}: {word} in {offered:?}"
            );
        }
        for word in has_not {
            assert!(
                !offered.iter().any(|one| one == word),
                "{line}: no {word} in {offered:?}"
            );
        }
    }
}

#[test]
fn the_name_of_an_image_is_completed_over_its_colon() {
    let ground = Ground::with_words();
    let layout = ground.path("layout");
    fs_err::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let blob = |text: &str| {
        let digest = assembler::digest::Digest::of(text.as_bytes());
        fs_err::write(layout.join("blobs/sha256").join(digest.hex()), text).unwrap();
        (digest.to_string(), text.len())
    };
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    let (config, size) = blob(&config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{size}}},"layers":[]}}"#
    );
    let (manifest, size) = blob(&manifest);
    fs_err::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest}","size":{size}}}]}}"#
    );
    fs_err::write(layout.join("index.json"), index).unwrap();
    let pulled = ground
        .aicage(&["image", "pull", &format!("oci:{}", layout.display())])
        .output()
        .unwrap();
    assert!(pulled.status.success(), "{pulled:?}");
    let offered = ground.bash("aicage image rm aicage-imp");
    assert_eq!(offered, ["aicage-imported:layout"]);
    let offered = ground.bash("aicage image rm aicage-imported:l");
    assert_eq!(
        offered,
        ["layout"],
        "bash replaces only what follows the colon"
    );
}

#[test]
fn a_home_that_cannot_be_read_is_no_reason_to_say_anything() {
    let ground = Ground::new();
    ground.write(".aicage/config.yml", "{{{\n");
    ground.write(".aicage/store/oci-layout", "{{{\n");
    ground.bash("aicage image rm ");
    ground.bash("aicage --image-name ");
    ground.bash("aicage stop ");
}

#[test]
fn who_completes_changes_nothing() {
    let ground = Ground::new();
    ground.write(
        ".aicage/store/oci-layout",
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    );
    ground.write(".aicage/store/images/damaged.json", "{");
    ground.bash("aicage image rm ");
    let store = fs_err::read_dir(ground.path(".aicage/store")).unwrap();
    let mut names: Vec<_> = store.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["images", "oci-layout"]);
    let images = fs_err::read_dir(ground.path(".aicage/store/images")).unwrap();
    let images: Vec<_> = images.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(images, ["damaged.json"]);
}

#[test]
fn other_shells_are_asked_in_their_own_way() {
    let ground = Ground::with_words();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = ground.aicage(&["completion", shell]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("_AICAGE_COMPLETE"), "{shell}: {script}");
    }
    let has = |program: &str| {
        let there = Command::new(program).arg("--version").output().is_ok();
        if !there {
            eprintln!("SKIP: {program} is not installed");
        }
        there
    };
    if has("fish") {
        let offered = ground.shell(
            &["fish", "--no-config", "-c"],
            "aicage completion fish | source; complete --do-complete 'aicage plan co'",
        );
        assert!(offered.contains("codex\t"), "{offered}");
    }
    // Zsh completes only for somebody who types; what it is told is what matters.
    let zsh = ground.shell(
        &["sh", "-c"],
        "_CLAP_COMPLETE_INDEX=2 _CLAP_IFS='|' _AICAGE_COMPLETE=zsh aicage -- aicage plan co",
    );
    assert!(zsh.contains("codex:"), "{zsh}");
    if has("zsh") {
        ground.shell(
            &["zsh", "-f", "-c"],
            "autoload -U compinit; compinit -u -D; source <(aicage completion zsh)",
        );
    }
}
