//! `aicage matrix` from outside: an in-process registry, definitions of its own, no engine.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "a test stops at the first surprise"
)]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use fixtures::registry::{Layer, Registry};
use serde_json::Value;
use tempfile::TempDir;

struct Ground {
    directory: TempDir,
    registry: Registry,
}

impl Ground {
    /// Two agents that read their version from a file, a built-in base and two custom ones of one root image.
    async fn new() -> Self {
        let ground = Self {
            directory: tempfile::tempdir().unwrap(),
            registry: Registry::start().await,
        };
        ground.layers("base", "debian", &["a", "b"]);
        ground.layers("root", "1", &["r"]);
        let host = ground.registry.host();
        for agent in ["one", "two"] {
            let version = ground.version(agent);
            ground.write(
                &format!("custom/agents/{agent}/agent.yml"),
                "agent_full_name: One\nagent_homepage: https://agent.example\n",
            );
            ground.write(&format!("custom/agents/{agent}/install.sh"), "#!/bin/sh\n");
            let script = format!(
                "#!/bin/sh\necho asked >>'{0}.asked'\ncat '{0}'\n",
                version.display()
            );
            ground.write(&format!("custom/agents/{agent}/version.sh"), &script);
            fs_err::write(version, "1.0\n").unwrap();
        }
        for base in ["mine", "yours"] {
            let text = format!(
                "from_image: {host}/root:1\nbase_image_distro: Small\nbase_image_description: x\n\
                 architectures: [amd64, arm64]\n"
            );
            ground.write(&format!("custom/image-base/{base}/base.yml"), &text);
        }
        let config = format!("registry:\n  base_repository: {host}/base\n");
        ground.write("config.yml", &config);
        ground
    }

    fn layers(&self, repository: &str, tag: &str, layers: &[&str]) {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            _ => "arm64",
        };
        let layers: Vec<Layer> = layers
            .iter()
            .map(|text| Layer::opaque(text.as_bytes().to_vec()))
            .collect();
        self.registry
            .image(repository, (tag, architecture), &layers);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.directory.path().join(".aicage").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn version(&self, agent: &str) -> PathBuf {
        self.directory.path().join(format!("version-of-{agent}"))
    }

