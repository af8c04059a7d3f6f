//! A base whose tag moves, an agent with a new version, and a network that goes away.

use std::{path::Path, time::Duration};

use crate::{
    bundle::Bundle,
    ground::{BASE, Ground, on_every_engine, on_one_engine, shell},
    wire::Wire,
};

/// Pushes a base under the tag: busybox, with one more layer for each generation. Returns its layers, bottom first, as
/// `DIGEST SIZE`.
fn push(ground: &Ground, generation: u32) -> Vec<String> {
    let layout = ground.path("base");
    let script = r#"
        if [ ! -e "$1" ]; then skopeo copy -q --src-tls-verify=false "docker://$3/library/busybox:latest" "oci:$1:base"; fi
        if [ "$5" -gt 1 ]; then
          mkdir -p "$1.tree/etc"; echo "$5" >"$1.tree/etc/generation"; head -c 100000 /dev/urandom >"$1.tree/etc/bytes"
          tar --numeric-owner -C "$1.tree" -cf "$1.tar" .
          umoci raw add-layer --image "$1:base" "$1.tar"
        fi
        skopeo copy -q --dest-tls-verify=false "oci:$1:base" "docker://$3/$4/base:debian"
        skopeo inspect --raw "oci:$1:base" | jq -r '.layers[] | "\(.digest) \(.size)"'"#;
    let text = |text: &str| Path::new(text).to_owned();
    let said = shell(
        script,
        &[
            &layout,
            &text(""),
            &text(&ground.registry),
            &text(&ground.agent),
            &text(&generation.to_string()),
        ],
    );
    String::from_utf8(said)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn digest(layer: &str) -> &str {
    layer.split(' ').next().unwrap()
}

/// An agent on a base of its own registry, built.
fn built(ground: &Ground, wire: &Wire) -> Vec<String> {
    let layers = push(ground, 1);
    let repository = format!("{}/{}/base", wire.address, ground.agent);
    ground.run(
        &["config", "set", "registry.base_repository", &repository],
        0,
    );
    ground.define_program("cat /etc/generation 2>/dev/null || echo 1");
    ground.run(&["build", &ground.agent, "--base", "debian"], 0);
    layers
}

#[test]
fn a_second_start_asks_nobody_and_builds_nothing() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        built(ground, &wire);
        assert!(
            !wire.asked().is_empty(),
            "the base came from somewhere else"
        );
        let logs = ground.logs();
        let said = ground.run(&["--base", "debian", &ground.agent], 0);
        assert_eq!(said.stdout, "1\n");
        assert_eq!(said.stderr, "");
        assert_eq!(wire.asked(), Vec::<String>::new());
        assert_eq!(ground.logs(), logs, "a script ran");
    });
}

#[test]
fn a_moved_base_is_found_explained_and_brought_in() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        let old = built(ground, &wire);
        ground.run(&["update", "--check"], 0);
        let new = push(ground, 2);
        let [added] = new.strip_prefix(old.as_slice()).unwrap() else {
            panic!("one layer is new")
        };
        wire.asked();

        let check = ground.run(&["update", "--check"], 5).stdout;
        let short: String = digest(added)
            .chars()
            .skip("sha256:".len())
            .take(12)
            .collect();
        assert!(check.contains(&short), "{added} is not in: {check}");
        assert!(check.contains("kB"), "no size in: {check}");
        let plan = ground
            .run(&["plan", &ground.agent, "--base", "debian"], 0)
            .stdout;
        assert!(plan.contains(&short), "{added} is not in: {plan}");
        let json = ground.run(&["update", "--check", "--json"], 5).stdout;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["schema"], "aicage.update/1");
        assert_eq!(json["images"][0]["action"], "build");
        assert!(
            json["images"][0]["reasons"][0]
                .as_str()
                .unwrap()
                .contains(&short)
        );
        let asked = wire.asked().join("\n");
        assert!(
            !asked.contains(digest(added)),
            "looking fetched the layer: {asked}"
        );

        // An ordinary start uses what it has.
        let said = ground.run(&["--offline", "--base", "debian", &ground.agent], 0);
        assert_eq!(said.stdout, "1\n");

        let logs = ground.logs().len();
        ground.run(&["update"], 0);
        let asked = wire.asked().join("\n");
        assert!(
            asked.contains(digest(added)),
            "the new layer was not fetched: {asked}"
        );
        for layer in &old {
            assert!(
                !asked.contains(digest(layer)),
                "{layer} was fetched again: {asked}"
            );
        }
        assert_eq!(ground.logs().len(), logs + 1, "the agent's script ran once");
        ground.run(&["update", "--check"], 0);
        let said = ground.run(&["--base", "debian", &ground.agent], 0);
        assert_eq!(said.stdout, "2\n");
        ground.run(&["cache", "verify"], 0);
    });
}

