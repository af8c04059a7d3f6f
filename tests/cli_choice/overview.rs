//! The overview on a real terminal.

use crate::{
    home::{Home, stored},
    terminal::Terminal,
};

#[test]
fn a_first_run_shows_one_page_and_enter_starts() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(&home, "--offline two");
    terminal.shows("aicage: Agent two");
    terminal.shows("> Base");
    terminal.keys(&["Space"]);
    let screen = terminal.shows("large  (custom) A large one");
    assert!(!screen.contains("A small one"), "excluded: {screen}");
    terminal.keys(&["l", "Enter"]);
    terminal.shows("> Base         large  (custom) A large one");
    terminal.shows("Extensions   none");
    // Nothing is known of the image, and nobody may be asked.
    terminal.shows("Image: ");
    terminal.keys(&["Enter"]);
    terminal.shows("code 4");
    terminal.shows("terminal as before");
    assert_eq!(
        home.stored(),
        stored("two", "large", &[], "aicage:two-large")
    );
    let out = fs_err::read_to_string(home.path("project/out")).unwrap();
    assert_eq!(out, "", "a page is not a result");
    drop(terminal);
    let terminal = Terminal::new(&home, "--offline two");
    terminal.shows("code 4");
    assert!(!terminal.screen().contains("Extensions"), "shown again");
}

#[test]
fn extensions_are_chosen_in_order_and_the_image_gets_its_name() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("> Base");
    terminal.keys(&["Space", "l", "Enter", "Down", "Space"]);
    terminal.shows("> [ ] act  Adds act");
    terminal.keys(&["Down", "Space"]);
    terminal.shows("> [1] jq  Adds jq");
    terminal.keys(&["Up", "Space"]);
    terminal.shows("> [2] act  Adds act");
    terminal.keys(&["Enter"]);
    terminal.shows("> Extensions   jq, act");
    terminal.keys(&["Down", "Space"]);
    terminal.shows("NAME:TAG, or only a tag: _");
    terminal.keys(&["x", ":", "y", ":", "z", "Enter"]);
    terminal.shows("cannot be the name of the image");
    terminal.keys(&["C-u", "t", "o", "o", "l", "s", "Enter"]);
    terminal.shows("> Image name   tools");
    terminal.keys(&["Enter"]);
    terminal.shows("code 4");
    let image = "aicage-extended:tools";
    assert_eq!(home.stored(), stored("one", "large", &["jq", "act"], image));
}

#[test]
fn escape_and_ctrl_c_end_with_130_and_store_nothing() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    for key in ["C-c", "Escape", "q"] {
        let terminal = Terminal::new(&home, "--offline one");
        terminal.shows("> Base");
        terminal.keys(&["Space", "Down", "Enter", key]);
        terminal.shows("code 130");
        terminal.shows("terminal as before");
        assert_eq!(home.stored(), "");
    }
}

#[test]
fn a_dumb_terminal_and_menu_none_are_shown_no_page() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    for (options, term) in [("--menu none", "xterm"), ("", "dumb")] {
        let terminal = Terminal::with_term(&home, &format!("--offline {options} one"), term);
        terminal.shows("code 4");
        assert!(
            !terminal.screen().contains("Extensions"),
            "{options} {term}"
        );
    }
}

#[test]
fn a_terminal_of_20_columns_and_5_rows_is_enough() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("> Base");
    let resized = terminal.tmux(&["resize-window", "-x", "20", "-y", "5"]);
    let mut resized = resized;
    assert!(resized.output().unwrap().status.success());
    terminal.shows("…");
    terminal.keys(&["Space", "l"]);
    terminal.shows("> ( ) large");
    terminal.keys(&["Enter"]);
    terminal.shows("> Base         larg…");
}

