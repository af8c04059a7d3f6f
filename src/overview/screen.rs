//! The terminal that the page is drawn on, and the keys that come from it.
//!
//! Invariants: drawn on stderr, on the other screen, so that what was there is there again; however it ends, but for
//! SIGKILL, the terminal is as it was; no key that is typed after the last one we asked for is taken from the agent.

use std::{
    io::{self, Stderr, stderr},
    sync::mpsc,
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor,
        event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use tokio::sync::mpsc as channel;

use super::{
    draw::draw,
    keys::{Key, View},
};
use crate::printer::Colour;

/// A terminal in the state that a page needs.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    keys: Keys,
    colour: Colour,
    _taken: Taken,
}

/// What came from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A key.
    Key(Key),
    /// Another size, or nothing of interest: the page is drawn again.
    Draw,
    /// It is gone.
    End,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open(colour: Colour) -> io::Result<Self> {
        enable_raw_mode()?;
        let taken = Taken;
        execute!(stderr(), EnterAlternateScreen, cursor::Hide)?;
        let terminal = Terminal::new(CrosstermBackend::new(stderr()))?;
        Ok(Self {
            terminal,
            keys: Keys::start(),
            colour,
            _taken: taken,
        })
    }

    /// Draws the page.
    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        let colour = self.colour;
        self.terminal.draw(|frame| draw(frame, view, colour))?;
        Ok(())
    }

    /// Waits for what comes next; dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Input {
        self.keys.next().await
    }
}

/// That the terminal is ours; given back when dropped.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        // If even that fails there is nothing left to try.
        execute!(stderr(), LeaveAlternateScreen, cursor::Show).ok();
        disable_raw_mode().ok();
    }
}

/// Reads keys on a thread of its own, one at a time: it asks the terminal for the next only when we do.
struct Keys {
    ask: mpsc::Sender<()>,
    answers: channel::UnboundedReceiver<Input>,
    is_asked: bool,
}

impl Keys {
    fn start() -> Self {
        let (ask, asked) = mpsc::channel();
        let (answer, answers) = channel::unbounded_channel();
        std::thread::spawn(move || {
            while asked.recv().is_ok() {
                let input = match event::read() {
                    Ok(event) => translated(&event),
                    Err(_) => Input::End,
                };
                if answer.send(input).is_err() || input == Input::End {
                    return;
                }
            }
        });
        Self {
            ask,
            answers,
            is_asked: false,
        }
    }

    async fn next(&mut self) -> Input {
        if !self.is_asked {
            if self.ask.send(()).is_err() {
                return Input::End;
            }
            self.is_asked = true;
        }
        let input = self.answers.recv().await.unwrap_or(Input::End);
        self.is_asked = false;
        input
    }
}

fn translated(event: &Event) -> Input {
    let Event::Key(key) = event else {
        return Input::Draw;
    };
    if key.kind == KeyEventKind::Release {
        return Input::Draw;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Input::Key(match key.code {
        KeyCode::Char('c' | 'd') if is_control => Key::Interrupt,
        KeyCode::Char('u') if is_control => Key::Clear,
        KeyCode::Char(_) if is_control || key.modifiers.contains(KeyModifiers::ALT) => {
            return Input::Draw;
        }
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up => Key::Up,
        KeyCode::Down | KeyCode::Tab => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        _ => return Input::Draw,
    })
}