#[test]
fn a_base_that_was_assembled_here_follows_its_root_image() {
    on_every_engine(|ground| {
        let old = push(ground, 1);
        ground.base(&format!("{}/base:debian", ground.agent));
        ground.define_program("cat /etc/generation 2>/dev/null || echo 1");
        ground.build();
        ground.run(&["update", "--check"], 0);
        let new = push(ground, 2);
        let [added] = new.strip_prefix(old.as_slice()).unwrap() else {
            panic!("one layer is new")
        };

        let check = ground.run(&["update", "--check"], 5).stdout;
        assert!(check.contains(digest(added)), "{added} is not in: {check}");
        let plan = ground
            .run(&["plan", &ground.agent, "--base", BASE], 0)
            .stdout;
        assert!(plan.contains(digest(added)), "{added} is not in: {plan}");
        assert_eq!(
            ground.start(&[], 0).stdout,
            "1\n",
            "a start changes nothing"
        );

        ground.run(&["update"], 0);
        ground.run(&["update", "--check"], 0);
        assert_eq!(ground.start(&[], 0).stdout, "2\n");
        let inspect = ground
            .run(&["image", "inspect", &ground.image(), "--json"], 0)
            .stdout;
        let inspect: serde_json::Value = serde_json::from_str(&inspect).unwrap();
        for layer in inspect["layers"].as_array().unwrap() {
            let expected = match layer["origin"]["kind"].as_str().unwrap() {
                "root" => "current",
                _ => "local",
            };
            assert_eq!(layer["upstream"], expected, "{layer}");
        }
    });
}

#[test]
fn a_new_version_of_the_agent_runs_its_script_and_fetches_nothing() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        built(ground, &wire);
        wire.asked();
        ground.write_agent("version.sh", "#!/bin/sh\necho 2.0\n");
        let check = ground.run(&["update", "--check"], 5).stdout;
        assert!(check.contains("2.0"), "{check}");
        let logs = ground.logs().len();
        ground.run(&["update"], 0);
        assert_eq!(ground.logs().len(), logs + 1, "the agent's script ran once");
        let asked = wire.asked().join("\n");
        assert!(!asked.contains("/blobs/"), "something was fetched: {asked}");
        ground.run(&["update", "--check"], 0);
    });
}

#[test]
fn without_network_and_engine_images_the_store_is_enough() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        built(ground, &wire);
        wire.cut();
        wire.asked();
        let image = format!("aicage:{}-debian", ground.agent);
        ground.docker(&["image", "rm", &image]);
        let logs = ground.logs();
        let said = ground.run(&["--offline", "--base", "debian", &ground.agent], 0);
        assert_eq!(said.stdout, "1\n");
        assert_eq!(ground.logs(), logs, "a script ran");
        // A known image starts without being told that there is no network.
        ground.docker(&["image", "rm", &image]);
        let said = ground.run(&["--base", "debian", &ground.agent], 0);
        assert_eq!(said.stdout, "1\n");
        assert_eq!(wire.asked(), Vec::<String>::new());
        ground.run(&["cache", "verify"], 0);

        fs_err::remove_dir_all(ground.aicage_home().join("store")).unwrap();
        let said = ground.run(&["--offline", "--base", "debian", &ground.agent], 4);
        said.tells("hint:");
        assert_eq!(wire.asked(), Vec::<String>::new());
    });
}

/// What a start answers about something newer, with the interval always over.
fn moved(ground: &Ground, wire: &Wire) {
    built(ground, wire);
    ground.run(&["config", "set", "update.check_interval", "0s"], 0);
    push(ground, 2);
    wire.asked();
}

fn start(ground: &Ground, options: &[&str]) -> crate::ground::Said {
    let mut all = options.to_vec();
    all.extend(["--base", "debian", &ground.agent]);
    ground.run(&all, 0)
}

#[test]
fn what_a_start_does_about_something_newer_is_the_users_choice() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        moved(ground, &wire);
        ground.run(&["config", "set", "update.policy", "never"], 0);
        let said = start(ground, &[]);
        assert_eq!((said.stdout.as_str(), wire.asked()), ("1\n", vec![]));
        assert!(!said.stderr.contains("updated"), "{}", said.stderr);
        let plan = ground.run(&["plan", &ground.agent, "--base", "debian"], 0);
        assert!(plan.stdout.contains("is new"), "{}", plan.stdout);
        wire.asked();

        ground.run(&["config", "set", "update.policy", "ask"], 0);
        let said = start(ground, &["--no-update"]);
        assert_eq!((said.stdout.as_str(), wire.asked()), ("1\n", vec![]));
        // Without a terminal nothing is asked.
        let said = start(ground, &[]);
        assert_eq!(said.stdout, "1\n");
        said.tells("can be updated");
        said.tells("is new");
        said.tells(&format!("`aicage update {}`", ground.agent));

        let said = start(ground, &["--update"]);
        assert_eq!(said.stdout, "2\n");
        push(ground, 3);
        ground.run(&["config", "set", "update.policy", "auto"], 0);
        assert_eq!(start(ground, &[]).stdout, "3\n");
        let inspect = ground.run(
            &[
                "image",
                "inspect",
                &format!("aicage:{}-debian", ground.agent),
            ],
            0,
        );
        assert!(inspect.stdout.contains("because"), "{}", inspect.stdout);
        assert!(inspect.stdout.contains("is new"), "{}", inspect.stdout);
    });
}