#[test]
fn shares_and_access_are_given_on_the_page_and_not_asked_for_again() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    fs_err::write(home.path(".gitconfig"), "[user]\nname = Ann\n").unwrap();
    fs_err::create_dir(home.path("data")).unwrap();
    let init = std::process::Command::new("git")
        .args(["init", "-q", "."])
        .current_dir(home.path("."))
        .env("HOME", home.path("."))
        .status();
    assert!(init.unwrap().success());
    home.write(
        "extension/gh/extension.yml",
        "name: gh\ndescription: d\nshares: [~/data:ro]\n",
    );
    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("> Base");
    terminal.keys(&["Space", "l", "Enter", "Down", "Space", "g"]);
    terminal.shows("> [ ] gh");
    terminal.keys(&["Space", "Enter", "Down", "Down"]);
    terminal.shows("> Shares       only the project");
    terminal.keys(&["Space", "Enter", "/", "n", "o", "Enter"]);
    terminal.shows("cannot share /no: there is nothing");
    terminal.keys(&["C-u", "~", "/", "d", "a", "t", "a", "Enter", "Escape"]);
    terminal.shows("> Shares       ~/data");
    terminal.keys(&["Down", "Space"]);
    terminal.shows("> [ ] gh");
    terminal.keys(&["Space"]);
    terminal.shows("> [x] gh");
    terminal.keys(&["Enter", "Down"]);
    terminal.shows("> Access       gitconfig");
    terminal.keys(&["Space", "d"]);
    terminal.shows("> [ ] docker");
    terminal.keys(&["Space", "Enter"]);
    terminal.shows("> Access       gitconfig, docker");
    terminal.keys(&["Down", "Space", "-", "p", "Space", "x", "Enter"]);
    terminal.shows("`x` is no port");
    terminal.keys(&["C-u", "-", "m", "Space", "1", "g", "Enter"]);
    terminal.shows("> Options      -m 1g");
    terminal.keys(&["Enter"]);
    terminal.shows("code 4");
    terminal.shows("terminal as before");
    let kept = home.stored();
    for line in [
        "-m 1g",
        "docker: true",
        "gh: true",
        &home.path("data").display().to_string(),
    ] {
        assert!(kept.contains(line), "no `{line}` in\n{kept}");
    }
    drop(terminal);
    let terminal = Terminal::new(&home, "--offline one");
    terminal.shows("code 4");
    let screen = terminal.screen();
    assert!(!screen.contains('?'), "asked again: {screen}");
    drop(terminal);
    // Chosen anew, the page begins with what was chosen, and nothing is asked beside it.
    let terminal = Terminal::new(&home, "--offline --choose one");
    terminal.shows("> Base         large");
    terminal.shows("Access       gitconfig, docker");
    terminal.keys(&["Enter"]);
    terminal.shows("code 4");
    assert_eq!(home.stored(), kept);
}

#[test]
fn a_name_that_was_given_to_an_image_is_kept_until_it_is_changed() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let run = ["--offline", "--base", "small", "--extension", "jq"];
    home.run(
        &[&run[..], &["--image-name", "tools", "one"]].concat(),
        crate::home::NEEDS_NETWORK,
    );
    let kept = stored("one", "small", &["jq"], "aicage-extended:tools");
    assert_eq!(home.stored(), kept);
    for menu in ["", "--menu plain"] {
        let terminal = Terminal::new(&home, &format!("{menu} --offline config edit one"));
        terminal.shows("aicage-extended:tools");
        terminal.keys(&["Enter"]);
        terminal.shows("code 0");
        assert_eq!(home.stored(), kept, "with {menu}");
    }
    // Nobody put it together here: what is stored is all that is known of it.
    let images = home.path("aicage/custom/image-extended");
    for menu in ["", "--menu plain"] {
        fs_err::remove_dir_all(&images).unwrap();
        let terminal = Terminal::new(&home, &format!("{menu} --offline config edit one"));
        if menu.is_empty() {
            terminal.shows("Image name   aicage-extended:tools");
            terminal.keys(&["Enter"]);
        } else {
            terminal.shows("Which base for");
            terminal.keys(&["Enter"]);
            terminal.shows("Add another after jq?");
            terminal.keys(&["Enter"]);
            terminal.shows("Name of the image:");
            terminal.keys(&["Enter"]);
        }
        terminal.shows("code 0");
        assert_eq!(home.stored(), kept, "with {menu}");
    }
    // On another base it is another image, which has no name yet.
    let terminal = Terminal::new(&home, "--offline config edit one");
    terminal.shows("> Base");
    terminal.keys(&["Space", "l", "Enter"]);
    terminal.shows("> Base         large");
    terminal.shows("Image name   as its parts");
    terminal.keys(&["Enter"]);
    terminal.shows("code 0");
    let usual = "aicage-extended:one-large-extensions-jq";
    assert_eq!(home.stored(), stored("one", "large", &["jq"], usual));
}

#[test]
fn what_was_typed_is_shown_beside_what_is_asked_and_no_value_of_a_variable() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(
        &home,
        "--offline --docker -p 80:80 -e KEY=geheim --share /usr/share one",
    );
    terminal.shows("and what was typed: --docker --share /usr/share --env KEY --publish 80:80");
    assert!(!terminal.screen().contains("geheim"));
}

#[test]
fn config_edit_changes_what_was_chosen_and_starts_nothing() {
    let home = Home::new();
    if !Home::has_tmux() {
        return;
    }
    let terminal = Terminal::new(&home, "--offline config edit one");
    terminal.shows("Enter keep");
    terminal.keys(&["Space", "s", "Enter"]);
    terminal.shows("> Base         small");
    terminal.keys(&["Enter"]);
    terminal.shows("code 0");
    assert_eq!(
        home.stored(),
        stored("one", "small", &[], "aicage:one-small")
    );
    home.run(&["config", "edit", "one"], 2);
}
