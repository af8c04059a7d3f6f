//! What is refused, kept and told where a value, a file or a path is not as it should be.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, process::Output};

use super::{Home, editor};

fn stderr(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_edit_that_cannot_be_put_in_place_is_kept_and_named() {
    let home = Home::new();
    let work = editor(&home, "echo 'default_base: arch' > \"$1\"");
    // A directory is where the new file has to be written.
    home.write("etc/.config.yml.new/x", "");
    let variables = [("EDITOR", work.as_str())];
    let output = home.run(&variables, &["config", "edit", "--scope", "system"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let kept = said.split("kept in ").nth(1).expect(&said);
    let kept = std::path::Path::new(kept.split(' ').next().unwrap());
    let text = fs_err::read_to_string(kept).unwrap();
    assert_eq!(text, "default_base: arch\n");
    fs_err::remove_dir_all(kept.parent().unwrap()).unwrap();
    // An editor that fails after it saved loses nothing either; one that did nothing leaves nothing.
    let dies = editor(&home, "echo 'default_base: arch' > \"$1\"; exit 3");
    let said = stderr(&home.run(&[("EDITOR", &dies)], &["config", "edit"]));
    let kept = said.split("kept in ").nth(1).expect(&said);
    let kept = std::path::Path::new(kept.split(' ').next().unwrap());
    fs_err::remove_dir_all(kept.parent().unwrap()).unwrap();
    let said = stderr(&home.run(&[("EDITOR", "false")], &["config", "edit"]));
    assert!(!said.contains("kept in"), "{said}");
}

#[test]
fn a_path_is_meant_from_who_says_it_and_not_from_where_the_program_starts() {
    let home = Home::new();
    home.write("work/project/ca.pem", "a certificate of anybody");
    home.write(
        "etc/config.yml",
        "network: {ca: [ca.pem, ~/own.pem, /etc/x.pem]}\n",
    );
    let is = |variables: &[(&str, &str)], before: &[&str], expected: &[String]| {
        let output = home.run(
            variables,
            &[before, &["config", "get", "network.ca"]].concat(),
        );
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    };
    let path = |path: &str| home.path(path).display().to_string();
    let there = [path("etc/ca.pem"), "~/own.pem".into(), "/etc/x.pem".into()];
    is(&[], &[], &there);
    let here = [path("work/project/ca.pem")];
    is(&[("AICAGE_NETWORK_CA", &here[0])], &[], &here);
    // A variable goes along into directories that are anybody's.
    for (name, value) in [
        ("AICAGE_NETWORK_CA", "./ca.pem"),
        ("AICAGE_DEFINITIONS", "ours"),
        ("AICAGE_DEFINITIONS", "oci:../ours"),
    ] {
        let said = home.refused(&[(name, value)], &["agent", "list"]);
        assert!(
            said.contains(name) && said.contains("write the whole path"),
            "{value}: {said}"
        );
    }
    is(&[], &["--set", "network.ca=ca.pem"], &here);
    home.ok(&["config", "set", "network.ca", "ca.pem"]);
    is(&[], &[], &here);
    let stored = fs_err::read_to_string(home.path(".aicage/config.yml")).unwrap();
    assert!(stored.contains(&here[0]), "it is stored whole: {stored}");
    home.ok(&["config", "unset", "network.ca"]);
}

#[test]
fn a_name_in_a_registry_is_not_looked_for_in_the_current_directory() {
    let home = Home::new();
    home.write("work/project/127.0.0.1:1/x/agents/mine/agent.yml", "");
    home.write("work/project/127.0.0.1:1/x/index.json", "{}");
    home.write("etc/config.yml", "definitions: oci:127.0.0.1:1/x\n");
    let output = home.run(&[], &["agent", "list"]);
    let said = stderr(&output);
    assert!(
        !said.contains("index.json") && !said.contains("oci-layout"),
        "{said}"
    );
    for (text, expected) in [
        ("oci:127.0.0.1:1/x", "oci:127.0.0.1:1/x".to_owned()),
        (
            "oci:./a:1",
            format!("oci:{}:1", home.path("etc/a").display()),
        ),
        ("oci:~/a", "oci:~/a".to_owned()),
        ("a", home.path("etc/a").display().to_string()),
    ] {
        home.write("etc/config.yml", &format!("definitions: {text}\n"));
        assert_eq!(
            home.ok(&["config", "get", "definitions"]),
            format!("{expected}\n")
        );
    }
}

#[test]
fn what_the_next_start_could_not_use_is_refused_when_it_is_set() {
    let home = Home::new();
    for (arguments, words) in [
        (
            &["agents.codex.mounts", "ssh=True", "docker=maybe"][..],
            "`docker`: it is `true` or `false`",
        ),
        (
            &["agents.codex.mounts", "sssh=true"],
            "there is no kind of access `sssh`",
        ),
        (
            &["agents.codex.mounts", "gpg=true"],
            "there is no kind of access `gpg`",
        ),
        (
            &["agents.codex.extension_mounts", "nobody=true"],
            "there is no extension `nobody`",
        ),
        (
            &["agents.codex.docker_args", "--bogus"],
            "`--bogus` is no option that aicage knows",
        ),
        (&["agents.codex.docker_args", "-e 'A"], "is not closed"),
        (&["agents.codex.shares", "~"], "home"),
        (&["session.pids_limit", "-5"], "is not from 0 to"),
        (
            &["update.deadline", "213503982334601d"],
            "is longer than a hundred years",
        ),
    ] {
        let output = home.run(&[], &[&["config", "set"], arguments].concat());
        let said = stderr(&output);
        assert!(matches!(output.status.code(), Some(2 | 3)), "{said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    home.ok(&[
        "config",
        "set",
        "agents.codex.mounts",
        "ssh=True",
        "docker=OFF",
    ]);
    assert_eq!(
        home.ok(&["config", "get", "agents.codex.mounts"]),
        "docker=false\nssh=true\n"
    );
    let said = home.refused(&[], &["config", "unset", "agents.codex.nothing"]);
    assert!(
        said.contains("cannot change `agents.codex.nothing`"),
        "{said}"
    );
}

#[test]
fn what_is_taken_away_is_inherited_again() {
    let home = Home::new();
    home.ok(&[
        "config",
        "set",
        "--scope",
        "user",
        "agents.codex.base",
        "alpine",
    ]);
    let file = home.ok(&["config", "path", "--scope", "project"]);
    let file = file.trim();
    fs_err::create_dir_all(home.path(".aicage/projects")).unwrap();
    for field in ["extensions", "base"] {
        fs_err::write(
            file,
            "agents:\n  codex:\n    base: debian\n    extensions: [jq]\n    image_ref: a:b\n    inherit_extensions: false\n",
        )
        .unwrap();
        home.ok(&["config", "unset", &format!("agents.codex.{field}")]);
        let text = fs_err::read_to_string(file).unwrap();
        assert!(!text.contains("inherit_extensions"), "{field}: {text}");
        assert!(!text.contains("image_ref"), "{field}: {text}");
    }
    assert_eq!(home.ok(&["config", "get", "agents.codex.base"]), "alpine\n");
    assert_eq!(
        home.ok(&["config", "get", "agents.codex"]),
        "base=alpine\nextensions=jq\n"
    );
}

#[test]
fn another_base_leaves_out_the_extensions_that_were_left_out() {
    let home = Home::new();
    home.write(
        ".aicage/config/global.yml",
        "agents: {codex: {extensions: [act, jq]}}\n",
    );
    let file = home.ok(&["config", "path", "--scope", "project"]);
    fs_err::create_dir_all(home.path(".aicage/projects")).unwrap();
    fs_err::write(
        file.trim(),
        "agents:\n  codex:\n    base: debian\n    extensions: [jq]\n    image_ref: a:b\n    inherit_extensions: false\n",
    )
    .unwrap();
    home.ok(&["config", "set", "agents.codex.base", "alpine"]);
    assert_eq!(
        home.ok(&["config", "get", "agents.codex"]),
        "base=alpine\nextensions=jq\n"
    );
}

#[test]
fn a_damaged_file_keeps_nobody_from_looking_after_sessions_and_the_store() {
    let home = Home::new();
    let file = home.ok(&["config", "path", "--scope", "project"]);
    fs_err::create_dir_all(home.path(".aicage/projects")).unwrap();
    let nowhere = [("DOCKER_HOST", "unix:///nowhere/engine.sock")];
    for (text, words) in [
        ("agents: {codex: {base\n", "cannot be read"),
        ("version: 2\nagents: {}\n", "is of version 2"),
    ] {
        fs_err::write(file.trim(), text).unwrap();
        let told = |arguments: &[&str], code: i32| {
            let output = home.run(&nowhere, arguments);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
            assert!(
                said.contains(words) && said.contains("counts as absent"),
                "{arguments:?}: {said}"
            );
        };
        told(&["cache", "du"], 0);
        for session in ["ps", "stop", "attach", "logs"] {
            // It got as far as the engine, which is not there.
            told(&[session], 125);
        }
        let said = home.refused(&nowhere, &["shell", "--new", "codex"]);
        assert!(said.contains(words), "{said}");
    }
    let said = home.refused(&[], &["--set", "update.polcy=never", "cache", "du"]);
    assert!(said.contains("`--set update.polcy=…`"), "{said}");
}

#[test]
fn a_damaged_file_of_a_project_is_told_and_the_rest_is_shown() {
    let home = Home::new();
    home.ok(&[
        "config",
        "set",
        "--scope",
        "tree=~/work",
        "update.deadline",
        "7s",
    ]);
    let file = home.ok(&["config", "path", "--scope", "project"]);
    fs_err::create_dir_all(home.path(".aicage/projects")).unwrap();
    fs_err::write(file.trim(), "agents: {codex: {base\n").unwrap();
    let output = home.run(&[], &["config", "show"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("counts as absent"), "{said}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("deadline: 7s"), "{shown}");
    let said = home.refused(&[], &["agent", "list"]);
    assert!(
        said.contains("the choices of a project cannot be read"),
        "{said}"
    );
    // An agent whose entry is no entry.
    fs_err::write(file.trim(), "agents: {codex: 1, claude: {base: debian}}\n").unwrap();
    let output = home.run(&[], &["config", "show"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("`agents.codex` is not what it should be"),
        "{said}"
    );
}

#[test]
fn a_project_whose_path_is_not_text_is_shown_and_agreed_to_like_others() {
    let home = Home::new();
    let project = home.path("work").join(OsStr::from_bytes(b"caf\xe9"));
    fs_err::create_dir(&project).unwrap();
    fs_err::write(
        project.join("aicage.yml"),
        "base: debian\noptions: [--network=host]\nsettings: {update: {policy: never}}\n",
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let output = home
            .command(&[], arguments)
            .current_dir(&project)
            .output()
            .unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["--json", "config", "show"]).contains("caf\u{fffd}"));
    let is_agreed = || {
        let shown = run(&["--json", "trust", "--show"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["agreed"] == true
    };
    assert!(!is_agreed());
    run(&["trust"]);
    assert!(
        is_agreed(),
        "the agreement is found by the path it is kept with"
    );
    assert!(run(&["trust", "list"]).contains("is not UTF-8"));
    run(&["--json", "trust", "list"]);
    run(&["trust", "revoke"]);
    assert!(!is_agreed());
}
