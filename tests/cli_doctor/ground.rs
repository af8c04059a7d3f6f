//! A home of the test's own, and the program in it.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// A home and a project.
pub(crate) struct Ground(pub(crate) tempfile::TempDir);

impl Ground {
    pub(crate) fn new() -> Self {
        let ground = Self(tempfile::tempdir().unwrap());
        fs_err::create_dir(ground.path("project")).unwrap();
        ground
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// The program, with nothing of this machine's but its files; no engine is where it looks.
    pub(crate) fn aicage(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aicage"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/bin:/bin")
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.path("none.sock").display()),
            )
            .current_dir(self.path("project"))
            .stdin(Stdio::null());
        command
    }

    /// Another program, in the project, with nothing of this machine's but its files.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.path("project"))
            .stdin(Stdio::null());
        command
    }

    /// Lets the doctor look and returns its findings; the exit code must fit them.
    #[track_caller]
    pub(crate) fn findings(&self, mut command: Command) -> Findings {
        let _ = self;
        let output: Output = command.arg("--json").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(report["schema"], "aicage.doctor/1", "{stderr}");
        let code = i32::from(report["problems"] != 0);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        Findings(report["findings"].as_array().unwrap().clone())
    }
}

/// What a doctor found.
#[derive(Debug)]
pub(crate) struct Findings(Vec<Value>);

impl Findings {
    /// Asserts that a check has this state and says these words, and returns what to type next.
    #[track_caller]
    pub(crate) fn tells(&self, (check, state): (&str, &str), words: &str) -> String {
        let found = self.0.iter().find(|one| {
            one["check"] == check
                && one["state"] == state
                && one["seen"].as_str().unwrap().contains(words)
        });
        let all: Vec<_> = self.0.iter().filter(|one| one["check"] == check).collect();
        let found =
            found.unwrap_or_else(|| panic!("no {state} of {check} with `{words}`: {all:#?}"));
        if state == "problem" {
            assert!(found["why"].is_string(), "a problem says why: {found:#?}");
        }
        found["next"].as_str().unwrap_or_default().to_owned()
    }
}
