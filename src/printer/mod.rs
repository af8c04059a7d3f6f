//! The only place that prints: results go to stdout, talk goes to stderr.
//!
//! Invariants: nothing but results reaches stdout; a reader that went away ends output quietly, a full disk does not;
//! control characters of strangers (image labels, file names) never reach a terminal; what is a terminal, how wide it
//! is and whether it has colours are values given once.

mod human;
mod sink;
mod style;
mod table;
mod text;

use std::{
    fmt,
    io::{self, BufRead as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::diagnostic::Diagnostic;

pub use human::{bytes, day_and_minute, duration};
pub use sink::Captured;
pub use style::{Colour, ColourWish, Role};
pub use table::{Align, Column, Table};
pub use text::{printable, wrap};

use sink::Sink;

/// The schema of error objects that `--json` puts on stderr.
pub const ERROR_SCHEMA: &str = "aicage.error/1";

/// How wide text for people is when nothing says otherwise.
const USUAL_WIDTH: usize = 100;

/// What one stream can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The terminal's width in columns; `None` where there is no terminal.
    pub width: Option<usize>,
    /// Whether it has colours.
    pub colour: Colour,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// What `--progress` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ProgressMode {
    /// `tty` on a terminal, else `plain`.
    #[default]
    Auto,
    /// Live lines, redrawn.
    Tty,
    /// One line a fact.
    Plain,
    /// One JSON object a line, and nothing else, on stderr.
    Json,
    /// Nothing but failures.
    Quiet,
}

/// Whether questions may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// There is somebody who can answer.
    Asked,
    /// There is no terminal, or it was forbidden.
    Never,
}

/// What a question got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No, or nothing.
    No,
    /// There was nobody to ask.
    NobodyThere,
}

/// What a printer is made of.
#[derive(Clone, Copy, Debug)]
pub struct PrinterSettings {
    /// Where results go.
    pub stdout: Stream,
    /// Where talk goes.
    pub stderr: Stream,
    /// How long work shows; `Auto` must be resolved with [`ProgressMode::resolve`].
    pub progress: ProgressMode,
    /// How results are written.
    pub format: Format,
    /// Whether questions may be asked.
    pub prompts: Prompts,
}

/// Prints. Cheap to clone; all clones share the streams.
#[derive(Clone)]
pub struct Printer {
    shared: Arc<Shared>,
}

struct Shared {
    settings: PrinterSettings,
    stdout: Mutex<Sink>,
    stderr: Mutex<Sink>,
    bars: MultiProgress,
}

