//! Consent to what extensions share: asked once, kept with what was agreed to, asked again only for more.

use crate::{
    home::{Home, NEEDS_NETWORK, stored},
    terminal::Terminal,
};

/// The image of the agent with the extension.
const IMAGE: &str = "aicage-extended:one-small-extensions-gh";

/// A home with an extension that shares a directory for reading, and another one.
fn home() -> Home {
    let home = Home::new();
    for directory in ["config", "data", "more"] {
        fs_err::create_dir_all(home.path(directory)).unwrap();
    }
    shares(&home, &["~/config:ro", "~/data"]);
    home
}

/// Says what the extension shares.
fn shares(home: &Home, paths: &[&str]) {
    let list: Vec<String> = paths.iter().map(|path| format!("  - '{path}'\n")).collect();
    let text = format!(
        "name: GitHub\ndescription: For tests\nshares:\n{}",
        list.concat()
    );
    home.write("extension/gh/extension.yml", &text);
}

/// Returns a path of the test as it really is.
fn real(home: &Home, name: &str) -> String {
    fs_err::canonicalize(home.path(name))
        .unwrap()
        .display()
        .to_string()
}

/// What is stored of an agent with the extension, `more` keys among it, where `mounted` was answered.
fn answered(home: &Home, mounted: &str, more: &str) -> String {
    let (config, data) = (real(home, "config"), real(home, "data"));
    let agreed = if mounted == "true" {
        format!("    agreed_shares:\n      gh:\n        - {config}:ro\n        - {data}\n")
    } else {
        String::new()
    };
    let text = stored("one", "small", &["gh"], IMAGE);
    text.replace("    base", &format!("{agreed}    base"))
        .replace(
            "    extensions",
            &format!("{more}    extension_mounts:\n      gh: {mounted}\n    extensions"),
        )
}

const RUN: [&str; 2] = ["--offline", "one"];
const FIRST: [&str; 6] = ["--offline", "--base", "small", "--extension", "gh", "one"];

#[test]
fn a_terminal_is_asked_once_and_enter_alone_gives_nothing_away() {
    let home = home();
    if !Home::has_tmux() {
        return;
    }
    home.store("agents:\n  one:\n    docker_args: -e FOO=bar\n  two:\n    base: large\n");
    // However little is to be said, nobody is asked about what is not shown.
    let terminal = Terminal::new(&home, &format!("--progress quiet {}", FIRST.join(" ")));
    let screen = terminal.shows("Mount them? (y/N)");
    for part in [
        "Extension `gh` (GitHub) wants Agent one to see files of this machine:",
        &format!("  {}, read only", home.path("config").display()),
        &format!("  {}, writable", home.path("data").display()),
    ] {
        assert!(screen.contains(part), "no `{part}` in: {screen}");
    }
    terminal.keys(&["Enter"]);
    terminal.shows("code 4");
    let two = "  two:\n    base: large\n";
    let kept = "    docker_args: -e FOO=bar\n";
    let no = answered(&home, "false", kept) + two;
    assert_eq!(home.stored(), no);
    drop(terminal);
    let terminal = Terminal::new(&home, &RUN.join(" "));
    let screen = terminal.shows("code 4");
    assert!(!screen.contains("Mount them?"), "asked again: {screen}");
    drop(terminal);
    // Who chooses anew is asked for this, too.
    let terminal = Terminal::new(&home, "--menu plain --offline --choose one");
    for question in ["Which base", "Add another after gh?", "Name of the image:"] {
        terminal.shows(question);
        terminal.keys(&["Enter"]);
    }
    terminal.shows("Mount them? (y/N)");
    terminal.keys(&["y", "Enter"]);
    terminal.shows("code 4");
    let yes = answered(&home, "true", kept) + two;
    assert_eq!(home.stored(), yes);
    drop(terminal);
    let terminal = Terminal::new(&home, "--menu plain --offline --choose one");
    for question in ["Which base", "Add another after gh?", "Name of the image:"] {
        terminal.shows(question);
        terminal.keys(&["Enter"]);
    }
    terminal.shows("Mount them? (Y/n)");
    terminal.keys(&["C-c"]);
    terminal.shows("code 130");
    assert!(home.stored().contains("      gh: true\n"));
}