#[test]
fn a_dead_network_costs_the_deadline_once_in_an_interval() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        built(ground, &wire);
        // Nothing was ever asked, as far as is known.
        fs_err::remove_dir_all(ground.aicage_home().join("store/remote")).unwrap();
        wire.stall();
        wire.asked();
        let started = std::time::Instant::now();
        let said = start(ground, &[]);
        assert_eq!(said.stdout, "1\n");
        said.tells("no answer within 2 s");
        assert!(
            started.elapsed().as_secs() < 20,
            "the start waited for {:?}",
            started.elapsed()
        );
        assert!(!wire.asked().is_empty(), "nobody was asked");
        let said = start(ground, &[]);
        assert_eq!((said.stdout.as_str(), wire.asked()), ("1\n", vec![]));
        assert!(!said.stderr.contains("answer"), "{}", said.stderr);
    });
}

#[test]
fn a_registry_that_stalls_keeps_no_other_from_answering_within_the_deadline() {
    on_every_engine(|ground| {
        let [wire, slow] = [(); 2].map(|()| Wire::to(&ground.registry));
        push(ground, 1);
        // A published agent on a published base: two names are asked for, and there is no finished image.
        let bundle = ground.path("bundle");
        let agent = bundle.join("agents").join(&ground.agent);
        fs_err::create_dir_all(&agent).unwrap();
        let text = "agent_full_name: One\nagent_homepage: https://a.example\nbuild_local: false\n";
        fs_err::write(agent.join("agent.yml"), text).unwrap();
        fs_err::write(agent.join("version.sh"), "echo 1\n").unwrap();
        let install = format!(
            "mkdir -p /usr/local/bin; printf '#!/bin/sh\\necho 1\\n' >/usr/local/bin/{0}; chmod 755 /usr/local/bin/{0}\n",
            ground.agent
        );
        fs_err::write(agent.join("install.sh"), install).unwrap();
        let base = bundle.join("bases/debian");
        fs_err::create_dir_all(&base).unwrap();
        let text = "from_image: debian\nbase_image_distro: Debian\nbase_image_description: x\narchitectures: [amd64, arm64]\n";
        fs_err::write(base.join("base.yml"), text).unwrap();
        for (key, value) in [
            ("definitions", bundle.display().to_string()),
            (
                "registry.base_repository",
                format!("{}/{}/base", wire.address, ground.agent),
            ),
            (
                "registry.final_repository",
                format!("{}/{}/final", slow.address, ground.agent),
            ),
            ("update.deadline", "10s".to_owned()),
        ] {
            ground.run(&["config", "set", key, &value], 0);
        }
        assert_eq!(start(ground, &[]).stdout, "1\n");
        // It has never answered, as far as is known, and is asked first; the base has moved.
        fs_err::remove_dir_all(ground.aicage_home().join("state/absent")).unwrap();
        ground.run(&["config", "set", "update.check_interval", "0s"], 0);
        push(ground, 2);
        slow.stall();
        let started = std::time::Instant::now();
        let said = start(ground, &[]);
        let waited = started.elapsed().as_secs();
        assert_eq!(said.stdout, "1\n");
        said.tells("no answer within 10 s");
        said.tells("can be updated");
        said.tells("is new");
        assert!((10..20).contains(&waited), "it was waited for {waited} s");
    });
}

#[test]
fn a_new_version_is_learned_while_a_session_runs() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        built(ground, &wire);
        let version = ground.home().join("version");
        fs_err::write(&version, "1.0\n").unwrap();
        // Only this machine has the file.
        ground.write_agent("version.sh", "#!/bin/sh\ncat \"$HOME/version\"\n");
        ground.run(&["update"], 0);
        fs_err::write(&version, "2.0\n").unwrap();
        ground.run(&["config", "set", "update.check_interval", "0s"], 0);
        assert_eq!(start(ground, &[]).stdout, "1\n");
        let kept = format!("state/version/{}@debian.json", ground.agent);
        let kept = ground.aicage_home().join(kept);
        for _ in 0..1200 {
            if fs_err::read_to_string(&kept).unwrap().contains("2.0") {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        ground.run(&["config", "set", "update.check_interval", "1d"], 0);
        let said = start(ground, &[]);
        said.tells("version 2.0 replaces 1.0");
    });
}

