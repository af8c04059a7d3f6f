//! Flags, and what is stored.

use crate::home::{Home, NEEDS_NETWORK, stored};

#[test]
fn without_a_terminal_nothing_is_asked_and_nothing_is_stored() {
    let home = Home::new();
    // The default base; which one it is depends on the machine.
    home.run(&["--offline", "one"], NEEDS_NETWORK);
    assert_eq!(home.stored(), "");
    let said = home.run(&["--choose", "one"], 2);
    assert!(said.contains("there is no terminal to ask on"), "{said}");
}

#[test]
fn flags_of_a_run_are_the_projects_choice_from_then_on_and_those_of_a_build_are_not() {
    let home = Home::new();
    home.run(
        &["build", "--offline", "one", "--base", "small"],
        NEEDS_NETWORK,
    );
    assert_eq!(home.stored(), "");
    home.run(
        &[
            "--offline",
            "--base",
            "small",
            "--extension",
            "jq",
            "--extension",
            "act",
            "one",
        ],
        NEEDS_NETWORK,
    );
    let image = "aicage-extended:one-small-extensions-jq-act";
    assert_eq!(home.stored(), stored("one", "small", &["jq", "act"], image));
    let definition =
        home.path("aicage/custom/image-extended/one-small-extensions-jq-act/image-extended.yml");
    assert_eq!(
        fs_err::read_to_string(definition).unwrap(),
        format!("agent: one\nbase: small\nextensions:\n  - jq\n  - act\nimage_ref: {image}\n")
    );
    // What is stored is used.
    let said = home.run(&["--offline", "one"], NEEDS_NETWORK);
    assert!(said.contains(image), "{said}");
    // A flag lies over what is stored, and the change is told.
    let said = home.run(&["--offline", "--base", "large", "one"], NEEDS_NETWORK);
    assert!(
        said.contains(
            "from now on `one` runs in large + jq + act in this project; it was small + jq + act"
        ),
        "{said}"
    );
    home.run(&["--offline", "--no-extensions", "one"], NEEDS_NETWORK);
    assert_eq!(
        home.stored(),
        stored("one", "large", &[], "aicage:one-large")
    );
    // An image that was put together is chosen by its name.
    home.run(
        &[
            "--offline",
            "--image-name",
            "one-small-extensions-jq-act",
            "one",
        ],
        NEEDS_NETWORK,
    );
    assert_eq!(home.stored(), stored("one", "small", &["jq", "act"], image));
    let said = home.run(&["--image-name", "none", "two"], 2);
    assert!(
        said.contains("no image `aicage-extended:none` was put together for `two`"),
        "{said}"
    );
}

#[test]
fn a_name_that_a_user_chose_is_kept_and_checked() {
    let home = Home::new();
    let run = ["--offline", "--base", "small", "--extension", "jq"];
    let named = |name: &'static str| [&run[..], &["--image-name", name, "one"]].concat();
    home.run(&named("tools"), NEEDS_NETWORK);
    let image = "aicage-extended:tools";
    assert_eq!(home.stored(), stored("one", "small", &["jq"], image));
    home.run(&named("mine/tools:1"), NEEDS_NETWORK);
    assert_eq!(
        home.stored(),
        stored("one", "small", &["jq"], "mine/tools:1")
    );
    assert!(
        home.path("aicage/custom/image-extended/mine_tools_1/image-extended.yml")
            .exists()
    );
    let digest = format!("x@sha256:{}", "0".repeat(64));
    let digest: &'static str = Box::leak(digest.into_boxed_str());
    for name in ["a b", "a:b:c", "../x", "aicage:codex-debian", "", digest] {
        let said = home.run(&named(name), 2);
        assert!(said.contains("cannot be the name of the image"), "{said}");
    }
}

#[test]
fn a_name_that_another_image_has_is_not_taken_from_it_silently() {
    let home = Home::new();
    let definition = |name: &str| {
        let path = format!("aicage/custom/image-extended/{name}/image-extended.yml");
        fs_err::read_to_string(home.path(&path)).unwrap_or_default()
    };
    let run = |agent: &'static str, flags: &[&'static str], code: i32| {
        let all = [&["--offline", "--base", "large"], flags, &[agent]].concat();
        home.run(&all, code)
    };
    let named = ["--image-name", "tools", "--extension", "jq"];
    run("one", &named, NEEDS_NETWORK);
    let before = definition("tools");
    let said = run("two", &named, 2);
    assert!(
        said.contains("another image has the name `aicage-extended:tools`")
            && said.contains("that is one on large with jq"),
        "{said}"
    );
    assert_eq!(definition("tools"), before, "it was overwritten");
    // One's own image may be put together anew under its name, and it is said.
    let said = run(
        "one",
        &[&named[..], &["--extension", "act"]].concat(),
        NEEDS_NETWORK,
    );
    assert!(
        said.contains(
            "from now on `aicage-extended:tools` is one on large with jq, act; it was one on large with jq"
        ),
        "{said}"
    );
    // Two selections with one usual name.
    home.extension("act-jq");
    run(
        "one",
        &["--extension", "act", "--extension", "jq"],
        NEEDS_NETWORK,
    );
    let said = run("one", &["--extension", "act-jq"], 2);
    assert!(
        said.contains("that is one on large with act, jq") && said.contains("`--image-name`"),
        "{said}"
    );
    // Three names with one usual directory.
    for name in ["m/x:y", "m_x:y", "m_x_y"] {
        run(
            "one",
            &["--extension", "jq", "--image-name", name],
            NEEDS_NETWORK,
        );
        run(
            "one",
            &["--extension", "jq", "--image-name", name],
            NEEDS_NETWORK,
        );
    }
    let all = fs_err::read_dir(home.path("aicage/custom/image-extended")).unwrap();
    let mut references: Vec<String> = all
        .map(|entry| {
            let file = entry.unwrap().path().join("image-extended.yml");
            let text = fs_err::read_to_string(file).unwrap();
            text.lines().last().unwrap().to_owned()
        })
        .collect();
    references.sort();
    assert_eq!(
        references,
        [
            "image_ref: aicage-extended:m_x_y",
            "image_ref: aicage-extended:one-large-extensions-act-jq",
            "image_ref: aicage-extended:tools",
            "image_ref: m/x:y",
            "image_ref: m_x:y",
        ]
    );
}