#[test]
fn only_more_than_was_agreed_to_is_asked_for_again() {
    let home = home();
    if !Home::has_tmux() {
        return;
    }
    home.store(&answered(&home, "true", ""));
    for fewer in [
        &["~/data:ro", "~/config:ro"][..],
        &["~/data"],
        &["~/config/.:ro", "../data/"],
    ] {
        shares(&home, fewer);
        let said = home.run(&RUN, NEEDS_NETWORK);
        assert!(!said.contains("agreed"), "{fewer:?}: {said}");
        assert_eq!(home.stored(), answered(&home, "true", ""));
    }
    shares(&home, &["~/config", "~/data", "~/more:ro"]);
    let terminal = Terminal::new(&home, &RUN.join(" "));
    let screen = terminal.shows("Mount them? (y/N)");
    for part in ["/config, writable, new", "/more, read only, new"] {
        assert!(screen.contains(part), "no `{part}` in: {screen}");
    }
    assert!(screen.contains("/data, writable\n"), "{screen}");
    terminal.keys(&["y", "Enter"]);
    terminal.shows("code 4");
    let expected = answered(&home, "true", "").replace(
        &format!("config:ro\n        - {}\n", real(&home, "data")),
        &format!(
            "config\n        - {}\n        - {}:ro\n",
            real(&home, "data"),
            real(&home, "more")
        ),
    );
    assert_eq!(home.stored(), expected);
    drop(terminal);
    // A name that now leads elsewhere is more, too, whoever changed it.
    shares(&home, &["~/more:ro"]);
    home.run(&RUN, NEEDS_NETWORK);
    fs_err::remove_dir(home.path("more")).unwrap();
    fs_err::create_dir(home.path("secret")).unwrap();
    std::os::unix::fs::symlink("secret", home.path("more")).unwrap();
    let terminal = Terminal::new(&home, &RUN.join(" "));
    let screen = terminal.shows("Mount them? (y/N)");
    let flat = screen.replace('\n', "");
    let led = format!("/more (really {}), read only, new", real(&home, "secret"));
    assert!(flat.contains(&led), "{screen}");
}

#[test]
fn without_a_terminal_what_is_stored_counts_and_flags_answer() {
    let home = home();
    let list = format!(
        "{}, read only; {}, writable",
        home.path("config").display(),
        home.path("data").display()
    );
    for arguments in [&FIRST[..], &RUN] {
        let said = home.run(arguments, NEEDS_NETWORK);
        let line = format!(
            "extension `gh` shares what nobody agreed to, and it is not mounted: {list}; `--extension-shares gh` agrees, `--no-extension-shares` declines"
        );
        assert!(said.contains(&line), "no `{line}` in: {said}");
        assert_eq!(home.stored(), stored("one", "small", &["gh"], IMAGE));
    }
    let agree = ["--offline", "--extension-shares", "gh", "--", "one"];
    for (arguments, mounted) in [
        (&["--offline", "--no-extension-shares", "one"][..], "false"),
        (&agree, "true"),
        (
            &["run", "--offline", "--no-extension-shares", "one"],
            "false",
        ),
        (
            &["run", "--offline", "--extension-shares=gh", "one"],
            "true",
        ),
    ] {
        for arguments in [arguments, &RUN] {
            let said = home.run(arguments, NEEDS_NETWORK);
            assert!(!said.contains("agreed"), "{arguments:?}: {said}");
            assert_eq!(home.stored(), answered(&home, mounted, ""));
        }
    }
    shares(&home, &["~/config:ro", "~/more"]);
    let said = home.run(&RUN, NEEDS_NETWORK);
    assert!(said.contains("/more, writable; `--ext"), "{said}");
    assert!(!said.contains("/config"), "only what is new: {said}");
    assert_eq!(home.stored(), answered(&home, "true", ""));
    for (id, why) in [
        ("jq", "extension `jq` is not added here"),
        ("hg", "there is no extension `hg`"),
    ] {
        let said = home.run(&["--offline", "--extension-shares", id, "one"], 2);
        assert!(said.contains(why), "{said}");
    }
    home.run(
        &["--extension-shares=gh", "--no-extension-shares", "one"],
        2,
    );
}

