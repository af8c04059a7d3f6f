//! Progress as JSON: one object a line, for programs that watch.
//!
//! Format: `{"schema":"aicage.progress/1","event":"<name>","ms":<since the start>,…}`; sizes in bytes, times in
//! milliseconds, origins as `{kind,id,version}`. Bytes of a blob are told at most five times a second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use assembler::{
    digest::Digest,
    provenance::Origin,
    reporter::{Event, Reporter},
};
use serde_json::{Value, json};

use super::SCHEMA;
use crate::printer::Printer;

/// How often bytes on their way are told.
const INTERVAL: Duration = Duration::from_millis(200);

/// Tells every event to a program.
pub(super) struct Events {
    printer: Printer,
    start: Instant,
    flows: Mutex<BTreeMap<String, Flow>>,
}

/// Bytes on their way: of a blob, or to an engine.
struct Flow {
    so_far: u64,
    told: Instant,
}

impl Events {
    pub(super) fn new(printer: Printer, start: Instant) -> Self {
        Self {
            printer,
            start,
            flows: Mutex::default(),
        }
    }

    fn tell(&self, event: &str, mut fields: Value) {
        fields["schema"] = SCHEMA.into();
        fields["event"] = event.into();
        fields["ms"] = u64::try_from(self.start.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .into();
        self.printer.event(&fields);
    }

    fn flows<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Flow>) -> T) -> T {
        work(&mut self.flows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, name: &str, so_far: u64) {
        let told = Instant::now();
        self.flows(|flows| flows.insert(name.to_owned(), Flow { so_far, told }));
    }

    /// Adds bytes and returns the sum when it is time to tell it.
    fn advance(&self, name: &str, bytes: u64) -> Option<u64> {
        self.flows(|flows| {
            let flow = flows.get_mut(name)?;
            flow.so_far = flow.so_far.saturating_add(bytes);
            if flow.told.elapsed() < INTERVAL {
                return None;
            }
            flow.told = Instant::now();
            Some(flow.so_far)
        })
    }

    fn fetched(&self, digest: &Digest, bytes: u64) {
        if let Some(so_far) = self.advance(&digest.to_string(), bytes) {
            self.tell("fetched", json!({"digest": digest, "bytes": so_far}));
        }
    }
}

impl Reporter for Events {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Resolving { reference } => {
                self.tell("resolving", json!({"reference": reference}));
            }
            Event::FetchStarted { blob, of, have } => {
                self.begin(&blob.digest.to_string(), have);
                let fields = json!({
                    "digest": blob.digest, "size": blob.size, "media_type": blob.media_type, "have": have,
                    "reference": of.reference, "origin": of.origin.map(named),
                });
                self.tell("fetch-started", fields);
            }
            Event::Fetched { digest, bytes } => self.fetched(digest, bytes),
            Event::FetchDone { digest } => self.tell("fetch-done", json!({"digest": digest})),
            Event::FetchSkipped { blob, of } => {
                let fields = json!({
                    "digest": blob.digest, "size": blob.size,
                    "reference": of.reference, "origin": of.origin.map(named),
                });
                self.tell("fetch-skipped", fields);
            }
            Event::Retrying {
                what,
                attempt,
                wait,
            } => {
                let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let fields = json!({"what": what, "attempt": attempt, "wait_ms": wait});
                self.tell("retrying", fields);
            }
            Event::StepReused { origin } => {
                self.tell("step-reused", json!({"origin": named(origin)}));
            }
            Event::StepStarted { origin, log } => {
                let fields = json!({"origin": named(origin), "log": log.display().to_string()});
                self.tell("step-started", fields);
            }
            Event::StepCapturing { origin } => {
                self.tell("step-capturing", json!({"origin": named(origin)}));
            }
            Event::StepDone { origin, layer } => {
                let fields =
                    json!({"origin": named(origin), "digest": layer.digest, "size": layer.size});
                self.tell("step-done", fields);
            }
            Event::LoadStarted { reference, bytes } => {
                self.begin("load", 0);
                self.tell(
                    "load-started",
                    json!({"reference": reference, "size": bytes}),
                );
            }
            Event::LoadSent { bytes } => {
                if let Some(so_far) = self.advance("load", bytes) {
                    self.tell("load-sent", json!({"bytes": so_far}));
                }
            }
            Event::LoadDone { reference } => {
                self.tell("load-done", json!({"reference": reference}));
            }
            Event::Warning { message } => self.printer.warn(message),
            // `Event` grows; what is not known here has no name to be told by.
            _ => {}
        }
    }
}

fn named(origin: &Origin) -> Value {
    json!({"kind": origin.kind, "id": origin.id, "version": origin.version})
}
