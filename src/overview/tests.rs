//! Keys and pictures, without a terminal.

use ratatui::{Terminal, backend::TestBackend};

use super::{
    draw::draw,
    keys::{Focus, Key, Outcome, View},
    page::{Body, ImageState, Item, Page, Section, SectionId},
};
use crate::printer::Colour;

fn item(name: &str) -> Item {
    Item {
        name: name.to_owned(),
        description: format!("about {name}"),
        refused: None,
    }
}

fn view() -> View {
    let sections = vec![
        Section {
            id: SectionId::Base,
            title: "Base",
            body: Body::One {
                items: vec![
                    item("debian"),
                    item("fedora"),
                    Item {
                        refused: Some("jq is missing".to_owned()),
                        ..item("mine")
                    },
                ],
                chosen: 0,
            },
            nothing: "",
        },
        Section {
            id: SectionId::Extensions,
            title: "Extensions",
            body: Body::Ordered {
                items: (0..30).map(|at| item(&format!("e{at}"))).collect(),
                chosen: Vec::new(),
            },
            nothing: "none",
        },
        Section {
            id: SectionId::Access,
            title: "Access",
            body: Body::Switches {
                items: vec![(item("gitconfig"), true), (item("ssh"), false)],
            },
            nothing: "nothing",
        },
        Section {
            id: SectionId::Shares,
            title: "Shares",
            body: Body::Lines {
                lines: Vec::new(),
                prompt: "PATH[:ro]",
            },
            nothing: "none",
        },
    ];
    View::new(Page {
        title: "aicage: Codex\u{1b}[31m".to_owned(),
        project: "/home/me/ä project".to_owned(),
        typed: "--docker -p 80:80".to_owned(),
        sections,
        image: ImageState::Known(vec!["aicage:codex-debian: here".to_owned()]),
        verb: "start",
    })
}

fn press(view: &mut View, keys: &[Key]) -> Outcome {
    let refuses = |_, text: &str| {
        (text != "/nowhere")
            .then_some(())
            .ok_or_else(|| "there is no /nowhere".to_owned())
    };
    let mut outcome = Outcome::Stay;
    for &key in keys {
        outcome = view.press(key, &refuses);
    }
    outcome
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(Key::Char).collect()
}

fn picture(view: &View, (width, height): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame, view, Colour::Never))
        .unwrap();
    let buffer = terminal.backend().buffer().clone();
    let cells: Vec<&str> = buffer
        .content()
        .iter()
        .map(ratatui::buffer::Cell::symbol)
        .collect();
    cells
        .chunks(usize::from(width))
        .map(|row| row.concat().trim_end().to_owned())
        .collect()
}

fn summary(view: &View, at: usize) -> String {
    view.page.sections[at].summary()
}

#[test]
fn enter_starts_from_the_list_and_escape_leaves() {
    assert_eq!(press(&mut view(), &[Key::Enter]), Outcome::Start);
    assert_eq!(press(&mut view(), &[Key::Down, Key::Enter]), Outcome::Start);
    assert_eq!(press(&mut view(), &[Key::Escape]), Outcome::Leave);
    let mut inside = view();
    assert_eq!(
        press(&mut inside, &[Key::Right, Key::Interrupt]),
        Outcome::Leave
    );
}

#[test]
fn another_base_is_chosen_and_one_that_lacks_something_is_not() {
    let mut view = view();
    let outcome = press(&mut view, &[Key::Right, Key::Down, Key::Enter]);
    assert_eq!(outcome, Outcome::Changed(SectionId::Base));
    assert_eq!(summary(&view, 0), "fedora  about fedora");
    press(&mut view, &[Key::Right, Key::Char('M'), Key::Enter]);
    assert_eq!(view.message.as_deref(), Some("jq is missing"));
    assert_eq!(summary(&view, 0), "fedora  about fedora");
}

#[test]
fn extensions_keep_the_order_in_which_they_were_chosen() {
    let mut view = view();
    let keys = [
        Key::Down,
        Key::Right,
        Key::Down,
        Key::Char(' '),
        Key::Up,
        Key::Char(' '),
        Key::Enter,
    ];
    press(&mut view, &keys);
    assert_eq!(summary(&view, 1), "e1, e0");
    assert_eq!(view.focus, Focus::List(1));
}

#[test]
fn a_switch_is_turned_and_turned_back() {
    let mut view = view();
    press(
        &mut view,
        &[Key::Down, Key::Down, Key::Right, Key::Char(' ')],
    );
    assert_eq!(summary(&view, 2), "nothing");
    press(&mut view, &[Key::Down, Key::Char(' ')]);
    assert_eq!(summary(&view, 2), "ssh");
}

#[test]
fn lines_are_added_checked_and_removed() {
    let mut view = view();
    press(
        &mut view,
        &[Key::Down, Key::Down, Key::Down, Key::Right, Key::Enter],
    );
    press(&mut view, &typed("/nowhere"));
    press(&mut view, &[Key::Enter]);
    assert_eq!(view.message.as_deref(), Some("there is no /nowhere"));
    press(&mut view, &[Key::Clear]);
    press(&mut view, &typed("/data q:ro"));
    let outcome = press(&mut view, &[Key::Enter]);
    assert_eq!(outcome, Outcome::Changed(SectionId::Shares));
    assert_eq!(summary(&view, 3), "/data q:ro");
    press(&mut view, &[Key::Delete]);
    assert_eq!(summary(&view, 3), "none");
}

#[test]
fn the_page_shows_everything_and_no_control_characters() {
    let picture = picture(&view(), (60, 14));
    let text = picture.join("\n");
    for part in [
        "aicage: Codex",
        "/home/me/ä project",
        "and what was typed: --docker -p 80:80",
        "> Base         debian  about debian",
        "  Extensions   none",
        "  Access       gitconfig",
        "Image: aicage:codex-debian: here",
        "Enter start",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn the_row_with_the_cursor_is_seen_however_small_the_terminal_is() {
    let mut view = view();
    press(&mut view, &[Key::Down, Key::Right]);
    for _ in 0..25 {
        press(&mut view, &[Key::Down]);
    }
    for size in [(60, 14), (20, 5), (20, 3)] {
        let text = picture(&view, size).join("\n");
        assert!(text.contains("> [ ] e25"), "{size:?}:\n{text}");
    }
    for size in [(1, 1), (2, 2), (5, 1), (1, 20)] {
        picture(&view, size);
    }
}