#[test]
fn what_the_python_program_was_told_counts_and_is_noted_once() {
    let home = home();
    let told = |mounted: bool| {
        let text = stored("one", "small", &["gh"], IMAGE);
        text.replace(
            "    extensions",
            &format!("    extension_mounts:\n      gh: {mounted}\n    extensions"),
        )
    };
    home.store(&told(false));
    home.run(&RUN, NEEDS_NETWORK);
    assert_eq!(home.stored(), told(false));
    home.store(&told(true));
    let said = home.run(&RUN, NEEDS_NETWORK);
    assert!(!said.contains("agreed"), "{said}");
    assert_eq!(home.stored(), answered(&home, "true", ""));
    // What is inherited stays inherited; only what it meant is noted.
    fs_err::remove_file(home.project_file()).unwrap();
    fs_err::create_dir_all(home.path("aicage/config")).unwrap();
    fs_err::write(home.path("aicage/config/global.yml"), told(true)).unwrap();
    home.run(&RUN, NEEDS_NETWORK);
    let noted = answered(&home, "true", "");
    let noted: String = noted.split_inclusive('\n').take(6).collect();
    assert_eq!(home.stored(), noted, "and nothing else");
    shares(&home, &["~/more"]);
    let said = home.run(&RUN, NEEDS_NETWORK);
    assert!(said.contains("/more, writable; `--ext"), "{said}");
}

#[test]
fn an_image_that_was_put_together_before_asks_for_its_extensions_shares() {
    let home = home();
    home.run(&FIRST, NEEDS_NETWORK);
    home.run(&["--offline", "--no-extensions", "one"], NEEDS_NETWORK);
    let said = home.run(&RUN, NEEDS_NETWORK);
    assert!(!said.contains("extension `gh`"), "{said}");
    let name = IMAGE.strip_prefix("aicage-extended:").unwrap();
    let said = home.run(&["--offline", "--image-name", name, "one"], NEEDS_NETWORK);
    assert!(said.contains("extension `gh` shares what nobody"), "{said}");
    // Nothing is asked, said or stored where nothing is started.
    let said = home.run(&["build", "--offline", "one"], NEEDS_NETWORK);
    assert!(!said.contains("shares"), "{said}");
}

#[test]
fn what_an_extension_shares_is_shown_one_path_a_line() {
    let home = home();
    let output = home.aicage(&["extension", "show", "gh"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let lines = "  shares       ~/config:ro\n               ~/data\n";
    assert!(shown.contains(lines), "{shown}");
}

#[test]
fn what_cannot_be_shared_is_refused_by_name_before_anything_else() {
    let home = home();
    let agree = [&["--extension-shares", "gh"][..], &FIRST].concat();
    for (path, code, why) in [
        ("~", 3, "would give the agent all of your home directory"),
        ("/", 3, "would give the agent all of your home directory"),
        ("~/aicage/store", 3, "where aicage keeps its own files"),
        ("~/none:ro", 2, "/none, and there is nothing"),
        (":ro", 2, "names no path"),
    ] {
        shares(&home, &["~/data", path]);
        let said = home.run(&agree, code);
        for part in [
            "a share of extension `gh`",
            why,
            "`aicage extension show gh`",
            "`--no-extension-shares`",
        ] {
            assert!(said.contains(part), "{path}: no `{part}` in: {said}");
        }
        assert!(!home.stored().contains("gh: true"), "it was stored");
        // Whoever declines is not kept from starting.
        let decline = [&["--no-extension-shares"][..], &FIRST].concat();
        home.run(&decline, NEEDS_NETWORK);
        fs_err::remove_file(home.project_file()).unwrap();

        home.store(&format!(
            "agents:\n  one:\n    base: small\n    shares: [~/data, '{path}']\n"
        ));
        let said = home.run(&RUN, code);
        for part in [
            "a share that is stored for this project",
            why,
            "correct `shares` in",
        ] {
            assert!(said.contains(part), "{path}: no `{part}` in: {said}");
        }
        fs_err::remove_file(home.project_file()).unwrap();
        home.run(&["--offline", "--share", path, "one"], code);
    }
    if Home::has_tmux() {
        shares(&home, &["~"]);
        let terminal = Terminal::new(&home, &FIRST.join(" "));
        let screen = terminal.shows("code 3");
        assert!(!screen.contains("Mount them?"), "asked: {screen}");
    }
}