#[test]
fn a_bad_definition_of_an_extended_image_disables_only_itself() {
    let home = Home::new();
    let good = "agent: one\nbase: small\nextensions: [jq]\nimage_ref: aicage-extended:good\n";
    home.write("image-extended/good/image-extended.yaml", good);
    for (name, text, why) in [
        ("a", "agent: one\n", "missing field `base`"),
        (
            "b",
            "agent: one\nbase: x\nextensions: []\nimage_ref: x\n",
            "`extensions` is empty",
        ),
        (
            "c",
            "agent: one\nbase: x\nextensions: [a]\nimage_ref: a b\n",
            "cannot be the name of the image",
        ),
        (
            "d",
            "agent: one\nbase: x\nextensions: [a]\nimage_ref: y\nmore: 1\n",
            "unknown key `more`",
        ),
    ] {
        let directory = format!("image-extended/{name}");
        home.write(&format!("{directory}/image-extended.yml"), text);
        let said = home.run(&["--offline", "--image-name", "good", "one"], NEEDS_NETWORK);
        for part in ["is left out", &directory, why] {
            assert!(said.contains(part), "no `{part}` in: {said}");
        }
        fs_err::remove_dir_all(home.path("aicage/custom").join(directory)).unwrap();
    }
    let image = "aicage-extended:good";
    assert_eq!(home.stored(), stored("one", "small", &["jq"], image));
}

#[test]
fn a_file_of_the_python_program_is_used_and_its_image_keeps_its_name() {
    let home = Home::new();
    home.store(
        "agents:\n  one:\n    base: small\n    docker_args: -e FOO=bar\n    extensions:\n    - jq\n    \
         image_ref: aicage-extended:one-small-jq\n    mounts:\n      gitconfig: true\npath: /x\n",
    );
    let said = home.run(&["--offline", "one"], NEEDS_NETWORK);
    assert!(said.contains("aicage-extended:one-small-jq"), "{said}");
    let wrong = "agents:\n  one:\n    base: small\n    extensions: jq\n";
    home.store(wrong);
    let said = home.run(&["--offline", "one"], NEEDS_NETWORK);
    assert!(
        said.contains(":4: `agents.one.extensions` is not used: it is not a list"),
        "{said}"
    );
    assert_eq!(home.stored(), wrong, "reading changes nothing");
}

#[test]
fn what_is_stored_and_gone_is_an_error_that_names_the_file_and_the_way_out() {
    let home = Home::new();
    let text = stored("one", "small", &["gone", "jq"], "aicage-extended:x");
    home.store(&text);
    let said = home.run(&["--offline", "one"], 2);
    let file = home.project_file().display().to_string();
    for part in [
        "what is stored for `one` in this project cannot be used",
        "there is no extension `gone`",
        &file
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>(),
        "aicage --choose one",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert_eq!(home.stored(), text, "nothing was dropped");
    // The same when flags leave the extensions to the file.
    home.run(&["--offline", "--base", "large", "one"], 2);
    assert_eq!(home.stored(), text);
    home.store(&stored("two", "small", &[], "aicage:two-small"));
    let said = home.run(&["--offline", "two"], 2);
    assert!(said.contains("`two` says in `base_exclude`"), "{said}");
    home.store(&stored("one", "nowhere", &[], "aicage:one-nowhere"));
    let said = home.run(&["--offline", "one"], 2);
    assert!(said.contains("there is no base `nowhere`"), "{said}");
    // The same when flags leave the base to the file.
    let said = home.run(&["--offline", "--extension", "jq", "one"], 2);
    assert!(said.contains("what is stored for `one`"), "{said}");
    home.run(&["--offline", "--base", "small", "one"], NEEDS_NETWORK);
    assert_eq!(
        home.stored(),
        stored("one", "small", &[], "aicage:one-small")
    );
}

#[test]
fn a_damaged_file_is_not_written_over_and_says_how_to_go_on() {
    let home = Home::new();
    for (text, part) in [
        ("agents: {one: {base\n", "mv "),
        ("version: 7\nagents: {}\n", "is of version 7"),
    ] {
        home.store(text);
        for flags in [
            &["--offline", "one"][..],
            &["--offline", "--base", "small", "one"],
        ] {
            let said = home.run(flags, 2);
            assert!(said.contains(part), "no `{part}` in: {said}");
        }
        assert_eq!(fs_err::read_to_string(home.project_file()).unwrap(), text);
    }
}