    fn aicage(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aicage"));
        command
            .arg("matrix")
            .args(verb)
            .args(["--on-host", "--agent", "one", "--agent", "two"])
            .args(["--base", "debian", "--base", "mine", "--base", "yours"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.directory.path())
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program on a thread of its own: the registry needs this one.
    async fn run(&self, verb: &[&str], code: i32) -> (String, String) {
        let mut command = self.aicage(verb);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{verb:?}\n{out}\n{err}");
        (out, err)
    }

    async fn rows(&self, code: i32) -> Vec<Value> {
        let verb = ["--state", "state.json", "--format", "json", "--check"];
        let (out, _) = self.run(&verb, code).await;
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["schema"], "aicage.matrix/1");
        report["images"].as_array().unwrap().clone()
    }

    /// Returns what must be built and why, as `AGENT BASE: REASONS`.
    async fn needed(&self) -> Vec<String> {
        let verb = ["--state", "state.json", "--format", "github"];
        let (out, _) = self.run(&verb, 0).await;
        assert_eq!(out.lines().count(), 1, "a job's output is one line: {out}");
        let matrix: Value = serde_json::from_str(&out).unwrap();
        let include = matrix["include"].as_array().unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        include
            .iter()
            .map(|row| {
                let (agent, base) = (text(row, "agent"), text(row, "base"));
                format!("{agent} {base}: {}", text(row, "reason"))
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tag_and_each_version_is_asked_once() {
    let ground = Ground::new().await;
    let rows = ground.rows(5).await;
    assert_eq!(rows.len(), 6, "{rows:?}");
    let requests = ground.registry.requests();
    for tag in ["/v2/base/manifests/debian", "/v2/root/manifests/1"] {
        let asked = requests
            .iter()
            .filter(|request| request.path == tag)
            .count();
        assert_eq!(asked, 1, "{tag} was asked {asked} times: {requests:?}");
    }
    for agent in ["one", "two"] {
        let asked = format!("{}.asked", ground.version(agent).display());
        let asked = fs_err::read_to_string(asked).unwrap();
        assert_eq!(asked, "asked\n", "version.sh of {agent} ran more than once");
    }
    assert!(
        rows.iter()
            .all(|row| row["reasons"][0] == "it was never built")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_is_built_again_only_for_a_reason() {
    let ground = Ground::new().await;
    ground.run(&["record", "--state", "state.json"], 0).await;
    assert_eq!(ground.needed().await, Vec::<String>::new());
    ground.rows(0).await;

    fs_err::write(ground.version("two"), "2.0\n").unwrap();
    let needed = ground.needed().await;
    assert_eq!(needed.len(), 3, "{needed:?}");
    assert!(needed[0].starts_with("two debian: agent `two`: version 2.0 replaces 1.0"));

    fs_err::write(ground.version("two"), "1.0\n").unwrap();
    ground.layers("base", "debian", &["a", "c"]);
    let needed = ground.needed().await;
    assert_eq!(
        needed,
        [
            "one debian: base `debian` changed: 1 of its layers are new, 1 B",
            "two debian: base `debian` changed: 1 of its layers are new, 1 B"
        ]
    );

    ground.layers("base", "debian", &["a", "b"]);
    ground.write("custom/agents/one/install.sh", "#!/bin/sh\ntrue\n");
    let needed = ground.needed().await;
    assert_eq!(needed.len(), 3, "{needed:?}");
    assert!(
        needed[0].contains("the definition of `one` changed"),
        "{needed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn recorders_at_the_same_time_lose_nothing() {
    let ground = Ground::new().await;
    let (out, _) = ground.run(&["--format", "json"], 0).await;
    fs_err::write(ground.directory.path().join("now.json"), out).unwrap();
    let one = |agent: &str, base: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aicage"));
        command
            .args([
                "matrix",
                "record",
                "--state",
                "state.json",
                "--from",
                "now.json",
            ])
            .args(["--agent", agent, "--base", base])
            .env_clear()
            .env("HOME", ground.directory.path())
            .current_dir(ground.directory.path())
            .stdin(Stdio::null());
        command.spawn().unwrap()
    };
    let mut running = Vec::new();
    for agent in ["one", "two"] {
        for base in ["debian", "mine", "yours"] {
            running.push(one(agent, base));
        }
    }
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(ground.needed().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_is_an_error_and_stays() {
    let ground = Ground::new().await;
    let path = ground.directory.path().join("state.json");
    for (text, says) in [
        ("", "EOF"),
        ("{\"schema\":2,\"images\":{}}", "schema 2"),
        ("{\"schema\":1,\"images\":{},\"x\":1}", "unknown field"),
    ] {
        fs_err::write(&path, text).unwrap();
        for verb in [
            &["--state", "state.json"][..],
            &["record", "--state", "state.json"],
        ] {
            let (_, err) = ground.run(verb, 1).await;
            assert!(err.contains(says), "no `{says}` in {err}");
        }
        assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_is_said_and_never_recorded() {
    let ground = Ground::new().await;
    ground.registry.remove("root", "1");
    fs_err::write(ground.version("two"), "").unwrap();
    let (_, err) = ground.run(&["--state", "state.json"], 1).await;
    let flat = err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("nothing can be said of one on mine"),
        "{flat}"
    );
    assert!(flat.contains("it printed nothing"), "{flat}");
    ground.run(&["record", "--state", "state.json"], 1).await;
    assert!(!ground.directory.path().join("state.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_no_script_runs_where_the_network_cannot_be_kept_from_it() {
    let ground = Ground::new().await;
    let (_, said) = ground.run(&["--offline"], 2).await;
    assert!(said.contains("exclude each other"), "{said}");
    // Without `--on-host` a container would be tried first, and there is no engine.
    let mut command = ground.aicage(&[]);
    let arguments: Vec<_> = command
        .get_args()
        .filter(|argument| *argument != "--on-host")
        .map(ToOwned::to_owned)
        .collect();
    let mut offline = Command::new(command.get_program());
    offline
        .args(arguments)
        .args(["--offline", "--format", "json"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", ground.directory.path())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .current_dir(ground.directory.path());
    command = offline;
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("because `--offline` was given"), "{said}");
    for agent in ["one", "two"] {
        let asked = ground
            .directory
            .path()
            .join(format!("version-of-{agent}.asked"));
        assert!(!asked.exists(), "`version.sh` ran on this machine");
    }
}
