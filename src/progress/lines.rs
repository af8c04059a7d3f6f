//! Progress as lines: one a fact, with the time since the start.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use assembler::{
    provenance::Kind,
    reporter::{Event, Reporter},
};

use super::{is_shown, shown};
use crate::printer::{Printer, bytes, duration, printable};

/// Says one line for each fact.
pub(super) struct Lines {
    printer: Printer,
    start: Instant,
    steps: Mutex<BTreeMap<String, Instant>>,
    /// What is on its way, with what is said of it once it is here.
    shown: Mutex<BTreeMap<String, String>>,
}

impl Lines {
    pub(super) fn new(printer: Printer, start: Instant) -> Self {
        Self {
            printer,
            start,
            steps: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    fn say(&self, fact: &str) {
        let time = self.start.elapsed().as_secs_f32();
        self.printer
            .talk(&format!("{time:>6.1}s {}", printable(fact)));
    }

    fn fetch(&self, event: &Event<'_>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::FetchStarted { blob, of, have } => {
                let (short, size) = (blob.digest.short(), bytes(blob.size));
                let done = format!("pulled layer {short} of {of} ({size})");
                shown.insert(blob.digest.to_string(), done);
                let here = match have {
                    0 => String::new(),
                    have => format!(", {} of it here already", bytes(*have)),
                };
                self.say(&format!("pulling layer {short} of {of} ({size}{here})"));
            }
            Event::FetchDone { digest } => {
                if let Some(done) = shown.remove(&digest.to_string()) {
                    self.say(&done);
                }
            }
            _ => {}
        }
    }

    /// Remembers when a step began, or forgets it and returns how long it took.
    fn clock(&self, origin: &str, begins: Option<Instant>) -> Duration {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let began = match begins {
            Some(now) => steps.insert(origin.to_owned(), now),
            None => steps.remove(origin),
        };
        began.map(|began| began.elapsed()).unwrap_or_default()
    }
}

impl Reporter for Lines {
    fn event(&self, event: Event<'_>) {
        if !is_shown(&event) {
            return;
        }
        match event {
            Event::Resolving { reference } => self.say(&format!("resolving {reference}")),
            Event::FetchStarted { .. } | Event::FetchDone { .. } => self.fetch(&event),
            Event::FetchSkipped { blob, of } => {
                let (short, size) = (blob.digest.short(), bytes(blob.size));
                self.say(&format!("reused layer {short} of {of} ({size})"));
            }
            Event::Retrying {
                what,
                attempt,
                wait,
            } => {
                let wait = duration(wait);
                self.say(&format!("{what} failed; try {attempt} follows in {wait}"));
            }
            Event::StepReused { origin } => self.say(&format!("reused {origin}")),
            Event::StepStarted { origin, log } => {
                self.clock(&origin.to_string(), Some(Instant::now()));
                self.say(&format!("running {origin}, log {}", log.display()));
            }
            Event::StepCapturing { origin } => self.say(&format!("capturing {origin}")),
            Event::StepDone { origin, layer } => {
                let took = duration(self.clock(&origin.to_string(), None));
                let size = bytes(layer.size);
                match origin.kind {
                    Kind::Glue => self.say(&format!("added {origin}: {size}")),
                    _ => self.say(&format!("executed {origin}: {size} in {took}")),
                }
            }
            Event::LoadStarted {
                reference,
                bytes: size,
            } => {
                self.say(&format!("loading {} ({})", shown(reference), bytes(size)));
            }
            Event::LoadDone { reference } => self.say(&format!("loaded {}", shown(reference))),
            Event::Warning { message } => self.printer.warn(message),
            // Bytes on their way are no fact yet; `Event` grows.
            _ => {}
        }
    }
}
