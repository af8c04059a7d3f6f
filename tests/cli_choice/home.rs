//! A home and a project that a test has to itself, and the program in them.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use assembler::digest::Digest;

/// The exit code of a run that went on to what it cannot have here.
pub(crate) const NEEDS_NETWORK: i32 = 4;

/// A home and a project, with two bases, two extensions and two agents of their own.
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs_err::create_dir_all(home.path("project")).unwrap();
        for (base, distro) in [("large", "Large"), ("small", "Small")] {
            let text = format!(
                "from_image: registry.invalid/{base}\nbase_image_distro: {distro}\n\
                 base_image_description: A {base} one\narchitectures: [amd64, arm64]\n"
            );
            home.write(&format!("image-base/{base}/base.yml"), &text);
        }
        for extension in ["act", "jq"] {
            home.extension(extension);
        }
        for (agent, more) in [("one", ""), ("two", "base_exclude: [small]\n")] {
            let text = format!(
                "agent_full_name: Agent {agent}\nagent_homepage: https://a.example\n{more}"
            );
            home.write(&format!("agents/{agent}/agent.yml"), &text);
            for script in ["install.sh", "version.sh"] {
                home.write(&format!("agents/{agent}/{script}"), "#!/bin/sh\necho 1\n");
            }
        }
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn extension(&self, name: &str) {
        let text = format!("name: {name}\ndescription: Adds {name}\n");
        self.write(&format!("extension/{name}/extension.yml"), &text);
        self.write(&format!("extension/{name}/scripts/1.sh"), "true\n");
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path("aicage/custom").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(crate) fn aicage(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aicage"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("AICAGE_HOME", self.path("aicage"))
            .env("PATH", "/usr/bin:/bin")
            // There is no engine, and this machine does not stand in for one that was named.
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .current_dir(self.path("project"))
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> String {
        let output: Output = self.aicage(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "of {arguments:?}: {stderr}"
        );
        // Lines are wrapped.
        stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Writes the project's file as the Python program has it.
    pub(crate) fn store(&self, text: &str) {
        let path = self.project_file();
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(crate) fn project_file(&self) -> PathBuf {
        let project = fs_err::canonicalize(self.path("project")).unwrap();
        let hex = Digest::of(project.to_str().unwrap().as_bytes()).hex();
        self.path(&format!("aicage/projects/{hex}.yml"))
    }

    /// Returns the project's file, without the line that names the directory.
    pub(crate) fn stored(&self) -> String {
        let text = fs_err::read_to_string(self.project_file()).unwrap_or_default();
        let lines = text.split_inclusive('\n');
        lines.filter(|line| !line.starts_with("path: ")).collect()
    }

    pub(crate) fn has_tmux() -> bool {
        let found = Command::new("tmux").arg("-V").output().is_ok();
        if !found {
            eprintln!("SKIP: tmux is not installed");
        }
        found
    }
}

/// What is stored for one agent.
pub(crate) fn stored(agent: &str, base: &str, extensions: &[&str], image: &str) -> String {
    let mut text = format!("agents:\n  {agent}:\n    base: {base}\n");
    if !extensions.is_empty() {
        text.push_str("    extensions:\n");
        for extension in extensions {
            text.extend(["      - ", extension, "\n"]);
        }
    }
    text + &format!("    image_ref: {image}\n")
}
