//! Questions on the terminal: arrow keys, search by typing, Ctrl-C and Esc end the program with 130.
//!
//! Invariants: questions are asked on stderr and only where both stdin and stderr are terminals that can move the
//! cursor; every question has a flag that answers it; however a question ends, but for SIGKILL, the terminal is as it
//! was. This is the only place that knows the prompt library.

mod question;

use std::io::{Write as _, stderr, stdin};

use inquire::{InquireError, ui::RenderConfig};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::{
    aside::aside, context::Context, diagnostic::Diagnostic, exit_status::ExitStatus,
    printer::Colour,
};

pub use question::{Item, ask_extensions, ask_image_name, ask_one};

/// Tells whether there is somebody who can answer.
pub fn can_ask(context: &Context) -> bool {
    context.options.menu != Menu::None
        && context.printer.can_ask()
        && context.settings.environment.term.as_deref() != Some("dumb")
}

/// How questions are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Menu {
    /// All on one page.
    #[default]
    Ui,
    /// One after the other, in lines.
    #[value(alias = "simple")]
    Plain,
    /// Not at all: what is stored or usual is taken.
    None,
}

/// Asks for yes or no; nothing but Enter means yes for [`Usually::Yes`].
pub async fn confirm(
    context: &Context,
    question: &str,
    usually: Usually,
) -> Result<bool, Diagnostic> {
    let question = question.to_owned();
    ask(context, move |config| {
        inquire::Confirm::new(&question)
            .with_default(usually == Usually::Yes)
            .with_render_config(config)
            .prompt()
    })
    .await
}

/// What Enter alone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usually {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// Asks one question on a thread of its own, so that signals are heard meanwhile.
async fn ask<T: Send + 'static>(
    context: &Context,
    question: impl FnOnce(RenderConfig<'static>) -> Result<T, InquireError> + Send + 'static,
) -> Result<T, Diagnostic> {
    let config = match context.printer.talk_colour() {
        Colour::Never => RenderConfig::empty(),
        Colour::Always => RenderConfig::default_colored(),
    };
    let mut terminal = Restored::of_stdin();
    let answer = context
        .unless_interrupted(async { Ok(aside(move || question(config)).await) })
        .await?;
    terminal.is_restored = true;
    answer.map_err(|error| match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => {
            Diagnostic::new("interrupted", ExitStatus::Interrupted, "interrupted")
        }
        InquireError::NotTTY
        | InquireError::InvalidConfiguration(_)
        | InquireError::IO(_)
        | InquireError::Custom(_) => {
            Diagnostic::new("prompt", ExitStatus::Failed, "cannot ask on this terminal")
                .caused_by(Some(&error))
                .hint("give the answer as an option; `aicage run --help` lists them")
        }
    })
}

/// Puts the terminal back when a question is abandoned: its thread still waits for a key.
struct Restored {
    was: Option<Termios>,
    is_restored: bool,
}

impl Restored {
    fn of_stdin() -> Self {
        Self {
            was: tcgetattr(stdin()).ok(),
            is_restored: false,
        }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if self.is_restored {
            return;
        }
        if let Some(was) = &self.was {
            // If even that fails there is nothing left to try.
            tcsetattr(stdin(), OptionalActions::Now, was).ok();
        }
        // Shows the cursor, ends bracketed paste, begins a new line.
        stderr().write_all(b"\x1b[?25h\x1b[?2004l\r\n").ok();
    }
}