#[test]
fn a_name_that_its_registry_has_no_more_is_said_to_be_gone() {
    on_every_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        built(ground, &wire);
        let script = "skopeo delete --tls-verify=false \"docker://$1/$2/base:debian\"";
        let text = |text: &str| Path::new(text).to_owned();
        shell(script, &[&text(&ground.registry), &text(&ground.agent)]);
        let check = ground.run(&["update", "--check"], 5).stdout;
        assert!(check.contains("gone"), "{check}");
        let plan = ground.run(&["plan", &ground.agent, "--base", "debian"], 0);
        assert!(plan.stdout.contains("gone"), "{}", plan.stdout);
        let image = format!("aicage:{}-debian", ground.agent);
        let inspect = ground
            .run(&["image", "inspect", &image, "--json"], 0)
            .stdout;
        let inspect: serde_json::Value = serde_json::from_str(&inspect).unwrap();
        assert_eq!(inspect["layers"][0]["upstream"], "gone");
        // What is at hand still starts, and is not touched.
        ground.run(&["update"], 0);
        assert_eq!(start(ground, &[]).stdout, "1\n");
        // It comes back.
        push(ground, 1);
        ground.run(&["update", "--check"], 0);
        let inspect = ground.run(&["image", "inspect", &image], 0).stdout;
        assert!(!inspect.contains("gone"), "{inspect}");
    });
}

#[test]
fn a_dead_network_costs_one_deadline_however_much_is_asked() {
    on_one_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        let bundle = Bundle::new(ground, &wire.address);
        bundle.publish_base();
        // Nothing finished is published yet, so that the base is asked for, too.
        ground.run(&bundle.start(&[]), 0);
        fs_err::remove_dir_all(ground.aicage_home().join("store/remote")).unwrap();
        fs_err::remove_dir_all(ground.aicage_home().join("state/absent")).unwrap();
        ground.run(&["config", "set", "update.deadline", "8s"], 0);
        wire.stall();
        let started = std::time::Instant::now();
        let said = ground.run(&bundle.start(&[]), 0);
        let took = started.elapsed();
        assert_eq!(said.stdout, "built here\n");
        for name in [bundle.base_name(), bundle.finished_name()] {
            said.tells(&format!(
                "cannot tell whether {name} has something newer: no answer within 8 s"
            ));
        }
        assert!(
            (Duration::from_secs(8)..Duration::from_secs(16)).contains(&took),
            "the start took {took:?}: two names were not asked side by side, or not left alone"
        );
    });
}

#[test]
fn a_base_and_a_version_that_moved_together_run_the_script_once() {
    on_one_engine(|ground| {
        let wire = Wire::to(&ground.registry);
        built(ground, &wire);
        let once = |generation: &str, version: &str| {
            let check = ground.run(&["update", "--check", "--json"], 5).stdout;
            let check: serde_json::Value = serde_json::from_str(&check).unwrap();
            let reasons = check["images"][0]["reasons"].as_array().unwrap();
            let [reason] = reasons.as_slice() else {
                panic!("the base is the one reason that can be known: {reasons:?}")
            };
            assert!(
                reason
                    .as_str()
                    .unwrap()
                    .starts_with("base `debian` changed")
            );
            let before = runs(ground);
            ground.run(&["update"], 0);
            assert_eq!(runs(ground), before + 1, "the agent's script ran once");
            ground.run(&["update", "--check"], 0);
            assert_eq!(start(ground, &[]).stdout, format!("{generation}\n"));
            let image = format!("aicage:{}-debian", ground.agent);
            let inspect = ground.run(&["image", "inspect", &image], 0).stdout;
            let agent = format!("agent {}", ground.agent);
            let line = inspect.lines().find(|line| line.contains(&agent)).unwrap();
            assert!(line.contains(version), "not {version}: {line}");
        };
        // Each base has another version to offer.
        let script = "#!/bin/sh\necho base-$(cat /etc/generation 2>/dev/null || echo 1)\n";
        ground.write_agent("version.sh", script);
        ground.run(&["update"], 0);
        push(ground, 2);
        once("2", "base-2");

        // Only this machine has the file; what it said last is not a day old.
        let version = ground.home().join("version");
        fs_err::write(&version, "7.0\n").unwrap();
        ground.write_agent("version.sh", "#!/bin/sh\ncat \"$HOME/version\"\n");
        ground.run(&["update"], 0);
        push(ground, 3);
        fs_err::write(&version, "8.0\n").unwrap();
        once("3", "8.0");
    });
}

/// Returns how often a step ran.
fn runs(ground: &Ground) -> usize {
    let logs = ground.logs();
    logs.keys()
        .filter(|name| name.starts_with("agent-"))
        .count()
}
