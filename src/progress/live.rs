//! Progress on a terminal: lines that change while work goes on, and lasting ones for what was achieved.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use assembler::{
    provenance::Kind,
    reporter::{Event, Reporter},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{is_shown, shown};
use crate::printer::{Printer, Role, bytes, duration, printable};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Makes a line that is drawn nowhere until it has its place; it would draw itself, whatever is on the terminal.
fn unseen() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
}

/// Draws lines that change.
pub(super) struct Live {
    printer: Printer,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Live {
    pub(super) fn new(printer: Printer) -> Self {
        Self {
            printer,
            bars: Mutex::default(),
        }
    }

    fn bars<T>(&self, work: impl FnOnce(&mut BTreeMap<String, ProgressBar>) -> T) -> T {
        work(&mut self.bars.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts a line; one of the same name is replaced.
    fn begin(&self, name: String, bar: ProgressBar) {
        let bar = self.printer.bars().add(bar);
        bar.enable_steady_tick(TICK);
        self.end(&name);
        self.bars(|bars| bars.insert(name, bar));
    }

    /// Removes a line and returns it, for what it knows.
    fn end(&self, name: &str) -> Option<ProgressBar> {
        let bar = self.bars(|bars| bars.remove(name))?;
        bar.finish_and_clear();
        Some(bar)
    }

    fn advance(&self, name: &str, bytes: u64) {
        self.bars(|bars| {
            if let Some(bar) = bars.get(name) {
                bar.inc(bytes);
            }
        });
    }

    /// Leaves a lasting line: what became of something, and the thing.
    fn achieved(&self, role: Role, how: &str, what: &str) {
        let how = self.printer.paint_talk(role, &format!("{how:<9}"));
        self.printer.talk(&format!("{how} {}", printable(what)));
    }

    fn fetch(&self, event: &Event<'_>) {
        match event {
            Event::FetchStarted { blob, of, have } => {
                let bar = unseen().with_style(flow(self.printer.talk_columns()));
                bar.set_length(blob.size);
                bar.set_position(*have);
                bar.set_prefix("pulling");
                bar.set_message(printable(&format!("{}  {of}", blob.digest.short())));
                self.begin(blob.digest.to_string(), bar);
            }
            Event::FetchDone { digest } => {
                if let Some(bar) = self.end(&digest.to_string()) {
                    let size = bytes(bar.length().unwrap_or_default());
                    let took = duration(bar.elapsed());
                    let what = format!("{}  {size}  {took}", bar.message());
                    self.achieved(Role::Good, "pulled", &what);
                }
            }
            Event::FetchSkipped { blob, of } => {
                let what = format!("{}  {of}  {}", blob.digest.short(), bytes(blob.size));
                self.achieved(Role::Faint, "reused", &what);
            }
            _ => {}
        }
    }

    fn step(&self, event: &Event<'_>) {
        match event {
            Event::StepReused { origin } => {
                self.achieved(Role::Faint, "reused", &origin.to_string());
            }
            Event::StepStarted { origin, log } => {
                let bar = unseen().with_style(wait(self.printer.talk_columns()));
                bar.set_prefix("running");
                let log = log.display().to_string();
                bar.set_message(printable(&format!("{origin}  log {log}")));
                self.begin(origin.to_string(), bar);
            }
            Event::StepCapturing { origin } => self.bars(|bars| {
                if let Some(bar) = bars.get(&origin.to_string()) {
                    bar.set_prefix("capturing");
                    bar.set_message(printable(&origin.to_string()));
                }
            }),
            Event::StepDone { origin, layer } => {
                let bar = self.end(&origin.to_string());
                let took = bar.map(|bar| duration(bar.elapsed())).unwrap_or_default();
                let what = format!("{origin}  {}  {took}", bytes(layer.size));
                let done = match origin.kind {
                    Kind::Glue => "added",
                    _ => "executed",
                };
                self.achieved(Role::Good, done, &what);
            }
            _ => {}
        }
    }

    fn load(&self, event: &Event<'_>) {
        match event {
            Event::LoadStarted { reference, bytes } => {
                let bar = unseen().with_style(flow(self.printer.talk_columns()));
                bar.set_length(*bytes);
                bar.set_prefix("loading");
                bar.set_message(printable(shown(reference)));
                self.begin("load".to_owned(), bar);
            }
            Event::LoadSent { bytes } => self.advance("load", *bytes),
            Event::LoadDone { reference } => {
                if let Some(bar) = self.end("load") {
                    let what = format!("{}  {}", shown(reference), bytes(bar.position()));
                    self.achieved(Role::Good, "loaded", &what);
                }
            }
            _ => {}
        }
    }
}

impl Reporter for Live {
    fn event(&self, event: Event<'_>) {
        if !is_shown(&event) {
            return;
        }
        match event {
            Event::Resolving { reference } => {
                let bar = unseen().with_style(wait(self.printer.talk_columns()));
                bar.set_prefix("resolving");
                bar.set_message(printable(reference));
                self.begin("resolve".to_owned(), bar);
            }
            Event::Fetched { digest, bytes } => self.advance(&digest.to_string(), bytes),
            Event::Retrying {
                what,
                attempt,
                wait,
            } => {
                let what = format!("{what}; try {attempt} follows in {}", duration(wait));
                self.achieved(Role::Notable, "retrying", &what);
            }
            Event::Warning { message } => self.printer.warn(message),
            _ => {
                // Whatever comes next, the looking up is over.
                self.end("resolve");
                self.fetch(&event);
                self.step(&event);
                self.load(&event);
            }
        }
    }
}

/// Bytes on their way. A line that is longer than the terminal is wide would be drawn anew below itself.
fn flow(columns: usize) -> ProgressStyle {
    style(match columns {
        0..30 => "{prefix} {percent}%",
        30..80 => "{prefix:<9} {wide_msg} {decimal_bytes}/{decimal_total_bytes}",
        _ => {
            "{prefix:<9} {msg} {bar:20} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}"
        }
    })
    .progress_chars("━╸ ")
}

/// Something that takes its time.
fn wait(columns: usize) -> ProgressStyle {
    style(match columns {
        0..30 => "{prefix} {elapsed}",
        _ => "{prefix:<9} {wide_msg} {spinner} {elapsed}",
    })
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed")
}
