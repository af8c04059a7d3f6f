//! The first-run screen: all that a start will do on one page, changed by keys, started by Enter.
//!
//! Invariants: pure but for `screen`; what is told meanwhile is told afterwards, so that nothing is drawn over the page
//! and nothing is lost; leaving it changes nothing.

mod draw;
mod keys;
pub mod page;
mod screen;

use crate::{context::Context, diagnostic::Diagnostic, exit_status::ExitStatus};

use keys::{Outcome, View};
use page::{ImageState, Page, SectionId};
use screen::{Input, Screen};

/// What a page needs to know of the world while it is shown.
pub trait Desk {
    /// Says what is known of the image for what is chosen; may take its time.
    fn image(&self, page: &Page) -> impl Future<Output = ImageState>;

    /// Says what is wrong with a text that was typed in a section.
    fn check(&self, section: SectionId, text: &str) -> Result<(), String>;

    /// Brings the page in order after something else was chosen in a section.
    fn follow(&self, page: &mut Page, section: SectionId);
}

/// Tells whether the terminal says how large it is; some, of programs, have no size.
pub fn has_room() -> bool {
    ratatui::crossterm::terminal::size().is_ok_and(|(width, height)| width > 0 && height > 0)
}

/// Shows `page` until it is started or left, and returns it as it is then.
pub async fn show(context: &Context, page: Page, desk: &impl Desk) -> Result<Page, Diagnostic> {
    let _held = context.printer.hold();
    let failed = |error: std::io::Error| {
        Diagnostic::new(
            "overview",
            ExitStatus::Failed,
            "cannot draw on this terminal",
        )
        .caused_by(Some(&error))
        .hint("`--menu plain` asks in lines, `--menu none` asks nothing")
    };
    let left = || Diagnostic::new("interrupted", ExitStatus::Interrupted, "interrupted");
    let mut screen = Screen::open(context.printer.talk_colour()).map_err(failed)?;
    let mut view = View::new(page);
    loop {
        screen.draw(&view).map_err(failed)?;
        let asked = view.page.clone();
        let mut is_asking = view.page.image == ImageState::Asking;
        let mut looking = std::pin::pin!(desk.image(&asked));
        loop {
            let input = tokio::select! {
                biased;
                () = context.interrupt.wait() => return Err(left()),
                input = screen.next() => Some(input),
                image = &mut looking, if is_asking => {
                    is_asking = false;
                    view.page.image = image;
                    None
                }
            };
            let outcome = match input {
                Some(Input::Key(key)) => {
                    view.press(key, &|section, text| desk.check(section, text))
                }
                Some(Input::Draw) | None => Outcome::Stay,
                Some(Input::End) => return Err(left()),
            };
            match outcome {
                Outcome::Start => return Ok(view.page),
                Outcome::Leave => return Err(left()),
                Outcome::Changed(section) => {
                    desk.follow(&mut view.page, section);
                    if concerns_the_image(section) {
                        view.page.image = ImageState::Asking;
                        // What was being found out is of no use any more.
                        break;
                    }
                }
                Outcome::Stay => {}
            }
            screen.draw(&view).map_err(failed)?;
        }
    }
}

fn concerns_the_image(section: SectionId) -> bool {
    match section {
        SectionId::Base | SectionId::Extensions | SectionId::ImageName => true,
        SectionId::Shares | SectionId::ExtensionShares | SectionId::Access | SectionId::Options => {
            false
        }
    }
}

#[cfg(test)]
mod tests;
