//! What an agent runs in, from outside: flags, what is stored, questions on a real terminal, defaults. No network, no
//! engine: a run goes as far as its first need of either, and everything is chosen and stored before that.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot set up its world has failed; one that is skipped says so"
)]

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use assembler::digest::Digest;
use serde_json::Value;

/// The exit code of a run that went on to what it cannot have here.
const NEEDS_NETWORK: i32 = 4;

/// A home and a project, with two bases, two extensions and two agents of their own.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs_err::create_dir_all(home.path("project")).unwrap();
        for (base, distro) in [("large", "Large"), ("small", "Small")] {
            let text = format!(
                "from_image: registry.invalid/{base}\nbase_image_distro: {distro}\n\
                 base_image_description: A {base} one\narchitectures: [amd64, arm64]\n"
            );
            home.write(&format!("image-base/{base}/base.yml"), &text);
        }
        for extension in ["act", "jq"] {
            home.extension(extension);
        }
        for (agent, more) in [("one", ""), ("two", "base_exclude: [small]\n")] {
            let text = format!(
                "agent_full_name: Agent {agent}\nagent_homepage: https://a.example\n{more}"
            );
            home.write(&format!("agents/{agent}/agent.yml"), &text);
            for script in ["install.sh", "version.sh"] {
                home.write(&format!("agents/{agent}/{script}"), "#!/bin/sh\necho 1\n");
            }
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn extension(&self, name: &str) {
        let text = format!("name: {name}\ndescription: Adds {name}\n");
        self.write(&format!("extension/{name}/extension.yml"), &text);
        self.write(&format!("extension/{name}/scripts/1.sh"), "true\n");
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path("aicage/custom").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn aicage(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aicage"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("AICAGE_HOME", self.path("aicage"))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.path("project"))
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let output: Output = self.aicage(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "of {arguments:?}: {stderr}"
        );
        // Lines are wrapped.
        stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Writes the project's file as the Python program has it.
    fn store(&self, text: &str) {
        let path = self.project_file();
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn project_file(&self) -> PathBuf {
        let project = fs_err::canonicalize(self.path("project")).unwrap();
        let hex = Digest::of(project.to_str().unwrap().as_bytes()).hex();
        self.path(&format!("aicage/projects/{hex}.yml"))
    }

    /// Returns the project's file, without the line that names the directory.
    fn stored(&self) -> String {
        let text = fs_err::read_to_string(self.project_file()).unwrap_or_default();
        let lines = text.split_inclusive('\n');
        lines.filter(|line| !line.starts_with("path: ")).collect()
    }

    fn has_tmux() -> bool {
        let found = Command::new("tmux").arg("-V").output().is_ok();
        if !found {
            eprintln!("SKIP: tmux is not installed");
        }
        found
    }
}

/// What is stored for one agent.
fn stored(agent: &str, base: &str, extensions: &[&str], image: &str) -> String {
    let mut text = format!("agents:\n  {agent}:\n    base: {base}\n");
    if !extensions.is_empty() {
        text.push_str("    extensions:\n");
        for extension in extensions {
            text.extend(["      - ", extension, "\n"]);
        }
    }
    text + &format!("    image_ref: {image}\n")
}

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
    let output = home
        .aicage(&["plan", "--offline", "--json", "one"])
        .output()
        .unwrap();
    let said = home.run(&["--offline", "one"], NEEDS_NETWORK);
    assert!(said.contains("aicage-extended:one-small-jq"), "{said}");
    if let Ok(plan) = serde_json::from_slice::<Value>(&output.stdout) {
        assert_eq!(plan["reference"], "aicage-extended:one-small-jq");
    }
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

/// A terminal of its own that runs one command line, ended with the test.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn new(home: &Home, arguments: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("tmux-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self {
            socket: home.path(&socket).display().to_string(),
        };
        let aicage = home.aicage(&[]);
        // The shell tells how the program ended, and whether the terminal is as it was.
        let script = format!(
            "stty >before; {} {arguments} >out; echo code $?; stty >after; \
             cmp before after && echo terminal as before; exec sleep 600",
            env!("CARGO_BIN_EXE_aicage")
        );
        let mut command = terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "30", &script]);
        command
            .current_dir(home.path("project"))
            .env_clear()
            .envs(
                aicage
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .args(["-f", "/dev/null", "-S", &self.socket])
            .args(arguments);
        command
    }

    /// Types keys, by tmux's names.
    fn keys(&self, keys: &[&str]) {
        for key in keys {
            let output = self.tmux(&["send-keys", key]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }

    fn screen(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the screen shows a text, for a minute at most, and returns the screen.
    #[track_caller]
    fn shows(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "no `{text}` on the screen:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.tmux(&["kill-server"]).output());
    }
}

#[test]
fn a_first_run_on_a_terminal_asks_for_base_extensions_in_order_and_name() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(&home, "--offline two");
    let screen = terminal.shows("Which base for Agent two?");
    assert!(
        screen.contains("large") && screen.contains("(custom) A large one"),
        "{screen}"
    );
    assert!(!screen.contains("A small one"), "excluded: {screen}");
    terminal.keys(&["l", "a", "r", "g"]);
    terminal.keys(&["Enter"]);
    terminal.shows("Add an extension?");
    // Below `no extension` stand act and jq; jq is taken first.
    terminal.keys(&["j", "q", "Enter"]);
    terminal.shows("Add another after jq?");
    terminal.keys(&["Down", "Enter"]);
    terminal.shows("Add another after jq, act?");
    terminal.keys(&["Enter"]);
    terminal.shows("aicage-extended:two-large-extensions-jq-act");
    terminal.keys(&["x", ":", "y", ":", "z", "Enter"]);
    terminal.shows("cannot be the name of the image");
    terminal.keys(&["BSpace", "BSpace", "BSpace", "BSpace", "BSpace"]);
    terminal.keys(&["t", "o", "o", "l", "s", "Enter"]);
    terminal.shows("code 4");
    terminal.shows("terminal as before");
    let image = "aicage-extended:tools";
    assert_eq!(home.stored(), stored("two", "large", &["jq", "act"], image));
    let out = fs_err::read_to_string(home.path("project/out")).unwrap();
    assert_eq!(out, "", "questions are not a result");
    drop(terminal);
    // The choice is not asked for again.
    let terminal = Terminal::new(&home, "--offline two");
    terminal.shows("code 4");
    assert!(!terminal.screen().contains("Which base"), "asked again");
}

#[test]
fn an_extended_image_is_offered_beside_the_bases_and_asks_for_no_extensions() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let run = ["--offline", "--base", "small", "--extension", "jq"];
    home.run(
        &[&run[..], &["--image-name", "tools", "one"]].concat(),
        NEEDS_NETWORK,
    );
    fs_err::remove_file(home.project_file()).unwrap();
    let old = home.path("aicage/state/image-extended/state/one-small-gone");
    fs_err::create_dir_all(&old).unwrap();
    let text =
        "agent: one\nbase: small\nextensions:\n- gone\nimage_ref: aicage-extended:one-small-gone\n";
    fs_err::write(old.join("image-extended.yml"), text).unwrap();

    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("Which base for Agent one?");
    terminal.keys(&["e", "x", "t", "e", "n", "d", "e", "d"]);
    terminal.shows("aicage-extended:tools");
    terminal.shows("(extended) small with jq");
    terminal.shows("(extended, gone is missing)");
    // What lacks something is not used silently.
    terminal.keys(&["g", "o", "n", "e"]);
    terminal.keys(&["BSpace", "BSpace", "BSpace", "BSpace"]);
    terminal.keys(&["Enter"]);
    terminal.shows("there is no extension `gone`");
    terminal.shows("? Which base for Agent one?");
    terminal.keys(&["t", "o", "o", "l", "s", "Enter"]);
    terminal.shows("code 4");
    assert_eq!(
        home.stored(),
        stored("one", "small", &["jq"], "aicage-extended:tools")
    );
}

