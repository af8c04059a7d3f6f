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
