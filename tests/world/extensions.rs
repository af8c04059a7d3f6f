//! Extensions on top of an agent's image: one layer each, executed exactly when something it depends on changed.

use std::path::Path;

use serde_json::Value;

use crate::ground::{BASE, Ground, Said, on_every_engine, shell};

/// Defines an extension of one script.
fn extension(ground: &Ground, id: &str, script: &str) {
    write(
        ground,
        id,
        "extension.yml",
        &format!("name: {id}\ndescription: For tests\n"),
    );
    write(ground, id, "scripts/10-add.sh", script);
}

fn write(ground: &Ground, id: &str, file: &str, content: &str) {
    let path = ground
        .aicage_home()
        .join("custom/extension")
        .join(id)
        .join(file);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

/// An agent that prints what the extensions left, and two extensions.
fn ground_with_extensions(ground: &Ground) {
    ground.base("library/busybox:latest");
    ground.define_program("cat /etc/added");
    extension(
        ground,
        "one",
        "#!/bin/sh\r\nset -e\r\ncat data >>/etc/added\r\n",
    );
    write(ground, "one", "data", "one ");
    extension(
        ground,
        "two",
        "#!/bin/sh\nset -e\nprintf '%s ' \"$EXTENSION\" >>/etc/added\n",
    );
}

fn with<'a>(ground: &'a Ground, verb: &[&'a str], extensions: &[&'a str]) -> Vec<&'a str> {
    let mut words = verb.to_vec();
    for extension in extensions {
        words.extend(["--extension", extension]);
    }
    words.extend(["--base", BASE, &ground.agent]);
    words
}

fn plan(ground: &Ground, extensions: &[&str]) -> Value {
    let said = ground.run(&with(ground, &["plan", "--json"], extensions), 0);
    serde_json::from_str(&said.stdout).unwrap()
}

/// Returns what happens to each layer of an extension or the agent.
fn actions(plan: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let layers = plan["layers"].as_array().unwrap().iter();
    layers
        .filter(|layer| ["agent", "extension"].contains(&layer["kind"].as_str().unwrap()))
        .map(|layer| (text(&layer["id"]), text(&layer["action"])))
        .collect()
}

fn steps(ground: &Ground) -> usize {
    let is_step = |name: &&String| name.starts_with("agent-") || name.starts_with("extension-");
    ground.logs().keys().filter(is_step).count()
}

fn start(ground: &Ground, extensions: &[&str]) -> Said {
    ground.run(&with(ground, &["run"], extensions), 0)
}

#[test]
fn each_extension_is_a_layer_and_only_what_changed_is_executed() {
    on_every_engine(|ground| {
        ground_with_extensions(ground);
        assert_eq!(start(ground, &["one"]).stdout, "one ");
        assert_eq!(steps(ground), 2, "the agent's script and the extension's");
        let last = ground.run(&["image", "inspect"], 0).stdout;
        assert!(last.starts_with("aicage-extended:"), "{last}");

        // A second one is added; the first and the agent do not run again.
        assert_eq!(start(ground, &["one", "two"]).stdout, "one two ");
        assert_eq!(steps(ground), 3);
        let said = start(ground, &["one", "two"]);
        assert_eq!(
            (said.stdout.as_str(), said.stderr.as_str()),
            ("one two ", "")
        );
        assert_eq!(steps(ground), 3, "nothing changed, nothing runs");

        // Order is the user's.
        assert_eq!(start(ground, &["two", "one"]).stdout, "two one ");

        let image = format!("aicage-extended:{}-{BASE}-extensions-one-two", ground.agent);
        let inspect = ground
            .run(&["image", "inspect", &image, "--json"], 0)
            .stdout;
        let inspect: Value = serde_json::from_str(&inspect).unwrap();
        let origins: Vec<String> = inspect["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| {
                format!(
                    "{} {}",
                    layer["origin"]["kind"].as_str().unwrap(),
                    layer["origin"]["id"].as_str().unwrap()
                )
            })
            .collect();
        let agent = format!("agent {}", ground.agent);
        assert_eq!(
            origins[origins.len() - 4..],
            [
                agent.as_str(),
                "extension one",
                "extension two",
                "glue init"
            ]
        );
    });
}

