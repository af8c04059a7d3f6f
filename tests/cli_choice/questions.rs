//! Questions on a terminal.

use std::process::Command;

use crate::{
    home::{Home, NEEDS_NETWORK, stored},
    terminal::Terminal,
};

#[test]
fn a_first_run_on_a_terminal_asks_for_base_extensions_in_order_and_name() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(&home, "--menu plain --offline two");
    terminal.shows("Which base for Agent two?");
    let screen = terminal.shows("(custom) A large one");
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
    let terminal = Terminal::new(&home, "--menu plain --offline two");
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

    let terminal = Terminal::new(&home, "--menu plain --offline one");
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
        let terminal = Terminal::new(&home, "--menu plain --offline one");
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
    let terminal = Terminal::new(&home, "--menu plain --offline one");
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
            "{environment}{} --menu plain --offline one",
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
    let terminal = Terminal::new(&home, "--menu plain --offline one");
    terminal.shows("there is no extension `gone`");
    terminal.shows("Choose anew?");
    terminal.keys(&["n", "Enter"]);
    terminal.shows("code 2");
    assert_eq!(home.stored(), text);
    drop(terminal);
    let terminal = Terminal::new(&home, "--menu plain --offline one");
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

#[test]
fn what_is_wrong_with_an_extended_image_is_told_once_however_often_they_are_read() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    home.write("image-extended/bad/image-extended.yml", "agent: one\n");
    let terminal = Terminal::new(&home, "--menu plain --offline one");
    terminal.shows("Which base for Agent one?");
    terminal.keys(&["Enter"]);
    terminal.shows("Add an extension?");
    terminal.keys(&["j", "q", "Enter"]);
    terminal.shows("Add another after jq?");
    terminal.keys(&["Enter"]);
    terminal.shows("Name of the image:");
    terminal.keys(&["Enter"]);
    let screen = terminal.shows("code 4");
    let said = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(said.matches("is left out").count(), 1, "{screen}");
}
