//! What a key does to the page.
//!
//! Invariant: pure. Enter starts from the list of sections; Esc and Ctrl-C leave from there and change nothing; within a
//! section Esc goes back.

use super::page::{Body, Page, SectionId};

/// A key, as far as the page has a use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Ctrl-U: the line is emptied.
    Clear,
    /// Ctrl-C.
    Interrupt,
    /// Any other.
    Char(char),
}

/// Where the cursor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    /// On a section of the list.
    List(usize),
    /// On a row of an open section.
    Open {
        /// The section.
        section: usize,
        /// Its row.
        row: usize,
    },
    /// In a text.
    Typing {
        /// The section.
        section: usize,
        /// The row that is changed.
        row: usize,
        /// What is typed so far.
        text: String,
    },
}

/// What a key led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing but another picture.
    Stay,
    /// Something else is chosen in this section.
    Changed(SectionId),
    /// It is to be started.
    Start,
    /// It is to be left.
    Leave,
}

/// The page, the cursor, and what is to be told.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The page.
    pub(super) page: Page,
    /// The cursor.
    pub(super) focus: Focus,
    /// What is wrong with what was typed or chosen.
    pub(super) message: Option<String>,
}

/// Says what is wrong with a text that was typed in a section.
pub(super) type Check<'a> = &'a dyn Fn(SectionId, &str) -> Result<(), String>;

impl View {
    /// Shows a page from its begin.
    pub(super) fn new(page: Page) -> Self {
        Self {
            page,
            focus: Focus::List(0),
            message: None,
        }
    }

    /// Takes one key.
    pub(super) fn press(&mut self, key: Key, check: Check<'_>) -> Outcome {
        self.message = None;
        if key == Key::Interrupt {
            return Outcome::Leave;
        }
        match self.focus.clone() {
            Focus::List(at) => self.in_list(at, key),
            Focus::Open { section, row } => self.in_section((section, row), key),
            Focus::Typing { section, row, text } => {
                self.in_text((section, row), text, (key, check))
            }
        }
    }

