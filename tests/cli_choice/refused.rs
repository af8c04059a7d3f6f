//! What cannot be or is not done is told by name, with file and line, before anything is fetched, made or stored.

use std::{path::PathBuf, process::Command};

use crate::home::{Home, NEEDS_NETWORK, stored};

/// Wrapped lines break paths anywhere.
#[track_caller]
fn says(said: &str, parts: &[&str]) {
    let flat = |text: &str| text.split_whitespace().collect::<String>();
    for part in parts {
        assert!(flat(said).contains(&flat(part)), "no `{part}` in: {said}");
    }
}

#[test]
fn a_name_of_no_image_is_refused_whatever_is_stored() {
    let home = Home::new();
    let text = stored("one", "small", &["jq"], "aicage-extended:tools");
    home.store(&text);
    let said = home.run(&["--offline", "--image-name", "tolls", "one"], 2);
    says(
        &said,
        &["no image `aicage-extended:tolls` was put together for `one`"],
    );
    assert_eq!(
        home.stored(),
        text,
        "a mistyped name changed what is stored"
    );
    // What is stored is put together under its own name, whoever stored it.
    let run = ["--offline", "--image-name", "tools", "one"];
    home.run(&run, NEEDS_NETWORK);
    let said = home.run(&["--offline", "--image-name", "tolls", "one"], 2);
    says(&said, &["did you mean `aicage-extended:tools`?"]);
}

#[test]
fn an_image_that_lacks_an_extension_names_its_place_and_a_way_out() {
    let home = Home::new();
    let image = "agent: one\nbase: small\nextensions: [nope]\nimage_ref: aicage-extended:gone\n";
    home.write("image-extended/gone/image-extended.yml", image);
    let named = ["--offline", "--image-name", "gone"];
    let said = home.run(&[&named[..], &["one"]].concat(), 2);
    let parts = [
        "`aicage-extended:gone` cannot be put together any more",
        "there is no extension `nope`",
        "image-extended/gone",
        "say with `--extension` what is to be in",
    ];
    says(&said, &parts);
    let anew = ["--base", "small", "--extension", "jq", "one"];
    home.run(&[&named[..], &anew].concat(), NEEDS_NETWORK);
}

#[test]
fn a_broken_definition_is_told_as_such_with_file_and_line() {
    let home = Home::new();
    let twice = "agent_full_name: x\nagent_full_name: y\n";
    home.write("agents/three/agent.yml", twice);
    home.write("image-base/flat/base.yml", "from_image:\n");
    home.write("extension/dup/extension.yml", "name: x\nnam: y\n");
    for (arguments, noun, why) in [
        (
            &["--offline", "three"][..],
            "agent `three` cannot be used",
            "agent.yml:2: the key `agent_full_name` is there twice",
        ),
        (
            &["--offline", "--base", "flat", "one"],
            "base `flat` cannot be used",
            "base.yml:1: there is no value",
        ),
        (
            &["--offline", "--extension", "dup", "one"],
            "extension `dup` cannot be used",
            "extension.yml:2: unknown key `nam`",
        ),
    ] {
        let said = home.run(arguments, 2);
        says(&said, &[noun, why, "check"]);
        assert!(!said.contains("there is no agent"), "{said}");
    }
    let said = home.run(&["--offline", "three"], 2);
    let told = said.matches("is there twice").count();
    assert_eq!(told, 1, "told twice: {said}");
}

#[test]
fn stored_options_that_cannot_be_used_name_their_file_and_the_way_out() {
    let home = Home::new();
    let file = home.project_file().display().to_string();
    for (text, why) in [
        ("-e 'FOO=a b", "the quote before `FOO=a b` is not closed"),
        (
            "--restart=always",
            "`--restart` has no use here: a session ends with its agent",
        ),
        ("--colour red", "`--colour` is no option that aicage knows"),
        ("-p 8O:80", "`8O` is no port"),
        ("--user 1000", "the agent runs as you"),
        ("-d", "`-d` is aicage's own"),
        ("--log-driver none", "the engine keeps the last 20 MB"),
        ("--privileged", "it gives the agent all of this machine"),
    ] {
        home.store(&format!(
            "agents:\n  one:\n    base: small\n    docker_args: \"{text}\"\n"
        ));
        let said = home.run(&["--offline", "one"], 2);
        says(
            &said,
            &[
                "`docker_args` of `one` cannot be used",
                &file,
                why,
                "--no-stored-options",
            ],
        );
        home.run(&["--offline", "--no-stored-options", "one"], NEEDS_NETWORK);
        home.run(&["--offline", "two"], NEEDS_NETWORK);
    }
    home.store("agents: {}\n");
    let global = home.path("aicage/config/global.yml");
    fs_err::create_dir_all(global.parent().unwrap()).unwrap();
    fs_err::write(
        global,
        "agents:\n  two:\n    docker_args: --read-only=maybe\n",
    )
    .unwrap();
    let said = home.run(&["--offline", "two"], 2);
    says(
        &said,
        &[
            "`docker_args` of `two` cannot be used",
            "global.yml",
            "maybe",
        ],
    );
}

