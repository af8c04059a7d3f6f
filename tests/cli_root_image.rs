//! When a base is assembled again because of its root image, from outside: root images from files; no network, no engine.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for (file, text) in [
            (
                "agent.yml",
                "agent_full_name: One\nagent_homepage: https://a.example\n",
            ),
            ("install.sh", "true\n"),
            ("version.sh", "echo 1\n"),
        ] {
            home.write(&format!("agents/one/{file}"), text);
        }
        home
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(".aicage/custom").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// Makes a tarball of a root file system with one file.
    fn rootfs(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let mut tar = tar::Builder::new(fs_err::File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, "etc/which", content.as_bytes())
            .unwrap();
        tar.into_inner().unwrap();
        path
    }

    fn base(&self, from: &str) {
        let text = format!(
            "from_image: {from}\nbase_image_distro: Small\nbase_image_description: x\narchitectures: [amd64, arm64]\n"
        );
        self.write("image-base/mine/base.yml", &text);
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_aicage"))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.0.path())
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns all reasons of the plan for the agent on the base.
    fn reasons(&self) -> String {
        let plan = self.done(&["--json", "--offline", "plan", "one", "--base", "mine"]);
        let plan: Value = serde_json::from_str(&plan).unwrap();
        plan["reasons"].to_string()
    }
}

#[test]
fn a_base_is_made_anew_when_its_root_image_is_another_file_of_the_same_name() {
    let home = Home::new();
    let old = home.rootfs("old/root.tar", "old");
    let new = home.rootfs("new/root.tar", "new");
    home.base(&format!("rootfs:{}", old.display()));
    home.done(&["base", "build", "mine"]);
    assert!(!home.reasons().contains("from_image"), "nothing changed");
    home.base(&format!("rootfs:{}", new.display()));
    let reasons = home.reasons();
    assert!(
        reasons.contains("`from_image` is") && reasons.contains("old/root.tar any more"),
        "{reasons}"
    );
    home.done(&["base", "build", "mine"]);
    assert!(
        !home.reasons().contains("from_image"),
        "it is made of the new one"
    );
    // What is recorded in images names no directory of this machine.
    let shown = home.done(&[
        "--json",
        "image",
        "inspect",
        "aicage-image-base-custom:mine",
    ]);
    assert!(!shown.contains("/new/"), "{shown}");
}

#[test]
fn what_from_named_stays_until_the_definition_names_something_else() {
    let home = Home::new();
    let defined = home.rootfs("defined.tar", "defined");
    let other = home.rootfs("other.tar", "other");
    home.base(&format!("rootfs:{}", defined.display()));
    let from = format!("rootfs:{}", other.display());
    home.done(&["base", "build", "mine", "--from", &from]);
    let reasons = home.reasons();
    assert!(!reasons.contains("from_image"), "it is undone: {reasons}");
    let third = home.rootfs("third.tar", "third");
    home.base(&format!("rootfs:{}", third.display()));
    let reasons = home.reasons();
    assert!(reasons.contains("`from_image` is"), "{reasons}");
}