    fn in_list(&mut self, at: usize, key: Key) -> Outcome {
        let last = self.page.sections.len().saturating_sub(1);
        match key {
            Key::Enter => return Outcome::Start,
            Key::Escape | Key::Char('q') => return Outcome::Leave,
            Key::Up | Key::Char('k') => self.focus = Focus::List(at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.focus = Focus::List((at + 1).min(last)),
            Key::Right | Key::Char(' ') => self.open(at),
            _ => {}
        }
        Outcome::Stay
    }

    fn open(&mut self, at: usize) {
        let Some(section) = self.page.sections.get(at) else {
            return;
        };
        self.focus = match &section.body {
            Body::One { chosen, .. } => Focus::Open {
                section: at,
                row: *chosen,
            },
            Body::Text { text, .. } => Focus::Typing {
                section: at,
                row: 0,
                text: text.clone(),
            },
            Body::Ordered { items, .. } if items.is_empty() => {
                self.message = Some("there are none".to_owned());
                Focus::List(at)
            }
            Body::Switches { items } if items.is_empty() => {
                self.message = Some("there is nothing of the kind here".to_owned());
                Focus::List(at)
            }
            Body::Ordered { .. } | Body::Switches { .. } | Body::Lines { .. } => Focus::Open {
                section: at,
                row: 0,
            },
        };
    }

    fn in_section(&mut self, (at, row): (usize, usize), key: Key) -> Outcome {
        let Some(section) = self.page.sections.get_mut(at) else {
            return Outcome::Stay;
        };
        let last = section.rows().saturating_sub(1);
        let to = |row| Focus::Open { section: at, row };
        match key {
            Key::Up => self.focus = to(row.saturating_sub(1)),
            Key::Down => self.focus = to((row + 1).min(last)),
            Key::Left | Key::Escape => self.focus = Focus::List(at),
            Key::Delete | Key::Backspace => {
                if let Body::Lines { lines, .. } = &mut section.body
                    && row < lines.len()
                {
                    lines.remove(row);
                    self.focus = to(row.min(lines.len()));
                    return Outcome::Changed(section.id);
                }
            }
            Key::Enter | Key::Right | Key::Char(' ') => return self.choose((at, row), key),
            // A letter goes to the next name that begins with it.
            Key::Char(letter) => {
                let after = (row + 1..=last).chain(0..=row);
                let next = after
                    .into_iter()
                    .find(|&row| section.begins_with(row, letter));
                self.focus = to(next.unwrap_or(row));
            }
            _ => {}
        }
        Outcome::Stay
    }

    fn choose(&mut self, (at, row): (usize, usize), key: Key) -> Outcome {
        let Some(section) = self.page.sections.get_mut(at) else {
            return Outcome::Stay;
        };
        let id = section.id;
        let refused = match &section.body {
            Body::One { items, .. } | Body::Ordered { items, .. } => {
                items.get(row).and_then(|item| item.refused.clone())
            }
            Body::Switches { items } => items.get(row).and_then(|(item, _)| item.refused.clone()),
            Body::Lines { .. } | Body::Text { .. } => None,
        };
        if refused.is_some() {
            self.message = refused;
            return Outcome::Stay;
        }
        match &mut section.body {
            Body::One { chosen, .. } => {
                self.focus = Focus::List(at);
                if *chosen == row {
                    return Outcome::Stay;
                }
                *chosen = row;
            }
            // Enter is done with a list of boxes; the space bar ticks them.
            Body::Ordered { .. } | Body::Switches { .. } if key == Key::Enter => {
                self.focus = Focus::List(at);
                return Outcome::Stay;
            }
            Body::Ordered { chosen, .. } => match chosen.iter().position(|&there| there == row) {
                Some(place) => drop(chosen.remove(place)),
                None => chosen.push(row),
            },
            Body::Switches { items } => {
                if let Some((_, is_on)) = items.get_mut(row) {
                    *is_on = !*is_on;
                }
            }
            Body::Lines { lines, .. } => {
                self.focus = Focus::Typing {
                    section: at,
                    row,
                    text: lines.get(row).cloned().unwrap_or_default(),
                };
                return Outcome::Stay;
            }
            Body::Text { .. } => return Outcome::Stay,
        }
        Outcome::Changed(id)
    }

    fn in_text(
        &mut self,
        (at, row): (usize, usize),
        mut text: String,
        (key, check): (Key, Check<'_>),
    ) -> Outcome {
        let Some(section) = self.page.sections.get_mut(at) else {
            return Outcome::Stay;
        };
        let back = match &section.body {
            Body::Lines { .. } => Focus::Open { section: at, row },
            _ => Focus::List(at),
        };
        match key {
            Key::Escape => {
                self.focus = back;
                return Outcome::Stay;
            }
            Key::Enter => {
                let text = text.trim().to_owned();
                if !text.is_empty()
                    && let Err(why) = check(section.id, &text)
                {
                    self.message = Some(why);
                    return Outcome::Stay;
                }
                self.focus = back;
                match &mut section.body {
                    Body::Text { text: there, .. } => *there = text,
                    Body::Lines { lines, .. } => match (lines.get_mut(row), text.is_empty()) {
                        (Some(line), false) => *line = text,
                        (Some(_), true) => drop(lines.remove(row)),
                        (None, false) => lines.push(text),
                        (None, true) => {}
                    },
                    Body::One { .. } | Body::Ordered { .. } | Body::Switches { .. } => {}
                }
                return Outcome::Changed(section.id);
            }
            Key::Backspace => drop(text.pop()),
            Key::Clear => text.clear(),
            Key::Char(c) => text.push(c),
            _ => {}
        }
        self.focus = Focus::Typing {
            section: at,
            row,
            text,
        };
        Outcome::Stay
    }
}