#[test]
fn options_that_cannot_be_used_are_refused_before_anything_is_made() {
    let home = Home::new();
    let below = home.path("aicage/new").display().to_string();
    for (options, status, whys) in [
        (
            &["-p", "8O:80"][..],
            2,
            &["--publish", "`8O` is no port"][..],
        ),
        (&["--user", "0"], 2, &["the agent runs as you"]),
        (&["--privileged"], 2, &["--privileged=all-of-this-machine"]),
        (
            &["--docker-args", "-e 'A"],
            2,
            &["--docker-args", "the quote before `A` is not closed"],
        ),
        (
            &["--docker-args", "--restart=always"],
            2,
            &["--docker-args", "`--restart` has no use here"],
        ),
        (
            &["--env-file", "none.env"],
            2,
            &["none.env", "cannot be used"],
        ),
        (&["-v", "~:/x"], 3, &["all of your home directory"]),
        (&["-v", "/:/x"], 3, &["all of your home directory"]),
        (&["-v", "~/nope/..:/x"], 3, &["all of your home directory"]),
        (
            &["--share", "~/nope/.."],
            3,
            &["all of your home directory"],
        ),
        (
            &["--mount", "type=bind,src=~/..,dst=/x"],
            3,
            &["all of your home directory"],
        ),
        (
            &["-v", &format!("{below}:/x")],
            3,
            &["where aicage keeps its own files"],
        ),
        (
            &["--docker-args", "-v ~:/x"],
            3,
            &["all of your home directory"],
        ),
        (
            &["--mount", "type=bind,src=./gone,dst=/x"],
            2,
            &["there is nothing"],
        ),
        (&["--security-opt", "seccomp=gone.json"], 2, &["gone.json"]),
    ] {
        let line = [&["--offline"], options, &["one"]].concat();
        says(&home.run(&line, status), whys);
        let older = [&["--offline"], options, &["--", "one"]].concat();
        says(&home.run(&older, status), whys);
    }
    let said = home.run(&["--restart=always", "--", "one"], 2);
    says(&said, &["`--restart=always` before `--` has no use here"]);
    let said = home.run(&["--restart=always", "one"], 2);
    says(&said, &["`--restart", "has no use here: a session ends"]);
    assert!(!home.path("aicage/store").exists(), "something was made");
}

#[test]
fn options_of_a_start_before_a_verb_that_starts_nothing_are_refused() {
    let home = Home::new();
    for (line, whys) in [
        (
            &["--dry-run", "stop", "--all"][..],
            &["`--dry-run` is for starting an agent", "`stop` starts none"][..],
        ),
        (
            &["--base", "small", "build", "one"],
            &["`--base` before `build`", "write it after `build`"],
        ),
        (
            &["-p", "80:80", "config", "show"],
            &["`--publish`", "`config`"],
        ),
        (&["--git", "on", "ps"], &["`--git`", "`ps`"]),
    ] {
        says(&home.run(line, 2), whys);
    }
    home.run(&["--offline", "agent", "list"], 0);
    home.run(&["--offline", "-p", "80:80", "run", "one"], NEEDS_NETWORK);
}

#[test]
fn a_volume_that_is_really_a_path_gives_away_no_more_than_the_path() {
    let home = Home::new();
    let whole = home.path("").display().to_string();
    let mount = format!(
        "type=volume,dst=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={whole}"
    );
    let said = home.run(&["--offline", "--mount", &mount, "one"], 3);
    says(&said, &["all of your home directory"]);
}

