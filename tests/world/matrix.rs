//! `aicage matrix` with a real registry that keeps the state, and versions asked in a container.

use crate::ground::{Ground, Said, on_every_engine, shell, variable};

/// The agent on a base of the open registry.
fn prepare(ground: &Ground) {
    let script = "skopeo copy -q --src-tls-verify=false --dest-tls-verify=false \
        \"docker://$1/library/busybox:latest\" \"docker://$1/$2/base:debian\"";
    shell(script, &[ground.registry.as_ref(), ground.agent.as_ref()]);
    let repository = format!("{}/{}/base", ground.registry, ground.agent);
    ground.run(
        &["config", "set", "registry.base_repository", &repository],
        0,
    );
    ground.define_program("echo 1");
    // Only the base has it: nowhere else could this be a version.
    ground.write_agent("version.sh", "#!/bin/busybox sh\necho 1.0\n");
    ground.run(&["config", "set", "update.version_on_host", "false"], 0);
}

fn round(ground: &Ground, state: &str) {
    let only = ["--agent", &ground.agent, "--base", "debian"];
    let with = |verb: &[&str]| {
        let mut words: Vec<String> = vec!["matrix".to_owned()];
        words.extend(verb.iter().chain(&only).map(|word| (*word).to_owned()));
        words.extend(["--state".to_owned(), state.to_owned()]);
        words
    };
    let run = |verb: &[&str], code: i32| -> Said {
        let words = with(verb);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ground.run(&words, code)
    };
    let said = run(&["--check"], 5);
    assert!(
        said.stdout.contains("it was never built"),
        "{}",
        said.stdout
    );
    run(&["record"], 0);
    let said = run(&["--check"], 0);
    assert!(
        said.stdout.contains("0 of 1 must be built"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_registry_keeps_the_state_and_a_container_is_asked_for_the_version() {
    on_every_engine(|ground| {
        prepare(ground);
        let name = format!("{}/{}/state:matrix", ground.registry, ground.agent);
        round(ground, &format!("oci:{name}"));
        let script = "skopeo inspect --raw --tls-verify=false \"docker://$1\"";
        let manifest: serde_json::Value =
            serde_json::from_slice(&shell(script, &[name.as_ref()])).unwrap();
        let kind = "application/vnd.aicage.matrix.v1+json";
        assert_eq!(manifest["artifactType"], kind);
        assert_eq!(manifest["layers"][0]["mediaType"], kind);

        // An image under that tag is no state, and is not overwritten.
        let image = format!("{}/{}/base:debian", ground.registry, ground.agent);
        let state = format!("oci:{image}");
        ground.run(&["matrix", "--on-host", "--state", &state], 1);
        ground.run(&["image", "inspect", &image], 0);
    });
}

#[test]
fn a_registry_with_a_password_keeps_the_state_too() {
    let (Some(registry), Some(user), Some(password)) = (
        variable("AICAGE_TEST_REGISTRY_AUTH"),
        variable("AICAGE_TEST_REGISTRY_USER"),
        variable("AICAGE_TEST_REGISTRY_PASSWORD"),
    ) else {
        return;
    };
    on_every_engine(|ground| {
        prepare(ground);
        let state = format!("oci:{registry}/{}/state:matrix", ground.agent);
        let only = ["--agent", &ground.agent, "--base", "debian"];
        let mut words = vec!["matrix", "record", "--state", &state];
        words.extend(only);
        ground.run(&words, 1).tells("no credentials are configured");
        let script = "mkdir -p \"$1/.docker\"; printf '{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}' \"$2\" \
            \"$(printf %s \"$3:$4\" | base64 -w0)\" >\"$1/.docker/config.json\"";
        shell(
            script,
            &[
                &ground.home(),
                registry.as_ref(),
                user.as_ref(),
                password.as_ref(),
            ],
        );
        round(ground, &state);
    });
}