#[test]
fn a_touched_file_is_named_and_what_is_above_it_is_executed_again() {
    on_every_engine(|ground| {
        ground_with_extensions(ground);
        start(ground, &["one", "two"]);
        assert_eq!(plan(ground, &["one", "two"])["action"], "nothing");
        let steps_before = steps(ground);

        write(ground, "two", "notes.txt", "more");
        let planned = plan(ground, &["one", "two"]);
        assert_eq!(
            planned["reasons"],
            serde_json::json!(["extension `two`: `notes.txt` is new"])
        );
        write(ground, "one", "data", "uno ");
        let planned = plan(ground, &["one", "two"]);
        assert_eq!(planned["reasons"][0], "extension `one`: `data` changed");
        let agent = ground.agent.clone();
        assert_eq!(
            actions(&planned),
            [
                (agent, "reuse"),
                ("one".to_owned(), "execute"),
                ("two".to_owned(), "execute")
            ]
            .map(|(id, action)| (id, action.to_owned()))
        );
        assert_eq!(start(ground, &["one", "two"]).stdout, "uno two ");
        assert_eq!(steps(ground), steps_before + 2);
        assert_eq!(plan(ground, &["one", "two"])["action"], "nothing");
    });
}

#[test]
fn the_definition_of_a_base_is_followed_without_a_network() {
    on_every_engine(|ground| {
        ground_with_extensions(ground);
        let base = ground.aicage_home().join("custom/image-base").join(BASE);
        fs_err::create_dir_all(base.join("scripts")).unwrap();
        let script = |word: &str| format!("#!/bin/sh\nprintf '{word} ' >/etc/added\n");
        fs_err::write(base.join("scripts/1.sh"), script("base")).unwrap();
        assert_eq!(start(ground, &["one"]).stdout, "base one ");
        fs_err::write(base.join("scripts/1.sh"), script("bottom")).unwrap();
        let planned = plan(ground, &["one"]);
        let reason = planned["reasons"][0].as_str().unwrap();
        assert_eq!(reason, format!("base `{BASE}`: `scripts/1.sh` changed"));
        let said = ground.run(&with(ground, &["--offline", "run"], &["one"]), 0);
        assert_eq!(said.stdout, "bottom one ");
    });
}

#[test]
fn what_is_wrong_with_an_extension_is_said_with_its_log_or_before_anything_runs() {
    on_every_engine(|ground| {
        ground_with_extensions(ground);
        extension(
            ground,
            "bad",
            "#!/bin/sh\necho this needs another distribution >&2\nexit 3\n",
        );
        let said = ground.run(&with(ground, &["run"], &["bad"]), 1);
        said.tells("extension bad");
        said.tells("this needs another distribution");
        said.tells("log");
        ground
            .run(&with(ground, &["run"], &["on"]), 2)
            .tells("did you mean `one`?");
        ground
            .run(&with(ground, &["run"], &["one", "one"]), 2)
            .tells("twice");
        let mut named = with(
            ground,
            &["run", "--image-name", "aicage:codex-debian"],
            &["one"],
        );
        ground.run(&named, 2).tells("cannot be the name");
        let name = format!("mine-{}", ground.agent);
        named[2] = &name;
        assert_eq!(ground.run(&named, 0).stdout, "one ");
        let tag = format!("aicage-extended:{name}");
        ground.run(&["image", "inspect", &tag], 0);
    });
}

#[test]
fn extensions_go_on_top_of_a_published_image_without_its_script() {
    on_every_engine(|ground| {
        let repository = format!("{}/{}/final", ground.registry, ground.agent);
        shell(
            "skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://$1/library/busybox:latest docker://$2:codex-debian",
            &[Path::new(&ground.registry), Path::new(&repository)],
        );
        ground.run(
            &["config", "set", "registry.final_repository", &repository],
            0,
        );
        extension(
            ground,
            "program",
            "#!/bin/sh\nset -e\nmkdir -p /usr/local/bin\nprintf '#!/bin/sh\\necho from the extension\\n' >/usr/local/bin/codex\nchmod 755 /usr/local/bin/codex\n",
        );
        let arguments = ["run", "--base", "debian", "--extension", "program", "codex"];
        let name = "aicage-extended:codex-debian-extensions-program";
        assert_eq!(ground.run(&arguments, 0).stdout, "from the extension\n");
        assert_eq!(steps(ground), 1, "only the extension's script");
        let said = ground.run(&arguments, 0);
        assert_eq!(said.stderr, "", "nothing is done again");
        let plan = ground.run(
            &[
                "plan",
                "--json",
                "--base",
                "debian",
                "--extension",
                "program",
                "codex",
            ],
            0,
        );
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        assert_eq!(plan["action"], "nothing", "{plan}");

        // The published image moves: what is above it is made anew.
        shell(
            "d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && skopeo copy -q --src-tls-verify=false docker://$1:codex-debian oci:$d/o:x \\
             && umoci config --image $d/o:x --config.label moved=yes && skopeo copy -q --dest-tls-verify=false oci:$d/o:x docker://$1:codex-debian",
            &[Path::new(&repository)],
        );
        let check = ground.run(&["update", "--check"], 5).stdout;
        assert!(check.contains(name), "{check}");
        ground.run(&["update"], 0);
        ground.run(&["update", "--check"], 0);
        assert_eq!(
            steps(ground),
            1,
            "no layer below is new, so that the script's layer still fits"
        );
        ground.docker(&["image", "rm", name]);
    });
}

