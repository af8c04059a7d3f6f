//! Consent to what git can use of this machine: asked once on a terminal, answered by flags elsewhere, kept under the keys of
//! the Python program.

use std::{
    os::unix::net::UnixListener,
    process::{Command, Output},
};

use crate::{
    home::{Home, NEEDS_NETWORK, stored},
    terminal::Terminal,
};

/// Makes a repository with a linked worktree, which is the project.
fn linked(home: &Home, remote: &str) {
    let script = r#"git init -q -b main main && cd main && git config user.name a && git config user.email a@b &&
        git commit -q --allow-empty -m one && git remote add origin "$1" && rmdir ../project &&
        git worktree add -q -b linked ../project"#;
    let output: Output = Command::new("sh")
        .args(["-ec", script, "sh", remote])
        .current_dir(home.path(""))
        .env("HOME", home.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What is stored for the agent, with these keys under `mounts`.
fn with_mounts(keys: &str) -> String {
    let mounts = keys.split_whitespace().fold(String::new(), |all, key| {
        all + "      " + &key.replace(':', ": ") + "\n"
    });
    stored("one", "small", &[], "aicage:one-small") + "    mounts:\n" + &mounts
}

const FIRST: [&str; 4] = ["--offline", "--base", "small", "one"];

#[test]
fn a_terminal_is_asked_once_for_each_kind_and_enter_alone_gives_nothing() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    linked(&home, "git@forge.example:me/x");
    let socket = home.path("agent");
    let _listener = UnixListener::bind(&socket).unwrap();
    let variables = format!("TERM=xterm SSH_AUTH_SOCK={}", socket.display());
    let run = |arguments: &str| Terminal::with_variables(&home, arguments, &variables);
    let terminal = run(&FIRST.join(" "));
    let screen = terminal.shows("Let Agent one write there? (y/N)");
    assert!(screen.contains("`git commit` writes to"), "{screen}");
    terminal.keys(&["Enter"]);
    let screen = terminal.shows("Let Agent one use them? (y/N)");
    assert!(screen.contains("reach git@forge.example:me/x"), "{screen}");
    terminal.keys(&["Enter"]);
    terminal.shows("code 4");
    assert_eq!(home.stored(), with_mounts("gitwrite:false sshagent:false"));
    drop(terminal);
    let terminal = run("--offline one");
    let screen = terminal.shows("code 4");
    assert!(!screen.contains("(y/N)"), "asked again: {screen}");
    drop(terminal);
    // What a flag answers is not asked.
    fs_err::remove_file(home.project_file()).unwrap();
    let terminal = run(&format!("--allow gitroot {}", FIRST.join(" ")));
    terminal.shows("Let Agent one use them? (y/N)");
    terminal.keys(&["y", "Enter"]);
    terminal.shows("code 4");
    let all = with_mounts("gitroot:true gitwrite:true sshagent:true");
    assert_eq!(home.stored(), all);
}

#[test]
fn without_a_terminal_nothing_is_asked_and_flags_are_kept() {
    let home = Home::new();
    linked(&home, "https://forge.example/x");
    home.run(&FIRST, NEEDS_NETWORK);
    assert_eq!(
        home.stored(),
        stored("one", "small", &[], "aicage:one-small")
    );
    for (flags, keys) in [
        (&["--allow", "gitroot:ro"][..], "gitwrite:false"),
        (
            &["--allow", "gitroot", "--deny", "gitconfig"],
            "gitconfig:false gitroot:true gitwrite:true",
        ),
        (
            &["--git"],
            "gitconfig:true gitroot:true gitwrite:true gnupg:true sshagent:true",
        ),
        (
            &["--git", "off", "--allow=githooks"],
            "gitconfig:false githooks:true gitroot:false gnupg:false ssh:false sshagent:false",
        ),
        (
            &["--git=off", "--docker"],
            "docker:true gitconfig:false githooks:true gitroot:false gnupg:false ssh:false sshagent:false",
        ),
    ] {
        home.run(&[flags, &["--offline", "one"]].concat(), NEEDS_NETWORK);
        assert_eq!(home.stored(), with_mounts(keys), "{flags:?}");
    }
    // What is typed of the kinds is refused by name.
    for (flags, code, why) in [
        (
            &["--allow", "sshagent"][..],
            2,
            "there is no SSH agent: `SSH_AUTH_SOCK` names no socket",
        ),
        (&["--allow", "ssh"], 2, "there is no directory `~/.ssh`"),
        (&["--allow", "all"], 2, "there is no kind of access `all`"),
        (
            &["--docker", "--deny", "docker"],
            2,
            "both allowed and denied hint: leave out the one that is not meant",
        ),
        #[cfg(target_os = "linux")]
        (
            &["--engine", "native", "--docker"],
            3,
            "there is no engine's socket: the session runs on this machine itself",
        ),
    ] {
        let said = home.run(&[flags, &["--offline", "one"]].concat(), code);
        assert!(said.contains(why), "{flags:?}: no `{why}` in: {said}");
    }
}

#[test]
fn what_was_agreed_to_and_is_not_there_is_told_until_it_is_denied() {
    let home = Home::new();
    home.store(&with_mounts("ssh:true sshagent:true"));
    let said = home.run(&["--offline", "one"], NEEDS_NETWORK);
    for words in [
        "there is no directory `~/.ssh`; `--allow sshagent` gives",
        "there is no SSH agent: `SSH_AUTH_SOCK` names no socket; `eval",
    ] {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
    let said = home.run(&["--offline", "--deny", "sshagent", "one"], NEEDS_NETWORK);
    assert!(!said.contains("there is no SSH agent"), "{said}");
    let said = home.run(&["--offline", "one"], NEEDS_NETWORK);
    assert!(!said.contains("there is no SSH agent"), "{said}");
    assert!(said.contains("there is no directory `~/.ssh`"), "{said}");
}

#[test]
fn a_repository_that_is_the_home_directory_is_not_given() {
    let home = Home::new();
    let output = Command::new("git")
        .args(["init", "-q", "."])
        .current_dir(home.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = home.run(&FIRST, NEEDS_NETWORK);
    assert!(
        said.contains("all of your home directory; it is not mounted"),
        "{said}"
    );
    let said = home.run(&["--offline", "--allow", "gitroot", "one"], 3);
    assert!(said.contains("all of your home directory"), "{said}");
    assert_eq!(
        home.stored(),
        stored("one", "small", &[], "aicage:one-small")
    );
    let said = home.run(&["--offline", "--deny", "gitroot", "one"], NEEDS_NETWORK);
    let again = home.run(&["--offline", "one"], NEEDS_NETWORK);
    for said in [said, again] {
        assert!(!said.contains("home directory"), "{said}");
    }
}

#[test]
fn shares_are_kept_when_that_is_said() {
    let home = Home::new();
    for directory in ["data", "more"] {
        fs_err::create_dir_all(home.path(directory)).unwrap();
    }
    let path = |name: &str| home.path(name).display().to_string();
    home.run(
        &[
            "--share",
            "~/data:ro",
            "--offline",
            "--base",
            "small",
            "one",
        ],
        NEEDS_NETWORK,
    );
    assert!(!home.stored().contains("shares"));
    let keep = [
        "--share",
        "../data:ro",
        "--share",
        "~/more",
        "--keep-shares",
        "--offline",
        "one",
    ];
    home.run(&keep, NEEDS_NETWORK);
    let kept = |data: &str| {
        let shares = format!("    shares:\n      - {}\n      - {data}\n", path("more"));
        stored("one", "small", &[], "aicage:one-small") + &shares
    };
    assert!(
        home.stored()
            .contains(&format!("      - {}:ro\n", path("data"))),
        "{}",
        home.stored()
    );
    home.run(
        &["--share", "~/data", "--keep-shares", "--offline", "one"],
        NEEDS_NETWORK,
    );
    assert_eq!(home.stored(), kept(&path("data")));
    home.run(&["--keep-shares", "one"], 2);
}
