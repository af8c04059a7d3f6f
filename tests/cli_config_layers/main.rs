//! Where settings come from, from outside: each place beats the weaker ones, and `config` says which.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

mod stored;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for directory in [".aicage", "work/project", "etc"] {
            fs_err::create_dir_all(home.path(directory)).unwrap();
        }
        home
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn command(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aicage"));
        command
            .args(arguments)
            .current_dir(self.path("work/project"))
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/bin:/bin")
            .env("AICAGE_SYSTEM_CONFIG", self.path("etc/config.yml"))
            .envs(variables.iter().copied());
        command
    }

    fn run(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        self.command(variables, arguments).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(&[], arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The words of a failure, on one line.
    #[track_caller]
    fn refused(&self, variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = self.run(variables, arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn policy(&self, variables: &[(&str, &str)], before: &[&str]) -> (String, Value) {
        let arguments = [before, &["--json", "config", "get", "update.deadline"]].concat();
        let output = self.run(variables, &arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = value["value"].as_str().unwrap().to_owned();
        (text, value["origins"][0].clone())
    }
}

#[test]
fn each_place_counts_over_all_that_are_weaker() {
    let home = Home::new();
    assert_eq!(home.policy(&[], &[]).0, "2s");
    assert_eq!(home.policy(&[], &[]).1["from"], "default");
    let steps: [(&[&str], &str); 5] = [
        (&["--scope", "system"], "system"),
        (&[], "user"),
        (&["--scope", "tree=~/work"], "tree"),
        (&["--scope", "tree"], "tree"),
        (&["--scope", "project"], "project"),
    ];
    for (at, (scope, from)) in steps.into_iter().enumerate() {
        let value = format!("{}s", at + 10);
        let set = [&["config", "set"], scope, &["update.deadline", &value]].concat();
        home.ok(&set);
        let (now, origin) = home.policy(&[], &[]);
        assert_eq!(
            (now, &origin["from"]),
            (value, &Value::from(from)),
            "{scope:?}"
        );
        let file = origin["file"].as_str().unwrap();
        let line = usize::try_from(origin["line"].as_u64().unwrap()).unwrap();
        let text = fs_err::read_to_string(file).unwrap();
        let said = text.lines().nth(line - 1).unwrap();
        assert!(said.contains("deadline"), "{file}:{line} is {said:?}");
    }
    let variables = [("AICAGE_UPDATE_DEADLINE", "20s")];
    let (value, origin) = home.policy(&variables, &[]);
    assert_eq!(value, "20s");
    assert_eq!(origin["variable"], "AICAGE_UPDATE_DEADLINE");
    let (value, origin) = home.policy(&variables, &["--set", "update.deadline=21s"]);
    assert_eq!(
        (value.as_str(), &origin["from"]),
        ("21s", &Value::from("flag"))
    );
    // An empty variable sets nothing, and what is taken away lets the next one count.
    assert_eq!(home.policy(&[("AICAGE_UPDATE_DEADLINE", "")], &[]).0, "14s");
    for (scope, next) in [
        ("project", "13s"),
        ("tree", "12s"),
        ("tree=~/work", "11s"),
        ("user", "10s"),
        ("system", "2s"),
    ] {
        home.ok(&["config", "unset", "--scope", scope, "update.deadline"]);
        assert_eq!(home.policy(&[], &[]).0, next, "without {scope}");
    }
}

#[test]
fn variables_hold_lists_and_maps_and_say_what_is_wrong() {
    let home = Home::new();
    for (name, value, key, expected) in [
        (
            "AICAGE_NETWORK_CA",
            "/a.pem,/b.pem",
            "network.ca",
            "/a.pem\n/b.pem\n",
        ),
        (
            "AICAGE_NETWORK_CA",
            "['/a,b.pem']",
            "network.ca",
            "/a,b.pem\n",
        ),
        (
            "AICAGE_REGISTRY_MIRRORS",
            "a.example=http://b,a.example=http://c",
            "registry.mirrors",
            "a.example=http://b\na.example=http://c\n",
        ),
        (
            "AICAGE_UPDATE_VERSION_ON_HOST",
            "no",
            "update.version_on_host",
            "false\n",
        ),
        ("AICAGE_DEFAULT_BASE", "fedora", "default_base", "fedora\n"),
    ] {
        let output = home.run(&[(name, value)], &["config", "get", key]);
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            expected,
            "{name}={value}"
        );
    }
    for (name, value, words) in [
        (
            "AICAGE_UPDATE_POLICY",
            "nevr",
            "the variable `AICAGE_UPDATE_POLICY` is not right",
        ),
        (
            "AICAGE_UPDATE_DEADLINE",
            "soon",
            "`soon` is not a time span",
        ),
        (
            "AICAGE_UPDATE_VERSION_ON_HOST",
            "maybe",
            "it is `true` or `false`",
        ),
        ("AICAGE_REGISTRY_MIRRORS", "x", "`x` is not KEY=VALUE"),
    ] {
        let said = home.refused(&[(name, value)], &["agent", "list"]);
        assert!(said.contains(words) && said.contains(name), "{said}");
    }
    let output = home.run(&[("AICAGE_UPDATE_POLCY", "never")], &["agent", "list"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("did you mean `AICAGE_UPDATE_POLICY`?"),
        "{said}"
    );
    assert!(output.status.success());
}

#[test]
fn a_mistake_in_any_file_is_named_with_its_line_and_config_still_works() {
    for (file, text, line, words) in [
        (
            "etc/config.yml",
            "# all\nupdate:\n  polcy: never\n",
            3,
            "did you mean `policy`?",
        ),
        (
            ".aicage/config.yml",
            "default_bas: x\n",
            1,
            "did you mean `default_base`?",
        ),
    ] {
        let home = Home::new();
        home.write(file, text);
        let said = home.refused(&[], &["agent", "list"]);
        let place = format!("{file}:{line}:");
        assert!(said.contains(words) && said.contains(&place), "{said}");
        let output = home.run(&[], &["config", "get", "default_base"]);
        assert_eq!(output.stdout, b"ubuntu\n");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("counts as absent"), "{said}");
    }
    let home = Home::new();
    let file = home.ok(&["config", "path", "--scope", "project"]);
    fs_err::create_dir_all(home.path(".aicage/projects")).unwrap();
    fs_err::write(
        file.trim(),
        "agents:\n  codex:\n    base: debian\nsettings:\n  update:\n    deadline: soon\n",
    )
    .unwrap();
    let said = home.refused(&[], &["agent", "list"]);
    assert!(said.contains(":6: `update.deadline`: `soon`"), "{said}");
}

#[test]
fn what_is_stored_for_agents_is_set_and_shown_in_every_place() {
    let home = Home::new();
    home.write(
        ".aicage/custom/extension/act/extension.yml",
        "name: act\ndescription: x\n",
    );
    home.write(".aicage/custom/extension/act/scripts/1.sh", "true\n");
    home.ok(&[
        "config",
        "set",
        "--scope",
        "user",
        "agents.codex.base",
        "alpine",
    ]);
    home.ok(&[
        "config",
        "set",
        "--scope",
        "tree=~/work",
        "agents.codex.base",
        "fedora",
    ]);
    home.ok(&[
        "config",
        "set",
        "--scope",
        "tree=~/work",
        "agents.codex.extensions",
        "act",
    ]);
    home.ok(&[
        "config",
        "set",
        "agents.codex.mounts",
        "ssh=false",
        "gitconfig=true",
    ]);
    let plan: Value = serde_json::from_str(&home.ok(&["--json", "config", "show"])).unwrap();
    assert_eq!(plan["agents"]["codex"]["base"], "fedora");
    assert_eq!(
        plan["agents"]["codex"]["extensions"],
        serde_json::json!(["act"])
    );
    assert_eq!(
        plan["agents"]["codex"]["mounts"],
        serde_json::json!({"gitconfig": true, "ssh": false})
    );
    assert_eq!(plan["origins"]["agents.codex.base"][0]["from"], "tree");
    let table = home.ok(&["config", "show", "--origin"]);
    let row = |key: &str| {
        let row = table.lines().find(|line| line.starts_with(key)).unwrap();
        row.to_owned()
    };
    assert!(
        row("agents.codex.base").contains(&format!("tree {}, ", home.path("work").display())),
        "{table}"
    );
    assert!(row("update.policy").ends_with("default"), "{table}");
    home.ok(&["config", "unset", "--scope", "tree=~/work", "agents.codex"]);
    assert_eq!(home.ok(&["config", "get", "agents.codex.base"]), "alpine\n");
}

#[test]
fn what_cannot_be_set_is_refused_with_the_reason() {
    let home = Home::new();
    for (arguments, words) in [
        (
            &["agents.codx.base", "debian"] as &[&str],
            "did you mean `codex`?",
        ),
        (&["agents.codex.base", "debain"], "debain"),
        (&["agents.codex.bas", "debian"], "there is no such key"),
        (
            &["--scope", "system", "agents.codex.base", "debian"],
            "not the system's",
        ),
        (&["update.polcy", "ask"], "did you mean `update.policy`?"),
        (
            &["update.policy", "sometimes"],
            "expected one of `ask`, `auto`, `never`",
        ),
        (&["update.deadline", "soon"], "is not a time span"),
    ] {
        let said = home.refused(&[], &[&["config", "set"], arguments].concat());
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn settings_in_a_projects_file_leave_what_is_stored_there_alone() {
    let home = Home::new();
    home.ok(&["config", "set", "agents.codex.base", "debian"]);
    home.ok(&[
        "config",
        "set",
        "--scope",
        "project",
        "update.policy",
        "never",
    ]);
    let file = home.ok(&["config", "path", "--scope", "project"]);
    let text = fs_err::read_to_string(file.trim()).unwrap();
    assert_eq!(
        text,
        format!(
            "agents:\n  codex:\n    base: debian\npath: {}\nsettings:\n  update:\n    policy: never\n",
            home.path("work/project").display()
        )
    );
    home.ok(&["config", "unset", "--scope", "project", "update.policy"]);
    let text = fs_err::read_to_string(file.trim()).unwrap();
    assert!(!text.contains("settings"), "{text}");
}

#[test]
fn who_sets_what_does_not_count_here_is_told() {
    let home = Home::new();
    home.ok(&[
        "config",
        "set",
        "--scope",
        "project",
        "update.policy",
        "never",
    ]);
    let output = home.run(&[], &["config", "set", "update.policy", "auto"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("another value of `update.policy` counts: project, "),
        "{said}"
    );
}

fn editor(home: &Home, script: &str) -> String {
    home.write("editor", &format!("#!/bin/sh\n{script}\n"));
    let path = home.path("editor");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(&path, mode).unwrap();
    path.display().to_string()
}

#[test]
fn an_edited_file_counts_only_if_it_is_right() {
    let home = Home::new();
    home.write(".aicage/config.yml", "# mine\ndefault_base: alpine\n");
    let good = editor(&home, "sed -i s/alpine/fedora/ \"$1\"");
    let output = home.run(&[("EDITOR", &good)], &["config", "edit"]);
    assert!(output.status.success());
    let text = || fs_err::read_to_string(home.path(".aicage/config.yml")).unwrap();
    assert_eq!(text(), "# mine\ndefault_base: fedora\n");
    let bad = editor(&home, "echo 'updat: {}' >> \"$1\"");
    let said = home.refused(
        &[("VISUAL", &bad), ("EDITOR", "false")],
        &["config", "edit"],
    );
    assert!(said.contains("config.yml:3: unknown key `updat`"), "{said}");
    assert_eq!(text(), "# mine\ndefault_base: fedora\n");
    let kept = said
        .split("kept in ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!(fs_err::read_to_string(kept).unwrap().contains("updat: {}"));
    fs_err::remove_dir_all(std::path::Path::new(kept).parent().unwrap()).unwrap();
    let output = home.run(&[("EDITOR", "false")], &["config", "edit"]);
    assert_eq!(output.status.code(), Some(1));
    // What somebody else writes meanwhile is not lost.
    let other = home.path(".aicage/config.yml");
    let racing = editor(
        &home,
        &format!(
            "echo 'default_base: arch' > \"$1\"; echo '# theirs' >> {}",
            other.display()
        ),
    );
    let output = home.run(&[("EDITOR", &racing)], &["config", "edit"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text().ends_with("# theirs\n"), "{}", text());
}