#[test]
fn ctrl_c_and_escape_end_with_130_and_store_nothing() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    for key in ["C-c", "Escape"] {
        let terminal = Terminal::new(&home, "--offline one");
        terminal.shows("Which base for Agent one?");
        terminal.keys(&[key]);
        terminal.shows("code 130");
        terminal.shows("terminal as before");
        assert_eq!(home.stored(), "");
    }
}

#[test]
fn a_question_that_is_killed_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("Which base for Agent one?");
    let list = terminal
        .tmux(&["list-panes", "-F", "#{pane_pid}"])
        .output()
        .unwrap();
    let shell = String::from_utf8_lossy(&list.stdout).trim().to_owned();
    let children = fs_err::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let killed = Command::new("kill")
        .args(["-s", "TERM", children.trim()])
        .status()
        .unwrap();
    assert!(killed.success());
    terminal.shows("code 130");
    terminal.shows("terminal as before");
}

#[test]
fn no_color_leaves_questions_without_colours() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    for (environment, is_painted) in [("", true), ("env NO_COLOR=1 ", false)] {
        // `script` keeps every byte that the terminal got.
        let command = format!(
            "{environment}{} --offline one",
            env!("CARGO_BIN_EXE_aicage")
        );
        let bytes = home.path("bytes");
        let terminal = Terminal::new(
            &home,
            &format!(
                "version; script -qefc '{command}' {} >/dev/tty; true",
                bytes.display()
            ),
        );
        terminal.shows("Which base for Agent one?");
        terminal.keys(&["C-c"]);
        terminal.shows("code 0");
        let bytes = String::from_utf8_lossy(&fs_err::read(&bytes).unwrap()).into_owned();
        let has_colours = bytes.split("\u{1b}[").skip(1).any(|rest| {
            let number = |c: char| c.is_ascii_digit() || c == ';';
            rest.trim_start_matches(number).starts_with('m')
        });
        assert_eq!(has_colours, is_painted, "{environment}: {bytes:?}");
    }
}

#[test]
fn what_is_stored_and_gone_offers_to_choose_anew_on_a_terminal() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let text = stored("one", "small", &["gone", "jq"], "aicage-extended:x");
    home.store(&text);
    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("there is no extension `gone`");
    terminal.shows("Choose anew?");
    terminal.keys(&["n", "Enter"]);
    terminal.shows("code 2");
    assert_eq!(home.stored(), text);
    drop(terminal);
    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("Choose anew?");
    terminal.keys(&["Enter"]);
    terminal.shows("Which base for Agent one?");
    // The questions begin with what is still there.
    terminal.keys(&["Enter"]);
    terminal.shows("Add another after jq?");
    terminal.keys(&["Enter"]);
    terminal.shows("Name of the image:");
    terminal.keys(&["Enter"]);
    terminal.shows("code 4");
    let image = "aicage-extended:one-small-extensions-jq";
    assert_eq!(home.stored(), stored("one", "small", &["jq"], image));
}