#[test]
fn an_agents_state_gives_away_neither_what_is_elsewhere_nor_our_own_files() {
    let home = Home::new();
    fs_err::os::unix::fs::symlink(home.path("aicage/state"), home.path("link")).unwrap();
    fs_err::create_dir_all(home.path("aicage/state")).unwrap();
    for (path, why) in [
        ("~/aicage", "where aicage keeps its own files"),
        ("~/aicage/custom/new", "where aicage keeps its own files"),
        ("~/link/x", "where aicage keeps its own files"),
        ("/etc", "which is not in your home directory"),
        ("/proc/x", "which is not in your home directory"),
        ("/home-of-nobody", "which is not in your home directory"),
    ] {
        let text = format!(
            "agent_full_name: Agent\nagent_homepage: https://a.example\n\
             agent_path:\n  directories: ['{path}']\n"
        );
        home.write("agents/one/agent.yml", &text);
        // Before anything is fetched or built.
        let said = home.run(&["--offline", "--base", "small", "one"], 3);
        let parts = [
            why,
            "the state of agent `one` is",
            "correct `agent_path` in",
        ];
        says(&said, &parts);
    }
    assert!(!home.path("aicage/custom/new").exists(), "it was made");
}

#[test]
fn files_that_never_end_or_never_begin_are_refused_at_once() {
    let home = Home::new();
    let pipe = home.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let pipe = pipe.to_str().unwrap();
    for (place, why) in [
        (pipe, "it is a named pipe"),
        ("/dev/zero", "it is larger than 16 MiB"),
        ("/", "it is a directory"),
    ] {
        let said = home.run(&["matrix", "--state", place], 1);
        says(&said, &[why]);
    }
    let record = ["matrix", "record", "--state", "x", "--from", "/dev/zero"];
    says(&home.run(&record, 2), &["it is larger than 16 MiB"]);
    let record = ["matrix", "record", "--state", "x", "--from", "no.json"];
    let parts = ["/no.json caused by", "aicage matrix --format json > FILE"];
    says(&home.run(&record, 2), &parts);
    let link = |to: &str, path: PathBuf| {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::os::unix::fs::symlink(to, path).unwrap();
    };
    link(pipe, home.project_file());
    let said = home.run(&["--offline", "one"], 1);
    says(&said, &["it is a named pipe"]);
    link("/dev/zero", home.path("aicage/config.yml"));
    let said = home.run(&["agent", "list"], 2);
    says(&said, &["at most 1048576 are read"]);
}

#[test]
fn a_state_of_another_shape_is_refused_in_words_of_its_own() {
    let home = Home::new();
    let state = home.path("state.json");
    for (text, why) in [
        ("[]", "an object with `schema` and `images`"),
        (
            "{\"schema\": 1, \"images\": {\"a-b\": 7}}",
            "an object about one image",
        ),
    ] {
        fs_err::write(&state, text).unwrap();
        let said = home.run(&["matrix", "--state", state.to_str().unwrap()], 1);
        says(&said, &["is not a state of `aicage matrix`", why]);
        assert!(!said.contains("struct"), "{said}");
    }
}

#[test]
fn what_cannot_be_built_is_refused_before_anything_is() {
    let home = Home::new();
    for extension in ["circle", "lacks", "apart"] {
        home.extension(extension);
    }
    let circle = home.path("aicage/custom/extension/circle");
    fs_err::os::unix::fs::symlink("b", circle.join("a")).unwrap();
    fs_err::os::unix::fs::symlink("a", circle.join("b")).unwrap();
    let dockerfile = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY nope /\n";
    home.write("extension/lacks/Dockerfile", dockerfile);
    let dockerfile =
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS below\nFROM scratch\nCOPY --from=below / /\n";
    home.write("extension/apart/Dockerfile", dockerfile);
    for (extension, parts) in [
        (
            "circle",
            ["a link that leads in a circle", "extension/circle"],
        ),
        ("lacks", ["extension/lacks/Dockerfile line 3", "nope"]),
        (
            "apart",
            ["extension/apart/Dockerfile line 3", "`FROM ${BASE_IMAGE}`"],
        ),
    ] {
        let chosen = ["--base", "small", "--extension", extension, "one"];
        for command in [&["plan"][..], &["--offline"]] {
            says(&home.run(&[command, &chosen].concat(), 2), &parts);
        }
    }
}

#[test]
fn what_is_named_wrongly_is_told_with_the_way_round() {
    let home = Home::new();
    let twice = ["--extension", "jq", "--extension", "jq", "one"];
    says(&home.run(&twice, 2), &["asked for twice", "name it once"]);
    let taken = ["agent", "new", "config"];
    says(
        &home.run(&taken, 2),
        &["is a command of aicage", "choose another name"],
    );
}
