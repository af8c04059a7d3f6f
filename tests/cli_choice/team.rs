//! The team file `aicage.yml`: what it may say at once, what needs consent, and what is refused.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::{
    home::{Home, NEEDS_NETWORK},
    terminal::Terminal,
};

const RUN: [&str; 2] = ["--offline", "one"];
/// The exit code of what a policy forbids.
const REFUSED: i32 = 3;

fn home(team: &str) -> Home {
    let home = Home::new();
    say(&home, team);
    home
}

fn say(home: &Home, team: &str) {
    fs_err::write(home.path("project/aicage.yml"), team).unwrap();
}

#[track_caller]
fn json(home: &Home, arguments: &[&str]) -> Value {
    let output = home
        .aicage(&[&["--json"], arguments].concat())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is stored for agent `one`, and the setting that the tests use.
fn in_force(home: &Home) -> (Value, Value) {
    let mut shown = json(home, &["config", "show"]);
    (
        shown["agents"]["one"].take(),
        shown["registry"]["mirrors"].take(),
    )
}

#[test]
fn agent_base_extensions_and_what_tightens_count_without_a_question() {
    let home = home(
        "# for all of us\nagent: one\nbase: small\nextensions: [jq]\noptions: [--memory=4g, --read-only]\n\
         mounts: {ssh: false}\nsettings:\n  update: {policy: never, version_on_host: false}\n",
    );
    let said = home.run(&["--offline", "run"], NEEDS_NETWORK);
    assert!(said.contains("small"), "{said}");
    let shown = json(&home, &["config", "show"]);
    assert_eq!(
        shown["agents"]["one"],
        serde_json::json!({
            "base": "small", "extensions": ["jq"], "mounts": {"ssh": false},
            "docker_args": "--memory=4g --read-only",
        })
    );
    assert_eq!(shown["update"]["policy"], "never");
    assert_eq!(shown["update"]["version_on_host"], false);
    let origin = &shown["origins"]["agents.one.base"][0];
    assert_eq!(
        (&origin["from"], &origin["line"]),
        (&"team".into(), &3.into())
    );
    let origin = &shown["origins"]["update.policy"];
    assert_eq!(
        (&origin["from"], &origin["line"]),
        (&"team".into(), &8.into())
    );
    assert_eq!(home.stored(), "", "nothing of it is the project's own");
    let said = home.aicage(&["trust", "--show"]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.ends_with("asks for nothing that needs consent\n"),
        "{said}"
    );
}

#[test]
fn the_projects_own_choice_counts_over_the_teams_and_that_over_the_users() {
    let home = home("base: small\n");
    home.run(
        &[
            "config",
            "set",
            "--scope",
            "user",
            "agents.one.base",
            "large",
        ],
        0,
    );
    assert_eq!(in_force(&home).0["base"], "small");
    home.run(&["config", "set", "agents.one.base", "large"], 0);
    assert_eq!(in_force(&home).0["base"], "large");
    let own = "agents:\n  one:\n    base: large\n    image_ref: aicage:one-large\n";
    home.store(own);
    say(&home, "base: small\nextensions: [jq]\n");
    assert_eq!(in_force(&home).0["extensions"], Value::Null);
    // Of settings, too, and what is typed counts over all.
    say(&home, "settings: {update: {policy: never}}\n");
    home.run(&["config", "set", "update.policy", "auto"], 0);
    let policy = |more: &[&str]| {
        let arguments = [more, &["config", "get", "update.policy"]].concat();
        json(&home, &arguments)["value"].clone()
    };
    assert_eq!(policy(&[]), "never");
    home.run(
        &[
            "config",
            "set",
            "--scope",
            "project",
            "update.policy",
            "ask",
        ],
        0,
    );
    assert_eq!(policy(&[]), "ask");
    assert_eq!(policy(&["--set", "update.policy=auto"]), "auto");
}

#[test]
fn what_widens_is_refused_without_a_terminal_until_it_was_agreed_to() {
    let home = home(
        "agent: one\nbase: small\nshares: [../data:ro]\noptions: [--cap-add=SYS_PTRACE, -e TOKEN, --memory=1g]\n\
         mounts: {docker: true, ssh: false}\nsettings:\n  registry: {mirrors: {docker.io: [http://127.0.0.1:1]}}\n",
    );
    fs_err::create_dir(home.path("data")).unwrap();
    let said = home.run(&RUN, REFUSED);
    for part in [
        "asks for more than the agent gets without it, and there is nobody to ask",
        "data (which is ",
        "start the container with `--cap-add=SYS_PTRACE`",
        "start the container with `--env=TOKEN`",
        "give `docker`: the socket of the container engine",
        "set `registry.mirrors` to {\"docker.io\":[\"http://127.0.0.1:1\"]}",
        "`aicage trust` agrees, `--trust once` for one run",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("--memory"), "{said}");
    // Until then only what tightens counts, also for those who do not run.
    let (one, mirrors) = in_force(&home);
    assert_eq!(one["docker_args"], "--memory=1g");
    assert_eq!(one["mounts"], serde_json::json!({"ssh": false}));
    assert_eq!(
        (&one["shares"], &mirrors),
        (&Value::Null, &serde_json::json!({}))
    );
    let said = home.run(&["--offline", "plan", "one"], 0);
    assert!(said.contains("goes without it"), "{said}");
    home.run(&["--trust", "never", "--offline", "one"], NEEDS_NETWORK);
    home.run(&["--trust", "once", "--offline", "one"], NEEDS_NETWORK);
    home.run(&RUN, REFUSED);
    home.run(&["trust"], 0);
    home.run(&RUN, NEEDS_NETWORK);
    let (one, mirrors) = in_force(&home);
    assert_eq!(
        one["docker_args"],
        "--cap-add=SYS_PTRACE --env=TOKEN --memory=1g"
    );
    assert_eq!(
        one["mounts"],
        serde_json::json!({"docker": true, "ssh": false})
    );
    assert!(
        one["shares"][0].as_str().unwrap().ends_with("/../data:ro"),
        "{one}"
    );
    assert_eq!(mirrors["docker.io"][0], "http://127.0.0.1:1");
    home.run(&["trust", "revoke"], 0);
    home.run(&RUN, REFUSED);
    home.run(&["trust", "revoke"], 2);
}

#[test]
fn an_agreement_holds_for_this_content_and_these_places_only() {
    let home = home("options: [--network=host]\n");
    home.run(&["trust"], 0);
    home.run(&RUN, NEEDS_NETWORK);
    say(&home, "# a word\noptions:\n- --network=host\n");
    home.run(&RUN, NEEDS_NETWORK);
    say(&home, "options: [--network=host]\nbase: small\n");
    let said = home.run(&RUN, REFUSED);
    assert!(said.contains("--network=host"), "{said}");
    // A link in the repository that leads elsewhere later is something else.
    fs_err::create_dir(home.path("data")).unwrap();
    symlink("../data", home.path("project/cache")).unwrap();
    say(&home, "shares: [cache]\n");
    home.run(&["trust"], 0);
    home.run(&RUN, NEEDS_NETWORK);
    fs_err::create_dir(home.path("secrets")).unwrap();
    fs_err::remove_file(home.path("project/cache")).unwrap();
    symlink("../secrets", home.path("project/cache")).unwrap();
    let said = home.run(&RUN, REFUSED);
    assert!(said.contains("/secrets)"), "{said}");
    let list = json(&home, &["trust", "list"]);
    assert_eq!(list["agreements"][0]["state"], "the file changed");
    fs_err::remove_file(home.path("project/aicage.yml")).unwrap();
    let list = json(&home, &["trust", "list"]);
    assert_eq!(list["agreements"][0]["state"], "the file is gone");
}

#[test]
fn definitions_of_a_registry_may_be_asked_for() {
    let home = home("settings: {definitions: 'oci:registry.invalid/ours:1'}\n");
    let said = home.run(&RUN, REFUSED);
    assert!(
        said.contains("set `definitions` to oci:registry.invalid/ours:1"),
        "{said}"
    );
}

#[test]
fn on_a_terminal_it_is_asked_once_and_then_only_what_changed() {
    if !Home::has_tmux() {
        return;
    }
    let home = home("base: small\noptions: [--network=host, --device=/dev/fuse]\n");
    let terminal = Terminal::new(&home, &RUN.join(" "));
    let screen = terminal.shows("Agree to this, until the file changes? (y/N)");
    assert!(
        screen.contains("start the container with `--device=/dev/fuse`"),
        "{screen}"
    );
    terminal.keys(&["Enter"]);
    let screen = terminal.shows("code 3");
    assert!(screen.contains("not agree to it"), "{screen}");
    drop(terminal);
    let terminal = Terminal::new(&home, &RUN.join(" "));
    terminal.shows("(y/N)");
    terminal.keys(&["y", "Enter"]);
    terminal.shows(&format!("code {NEEDS_NETWORK}"));
    terminal.shows("terminal as before");
    drop(terminal);
    let terminal = Terminal::new(&home, &RUN.join(" "));
    let screen = terminal.shows(&format!("code {NEEDS_NETWORK}"));
    assert!(!screen.contains("Agree"), "{screen}");
    drop(terminal);
    say(
        &home,
        "base: small\noptions: [--network=host, --cap-add=ALL]\n",
    );
    let terminal = Terminal::new(&home, &RUN.join(" "));
    let screen = terminal.shows("(y/N)");
    for part in [
        "changed since you agreed",
        "+ start the container with `--cap-add=ALL`",
        "- start the container with `--device=/dev/fuse`",
        "    start the container with `--network=host`",
    ] {
        assert!(screen.contains(part), "no {part:?} in {screen}");
    }
}

#[test]
fn a_file_that_is_not_right_is_refused_and_keeps_nobody_from_other_work() {
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                  c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                  extensions: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    let large = format!("# {}\n", "x".repeat(70_000));
    for (text, words) in [
        (
            "agent: one\nbas: small\n",
            "aicage.yml:2: unknown key `bas`; did you mean `base`?",
        ),
        ("extensions: jq\n", "aicage.yml:1: a list is expected"),
        (
            "base: small\nbase: large\n",
            "aicage.yml:2: the key `base` is there twice",
        ),
        (
            "options: [--memory 1g, -it]\n",
            "aicage.yml:1: `-it` is not one option",
        ),
        (
            "base: small\noptions: ['-v /:/host']\n",
            "aicage.yml:2: `-v /:/host` mounts or reads what is on this machine",
        ),
        (
            "options: ['--mount type=volume,type=bind,source=/etc,target=/x']\n",
            "source=/etc,target=/x` mounts or reads what is on this machine",
        ),
        (
            "settings: {update: {deadline: soon}}\n",
            "`soon` is not a time span",
        ),
        (
            "base: small\nsettings:\n  network:\n    ca: [corp.pem]\n",
            "aicage.yml:4: `network.ca` names files",
        ),
        (
            "settings: {definitions: /srv/ours}\n",
            "aicage.yml:1: `definitions` names files",
        ),
        (
            "settings: {definitions: 'oci:./ours'}\n",
            "aicage.yml:1: `definitions` names files",
        ),
        (
            "options: ['--security-opt seccomp=profile.json']\n",
            "seccomp=profile.json` mounts or reads what is on this machine",
        ),
        (laughs, "there are more than 20000 values"),
        (&large, "it is larger than 64 KiB"),
    ] {
        let home = home(text);
        let said = home.run(&RUN, 2);
        assert!(said.contains(words), "{text:.60}: {said}");
        home.run(&["agent", "list"], 0);
    }
    let home = Home::new();
    let file = home.path("project/aicage.yml");
    fs_err::write(&file, b"base: \xff\n").unwrap();
    assert!(home.run(&RUN, 2).contains("is not UTF-8"));
    fs_err::remove_file(&file).unwrap();
    fs_err::write(home.path("other.yml"), "base: small\n").unwrap();
    symlink(home.path("other.yml"), &file).unwrap();
    assert!(home.run(&RUN, 2).contains("is a symbolic link"));
    fs_err::remove_file(&file).unwrap();
    fs_err::create_dir(&file).unwrap();
    assert!(home.run(&RUN, 2).contains("is no regular file"));
    fs_err::remove_dir(&file).unwrap();
    // Nobody waits for whoever may write to it.
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    assert!(home.run(&RUN, 2).contains("is no regular file"));
}

#[test]
fn it_is_found_at_the_root_of_the_repository_and_its_names_must_exist_here() {
    let home = Home::new();
    let root = home.path("");
    fs_err::write(root.join("aicage.yml"), "base: small\n").unwrap();
    assert_eq!(
        in_force(&home).0["base"],
        Value::Null,
        "this is no repository"
    );
    fs_err::create_dir(root.join(".git")).unwrap();
    home.store("agents:\n  one: {}\n");
    assert_eq!(in_force(&home).0["base"], "small");
    say(&home, "base: large\n");
    assert_eq!(in_force(&home).0["base"], "large", "the nearer one counts");
    say(&home, "agent: nobody\nextensions: [theirs]\n");
    let said = home.run(&RUN, 2);
    assert!(said.contains("there is no extension `theirs`"), "{said}");
    assert!(said.contains("project/aicage.yml"), "{said}");
    let said = home.run(&["--offline", "run"], 2);
    assert!(said.contains("there is no agent `nobody`"), "{said}");
    say(&home, "base: small\n");
    let said = home.run(&["run"], 2);
    assert!(said.contains("no agent is named"), "{said}");
}

#[test]
fn what_is_listed_can_be_named_and_taken_back_also_below_another_file() {
    let home = Home::new();
    let root = home.path("");
    fs_err::create_dir(root.join(".git")).unwrap();
    let (above, here) = (root.join("aicage.yml"), home.path("project/aicage.yml"));
    for file in [&above, &here] {
        fs_err::write(file, "options: [--network=host]\n").unwrap();
    }
    let listed = || json(&home, &["trust", "list"])["agreements"].clone();
    let text = |path: &std::path::Path| path.canonicalize().unwrap().display().to_string();
    let (above, here) = (text(&above), text(&here));
    home.run(&["trust", &above], 0);
    home.run(&["trust", &here], 0);
    assert_eq!(listed().as_array().unwrap().len(), 2);
    // The one that is gone is meant, not the one above it that counts now.
    fs_err::remove_file(&here).unwrap();
    home.run(&["trust", "revoke", &here], 0);
    assert_eq!(listed()[0]["file"], above);
    home.run(&["trust", "revoke", &above], 0);
    assert_eq!(listed(), serde_json::json!([]));
}