#[test]
fn dockerfiles_of_extensions_and_bases_are_built_and_followed() {
    on_every_engine(|ground| {
        ground_with_extensions(ground);
        let base = ground.aicage_home().join("custom/image-base").join(BASE);
        let dockerfile = |word: &str| {
            format!(
                "ARG FROM_IMAGE\nFROM ${{FROM_IMAGE}} AS made\nRUN echo {word} >/made\n\
                 FROM ${{FROM_IMAGE}}\nCOPY --from=made /made /etc/added\nENV FLAVOUR={word}\n"
            )
        };
        fs_err::write(base.join("Dockerfile"), dockerfile("sweet")).unwrap();
        write(
            ground,
            "docker",
            "extension.yml",
            "name: D\ndescription: For tests\n",
        );
        write(
            ground,
            "docker",
            "Dockerfile",
            "ARG BASE_IMAGE=none\nFROM ${BASE_IMAGE}\nARG EXTENSION\n\
             RUN --mount=type=bind,source=scripts,target=/tmp/aicage/scripts,readonly \\\n  \
             sh /tmp/aicage/scripts/add.sh \"$EXTENSION\"\nLABEL from=docker\nUSER 1000\n",
        );
        write(
            ground,
            "docker",
            "scripts/add.sh",
            "echo \"$1 $FLAVOUR\" >>/etc/added\n",
        );
        let extensions = ["docker", "two"];
        assert_eq!(
            start(ground, &extensions).stdout,
            "sweet\ndocker sweet\ntwo "
        );
        let logs = ground.logs().len();
        let again = start(ground, &extensions);
        assert_eq!(again.stderr, "", "nothing changed");
        assert_eq!(ground.logs().len(), logs);

        write(
            ground,
            "docker",
            "scripts/add.sh",
            "echo \"$1: $FLAVOUR\" >>/etc/added\n",
        );
        let planned = plan(ground, &extensions);
        assert_eq!(
            planned["reasons"][0],
            "extension `docker`: `scripts/add.sh` changed"
        );
        assert_eq!(
            start(ground, &extensions).stdout,
            "sweet\ndocker: sweet\ntwo "
        );

        fs_err::write(base.join("Dockerfile"), dockerfile("salt")).unwrap();
        let planned = plan(ground, &extensions);
        let reason = planned["reasons"][0].as_str().unwrap();
        assert_eq!(reason, format!("base `{BASE}`: `Dockerfile` changed"));
        assert_eq!(
            start(ground, &extensions).stdout,
            "salt\ndocker: salt\ntwo "
        );

        a_change_of_settings_counts_and_a_mistake_is_named(ground);
    });
}

fn a_change_of_settings_counts_and_a_mistake_is_named(ground: &Ground) {
    let extensions = ["docker", "two"];
    write(
        ground,
        "docker",
        "Dockerfile",
        "ARG BASE_IMAGE=none\nFROM ${BASE_IMAGE}\nARG EXTENSION\n\
             RUN --mount=type=bind,source=scripts,target=/tmp/aicage/scripts,readonly \\\n  \
             sh /tmp/aicage/scripts/add.sh \"$EXTENSION\"\nLABEL from=elsewhere\nUSER 1000\n",
    );
    assert_eq!(plan(ground, &extensions)["action"], "build");

    write(
        ground,
        "docker",
        "Dockerfile",
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nFETCH x\n",
    );
    let said = ground.run(&with(ground, &["run"], &extensions), 2);
    said.tells("line 3");
    said.tells("FETCH");
    said.tells("hint:");
}