/// Why results did not reach whoever reads stdout.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The stream took no more.
    #[error("cannot write the result to stdout")]
    Stdout(#[source] io::Error),
    /// A value has no JSON form.
    #[error("cannot write the result as JSON")]
    Json(#[source] serde_json::Error),
}

/// A live line that shows how far something is.
#[derive(Debug)]
pub struct Meter {
    bar: ProgressBar,
}

impl Meter {
    /// Shows `done` of `total` bytes.
    pub fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// That stderr is kept; what was kept is written when this goes.
pub struct Held {
    printer: Printer,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let shared = &self.printer.shared;
        shared
            .bars
            .set_draw_target(target(shared.settings.progress));
        lock(&shared.stderr).release();
    }
}

/// Returns where live lines go.
fn target(progress: ProgressMode) -> ProgressDrawTarget {
    match progress {
        ProgressMode::Tty => ProgressDrawTarget::stderr_with_hz(10),
        ProgressMode::Auto | ProgressMode::Plain | ProgressMode::Json | ProgressMode::Quiet => {
            ProgressDrawTarget::hidden()
        }
    }
}

impl ProgressMode {
    /// Replaces `Auto` by what suits stderr; `CI` (any value but empty and `false`) and `TERM=dumb` ask for plain lines.
    #[must_use]
    pub fn resolve(self, stderr: Stream, term: Option<&str>, ci: Option<&str>) -> Self {
        let ci = ci.is_some_and(|value| !value.is_empty() && value != "false");
        match self {
            Self::Auto if stderr.width.is_some() && term != Some("dumb") && !ci => Self::Tty,
            Self::Auto => Self::Plain,
            other => other,
        }
    }
}

impl Printer {
    /// Makes the printer of the program's own streams.
    pub fn new(settings: PrinterSettings) -> Self {
        let target = target(settings.progress);
        let stdout = Sink::new(Box::new(io::BufWriter::new(io::stdout())));
        let stderr = Sink::new(Box::new(io::stderr()));
        Self::over(settings, (stdout, stderr), target)
    }

    /// Makes a printer that keeps what it prints, for tests.
    pub fn captured(settings: PrinterSettings) -> (Self, Captured) {
        let (captured, stdout, stderr) = Captured::pair();
        let target = ProgressDrawTarget::hidden();
        (Self::over(settings, (stdout, stderr), target), captured)
    }

    fn over(
        settings: PrinterSettings,
        (stdout, stderr): (Sink, Sink),
        target: ProgressDrawTarget,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                stdout: Mutex::new(stdout),
                stderr: Mutex::new(stderr),
                bars: MultiProgress::with_draw_target(target),
            }),
        }
    }

    /// Returns how results are written.
    pub fn format(&self) -> Format {
        self.shared.settings.format
    }

    /// Tells whether results are written as JSON.
    pub fn is_json(&self) -> bool {
        self.format() == Format::Json
    }

    /// Returns how long work shows.
    pub fn progress_mode(&self) -> ProgressMode {
        self.shared.settings.progress
    }

    /// Tells whether questions may be asked: there is a terminal, and stderr is not for programs.
    pub fn can_ask(&self) -> bool {
        self.shared.settings.prompts == Prompts::Asked && self.progress_mode() != ProgressMode::Json
    }

    /// Returns whether stderr has colours.
    pub fn talk_colour(&self) -> Colour {
        self.shared.settings.stderr.colour
    }

    /// Returns how many columns a line on stderr may have.
    pub fn talk_columns(&self) -> usize {
        self.shared.settings.stderr.width.unwrap_or(USUAL_WIDTH)
    }

    /// Keeps what is said on stderr from now on until the returned value goes: the terminal has a picture on it.
    pub fn hold(&self) -> Held {
        lock(&self.shared.stderr).hold();
        self.bars().set_draw_target(ProgressDrawTarget::hidden());
        Held {
            printer: self.clone(),
        }
    }

    /// Returns how many columns a line of result may have.
    pub fn result_columns(&self) -> usize {
        self.shared.settings.stdout.width.unwrap_or(USUAL_WIDTH)
    }

    /// Returns the live lines, for [`crate::progress`].
    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.shared.bars
    }

    /// Paints `text` for stdout.
    pub fn paint(&self, role: Role, text: &str) -> String {
        self.shared.settings.stdout.colour.paint(role, text)
    }

    /// Paints `text` for stderr.
    pub fn paint_talk(&self, role: Role, text: &str) -> String {
        self.shared.settings.stderr.colour.paint(role, text)
    }

    /// Prints one line of result. The text is ours: what came from strangers goes through [`printable`] first.
    pub fn line(&self, text: &str) {
        self.bars().suspend(|| {
            let mut stdout = lock(&self.shared.stdout);
            stdout.write(text.as_bytes());
            stdout.write(b"\n");
        });
    }

    /// Prints bytes of result as they are.
    pub fn bytes(&self, bytes: &[u8]) {
        lock(&self.shared.stdout).write(bytes);
    }

    /// Prints a value as JSON, on several lines.
    pub fn json(&self, value: &impl Serialize) -> Result<(), PrintError> {
        let text = serde_json::to_string_pretty(value).map_err(PrintError::Json)?;
        self.line(&text);
        Ok(())
    }

    /// Prints an image's name and digest: what a command that makes an image has to say.
    pub fn image(&self, reference: &str, digest: &impl fmt::Display) -> Result<(), PrintError> {
        if self.is_json() {
            return self.json(&serde_json::json!({
                "schema": "aicage.image/1", "reference": reference, "digest": digest.to_string(),
            }));
        }
        self.line(&format!("{reference} {digest}"));
        Ok(())
    }

    /// Prints a table; on a terminal its widest columns give way, elsewhere nothing is cut.
    pub fn table(&self, table: &Table) {
        let Stream { width, colour } = self.shared.settings.stdout;
        for line in table.render(width, colour) {
            self.line(&line);
        }
    }

    /// Says something on stderr that is not a result and not a failure.
    pub fn talk(&self, text: &str) {
        if matches!(
            self.progress_mode(),
            ProgressMode::Json | ProgressMode::Quiet
        ) {
            return;
        }
        self.stderr_line(text);
    }

    /// Says what a question is about, in every mode: nobody is asked about what was not shown.
    pub fn ask_about(&self, text: &str) {
        self.stderr_line(text);
    }

    /// Warns on stderr: something a person should know though the work goes on.
    pub fn warn(&self, message: &str) {
        match self.progress_mode() {
            ProgressMode::Quiet => {}
            ProgressMode::Json => self.event(&serde_json::json!({
                "schema": crate::progress::SCHEMA, "event": "warning", "message": message,
            })),
            ProgressMode::Auto | ProgressMode::Tty | ProgressMode::Plain => {
                let label = self.paint_talk(Role::Warning, "warning:");
                for line in wrap(
                    &format!("{label} {}", printable(message)),
                    self.talk_width(),
                    "  ",
                ) {
                    self.stderr_line(&line);
                }
            }
        }
    }

    /// Prints one machine-readable line on stderr.
    pub(crate) fn event(&self, event: &serde_json::Value) {
        self.stderr_line(&event.to_string());
    }

    /// Prints why the program failed. Failures are shown in every mode.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        self.settle();
        let settings = &self.shared.settings;
        match (settings.progress, settings.format) {
            (ProgressMode::Json, _) => {
                self.event(&diagnostic.to_json(crate::progress::SCHEMA));
            }
            (_, Format::Json) => self.event(&diagnostic.to_json(ERROR_SCHEMA)),
            _ => {
                for line in diagnostic.render(self.talk_width(), settings.stderr.colour) {
                    self.stderr_line(&line);
                }
            }
        }
    }

    /// Ends all live lines: nothing is drawn any more, so that what follows has the terminal to itself.
    pub fn settle(&self) {
        drop(self.bars().clear());
        self.bars().set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Starts a live line that shows how far something is; it goes when the meter is dropped.
    pub fn meter(&self, what: &'static str) -> Meter {
        let template = "{msg:<9} {bar:20} {decimal_bytes}/{decimal_total_bytes} {eta}";
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let bar = self.bars().add(ProgressBar::new(0));
        bar.set_style(style.progress_chars("━╸ "));
        bar.set_message(what);
        Meter { bar }
    }

    /// Asks a yes-or-no question on stderr; the answer is no unless somebody says yes.
    pub fn ask(&self, question: &str) -> Answer {
        if self.shared.settings.prompts == Prompts::Never {
            return Answer::NobodyThere;
        }
        self.bars().suspend(|| {
            let mut stderr = lock(&self.shared.stderr);
            stderr.write(format!("{question} [y/N] ").as_bytes());
            stderr.flush();
            let mut reply = String::new();
            match io::stdin().lock().read_line(&mut reply) {
                Ok(_) if matches!(reply.trim(), "y" | "Y" | "yes" | "Yes" | "YES") => Answer::Yes,
                Ok(_) => Answer::No,
                Err(_unreadable) => Answer::NobodyThere,
            }
        })
    }

    /// Writes out what is buffered and says whether all results arrived. A reader that went away is not a failure.
    pub fn finish(&self) -> Result<(), PrintError> {
        self.settle();
        let mut stdout = lock(&self.shared.stdout);
        stdout.flush();
        stdout
            .take_failure()
            .map_or(Ok(()), |failure| Err(PrintError::Stdout(failure)))
    }

    fn stderr_line(&self, text: &str) {
        self.bars().suspend(|| {
            let mut stderr = lock(&self.shared.stderr);
            stderr.write(format!("{text}\n").as_bytes());
            stderr.flush();
        });
    }

    fn talk_width(&self) -> usize {
        let width = self.shared.settings.stderr.width.unwrap_or(USUAL_WIDTH);
        width.clamp(20, USUAL_WIDTH)
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

/// A thread that died while printing leaves half a line at worst, so its lock is taken all the same.
fn lock(sink: &Mutex<Sink>) -> MutexGuard<'_, Sink> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(progress: ProgressMode, format: Format) -> PrinterSettings {
        let stream = Stream {
            width: None,
            colour: Colour::Never,
        };
        PrinterSettings {
            stdout: stream,
            stderr: stream,
            progress,
            format,
            prompts: Prompts::Never,
        }
    }

    #[test]
    fn results_go_to_stdout_and_talk_to_stderr() {
        let (printer, captured) = Printer::captured(settings(ProgressMode::Plain, Format::Text));
        printer.line("result");
        printer.talk("talk");
        printer.warn("careful");
        printer.finish().unwrap();
        assert_eq!(captured.stdout(), "result\n");
        assert_eq!(captured.stderr(), "talk\nwarning: careful\n");
    }

    #[test]
    fn json_progress_leaves_nothing_but_json_on_stderr_and_quiet_leaves_nothing() {
        let (printer, captured) = Printer::captured(settings(ProgressMode::Json, Format::Text));
        printer.talk("talk");
        printer.warn("careful");
        assert_eq!(
            captured.stderr(),
            "{\"event\":\"warning\",\"message\":\"careful\",\"schema\":\"aicage.progress/1\"}\n"
        );
        let (printer, captured) = Printer::captured(settings(ProgressMode::Quiet, Format::Text));
        printer.talk("talk");
        printer.warn("careful");
        assert_eq!(captured.stderr(), "");
    }

    #[test]
    fn nobody_is_asked_where_there_is_no_terminal() {
        let (printer, captured) = Printer::captured(settings(ProgressMode::Plain, Format::Text));
        assert_eq!(printer.ask("Really?"), Answer::NobodyThere);
        assert_eq!(captured.stderr(), "");
    }

    #[test]
    fn auto_progress_is_live_only_on_a_capable_terminal() {
        let terminal = Stream {
            width: Some(80),
            colour: Colour::Never,
        };
        let pipe = Stream {
            width: None,
            ..terminal
        };
        let auto = ProgressMode::Auto;
        assert_eq!(auto.resolve(terminal, None, None), ProgressMode::Tty);
        assert_eq!(auto.resolve(pipe, None, None), ProgressMode::Plain);
        assert_eq!(
            auto.resolve(terminal, Some("dumb"), None),
            ProgressMode::Plain
        );
        assert_eq!(auto.resolve(terminal, None, Some("1")), ProgressMode::Plain);
        assert_eq!(
            ProgressMode::Tty.resolve(pipe, None, Some("1")),
            ProgressMode::Tty
        );
    }
}
