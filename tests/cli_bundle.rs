//! `definitions: oci:NAME` from outside: an in-process registry that moves, stalls and goes away; no engine.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "a test stops at the first surprise"
)]

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use assembler::digest::Digest;
use fixtures::registry::{Fault, Layer, Registry, Rule};
use tempfile::TempDir;

struct Ground {
    home: TempDir,
    registry: Registry,
}

impl Ground {
    /// A home whose definitions come from the registry.
    async fn new() -> Self {
        let ground = Self {
            home: tempfile::tempdir().unwrap(),
            registry: Registry::start().await,
        };
        let config = format!("definitions: oci:{}/bundle:1\n", ground.registry.host());
        ground.configure(&config);
        ground
    }

    fn configure(&self, more: &str) {
        let path = self.home.path().join(".aicage/config.yml");
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let before = fs_err::read_to_string(&path).unwrap_or_default();
        fs_err::write(path, before + more).unwrap();
    }

    /// Publishes definitions with one agent.
    fn publish(&self, agent: &str) {
        let mut tar = tar::Builder::new(Vec::new());
        let text = "agent_full_name: One\nagent_homepage: https://agent.example\n";
        for (name, text) in [
            ("agent.yml", text),
            ("install.sh", "true\n"),
            ("version.sh", "echo 1\n"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            let path = format!("agents/{agent}/{name}");
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let blob = tar.into_inner().unwrap();
        let layer = Layer {
            media_type: "application/vnd.oci.image.layer.v1.tar",
            diff_id: Digest::of(&blob),
            blob,
        };
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            _ => "arm64",
        };
        self.registry.image("bundle", ("1", architecture), &[layer]);
    }

    /// Runs the program on a thread of its own: the registry needs this one.
    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aicage"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// Returns the agents, and what was said beside them.
    async fn agents(&self, options: &[&str]) -> (String, String) {
        let (code, out, err) = self.run(&[&["agent", "list"], options].concat()).await;
        assert_eq!(code, Some(0), "{err}");
        (out, err)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_of_a_registry_are_used_at_once_and_news_is_asked_for_as_at_a_start() {
    let ground = Ground::new().await;
    ground.publish("gander");
    assert!(ground.agents(&[]).await.0.contains("gander"));
    ground.registry.requests();
    assert!(ground.agents(&[]).await.0.contains("gander"));
    assert_eq!(ground.registry.requests().len(), 0, "within the interval");

    // The interval is over from now on.
    ground.configure("update:\n  check_interval: 0s\n  deadline: 1s\n");
    ground.publish("goose2");
    let (out, _) = ground.agents(&["--offline"]).await;
    assert!(out.contains("gander"), "{out}");
    let (_, _, err) = ground.run(&["--no-update", "gander"]).await;
    assert!(!err.contains("there is no agent"), "{err}");
    assert_eq!(ground.registry.requests().len(), 0, "`--no-update`");
    let (out, err) = ground.agents(&[]).await;
    assert!(
        out.contains("goose2") && !out.contains("gander"),
        "{out}{err}"
    );

    // Nothing but what is unpacked is left.
    fs_err::remove_dir_all(ground.home.path().join(".aicage/store")).unwrap();
    let (out, _) = ground.agents(&["--offline"]).await;
    assert!(out.contains("goose2"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stalls_costs_a_deadline_and_no_definitions() {
    let ground = Ground::new().await;
    ground.publish("gander");
    ground.agents(&[]).await;
    ground.configure("update:\n  check_interval: 0s\n  deadline: 1s\n");
    // There is another one by now, whose manifest never comes.
    ground.publish("goose2");
    ground.registry.rule(Rule::manifests(Fault::StallAt(0)));
    let started = Instant::now();
    let (out, err) = ground.agents(&[]).await;
    assert!(out.contains("gander"), "{out}");
    assert!(err.contains("no answer within 1 s"), "{err}");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "it was waited for {:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_registry_has_no_more_takes_no_definitions_away() {
    let ground = Ground::new().await;
    ground.publish("gander");
    ground.agents(&[]).await;
    ground.configure("update:\n  check_interval: 0s\n");
    ground.registry.remove("bundle", "1");
    let (out, err) = ground.agents(&[]).await;
    assert!(out.contains("gander"), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_another_took_the_place_of_are_counted_and_go_after_a_week() {
    let ground = Ground::new().await;
    ground.publish("gander");
    ground.agents(&[]).await;
    let bundles = ground.home.path().join(".aicage/state/bundles");
    let unpacked = || -> Vec<_> {
        let entries = fs_err::read_dir(&bundles).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let first = unpacked();
    ground.configure("update:\n  check_interval: 0s\n");
    ground.publish("goose2");
    ground.agents(&[]).await;
    assert_eq!(unpacked().len(), 2);
    for path in unpacked() {
        let directory = fs_err::File::open(path).unwrap();
        let made = directory.metadata().unwrap().modified().unwrap();
        directory
            .set_modified(made - Duration::from_hours(8 * 24))
            .unwrap();
    }
    let (_, out, _) = ground.run(&["cache", "du"]).await;
    assert!(out.contains("definitions 6 "), "three files each: {out}");
    let (_, out, err) = ground.run(&["cache", "prune", "--yes"]).await;
    assert!(out.contains("old definitions 1 "), "{out}{err}");
    let left = unpacked();
    assert!(left.len() == 1 && left != first, "{left:?} {first:?}");
    assert!(ground.agents(&["--offline"]).await.0.contains("goose2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_cannot_be_had_are_told_with_what_helps() {
    let ground = Ground::new().await;
    ground.publish("gander");
    let (code, _, err) = ground
        .run(&["definitions", "export", "x", "--offline"])
        .await;
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("without `--offline`"), "{err}");
    ground.registry.rule(Rule::manifests(Fault::status(503)));
    let (code, _, err) = ground.run(&["definitions", "export", "x"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("check the network"), "{err}");
}
