//! The user's terminal: raw while a session has it, and as it was afterwards, whatever happens.

use std::{
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The terminal on stdin in raw mode; dropping it restores the mode it had.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    before: Termios,
    raw: Termios,
}

impl RawTerminal {
    /// Makes the terminal raw; `None` if stdin is none.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw)?;
        Ok(Some(Self { before, raw }))
    }

    /// Gives the terminal back for a while.
    pub(crate) fn pause(&self) {
        set(&self.before);
    }

    /// Makes it raw again; whoever had it meanwhile may have changed it.
    pub(crate) fn resume(&self) {
        set(&self.raw);
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        self.pause();
    }
}

/// A terminal that went away has no mode to set.
fn set(mode: &Termios) {
    tcsetattr(io::stdin().as_fd(), OptionalActions::Now, mode).unwrap_or_default();
}

/// Height and width of the terminal, in characters; `None` if there is none or it does not know.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout().as_fd())
        .or_else(|_| tcgetwinsize(io::stdin().as_fd()))
        .ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
