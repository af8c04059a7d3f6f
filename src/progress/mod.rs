//! Shows long work: live lines on a terminal, a line a fact, a JSON object a line, or nothing.
//!
//! Invariant: nothing here is a result, so all of it goes to stderr, by way of the printer; a wait is always visible:
//! what is awaited, for how long, and where its log is.

mod events;
mod lines;
mod live;

use std::{sync::Arc, time::Instant};

use assembler::reporter::{Event, Reporter, Silent};

use crate::printer::{Printer, ProgressMode};

/// The schema of the lines that `--progress json` puts on stderr.
pub const SCHEMA: &str = "aicage.progress/1";

/// Returns the reporter for the printer's progress mode; times count from `start`.
pub fn reporter(printer: &Printer, start: Instant) -> Arc<dyn Reporter> {
    match printer.progress_mode() {
        ProgressMode::Tty => Arc::new(live::Live::new(printer.clone())),
        ProgressMode::Auto | ProgressMode::Plain => {
            Arc::new(lines::Lines::new(printer.clone(), start))
        }
        ProgressMode::Json => Arc::new(events::Events::new(printer.clone(), start)),
        ProgressMode::Quiet => Arc::new(Silent),
    }
}

/// Names an image that is loaded; names that are for steps only mean nothing to a person.
fn shown(reference: &str) -> &str {
    if reference.starts_with("aicage-step:") {
        "what the next step runs on"
    } else {
        reference
    }
}

/// Tells whether a blob is worth a line of its own to a person: layers are, documents are not.
fn is_shown(event: &Event<'_>) -> bool {
    match event {
        Event::FetchStarted { blob, .. } | Event::FetchSkipped { blob, .. } => {
            let kind = blob.media_type.as_str();
            kind.contains(".layer.") || kind.contains(".rootfs.")
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use assembler::{
        descriptor::{Descriptor, media_type},
        provenance::{Kind, Origin},
        reporter::Contributor,
    };

    use super::*;
    use crate::printer::{Captured, Colour, Format, PrinterSettings, Prompts, Stream};

    fn printer(progress: ProgressMode) -> (Printer, Captured) {
        let stream = Stream {
            width: None,
            colour: Colour::Never,
        };
        Printer::captured(PrinterSettings {
            stdout: stream,
            stderr: stream,
            progress,
            format: Format::Text,
            prompts: Prompts::Never,
        })
    }

    /// Tells a story with every event in it and returns what was printed.
    fn story(progress: ProgressMode) -> String {
        let (printer, captured) = printer(progress);
        let reporter = reporter(&printer, Instant::now());
        let layer = Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer");
        let config = Descriptor::of(media_type::OCI_CONFIG, b"config");
        let origin = Origin {
            kind: Kind::Agent,
            id: "codex".to_owned(),
            version: Some("1.2".to_owned()),
        };
        let here = Descriptor::of(media_type::OCI_LAYER_GZIP, b"here");
        let plain = Contributor {
            reference: "debian:stable",
            origin: None,
        };
        for event in [
            Event::Resolving {
                reference: "debian:stable",
            },
            Event::FetchSkipped {
                blob: &config,
                of: plain,
            },
            Event::FetchSkipped {
                blob: &here,
                of: plain,
            },
            Event::FetchStarted {
                blob: &layer,
                of: Contributor {
                    reference: "company:final",
                    origin: Some(&origin),
                },
                have: 2,
            },
            Event::Fetched {
                digest: &layer.digest,
                bytes: 3,
            },
            Event::FetchDone {
                digest: &layer.digest,
            },
            Event::Retrying {
                what: "GET x",
                attempt: 2,
                wait: Duration::from_millis(500),
            },
            Event::StepReused { origin: &origin },
            Event::StepStarted {
                origin: &origin,
                log: Path::new("/logs/codex.log"),
            },
            Event::StepCapturing { origin: &origin },
            Event::StepDone {
                origin: &origin,
                layer: &layer,
            },
            Event::LoadStarted {
                reference: "aicage:codex-debian",
                bytes: 5,
            },
            Event::LoadSent { bytes: 5 },
            Event::LoadDone {
                reference: "aicage:codex-debian",
            },
            Event::Warning {
                message: "the clock is off",
            },
        ] {
            reporter.event(event);
        }
        assert_eq!(captured.stdout(), "", "progress is no result");
        captured.stderr()
    }

    #[test]
    fn plain_progress_is_a_line_a_fact_with_its_time() {
        let lines: Vec<String> = story(ProgressMode::Plain)
            .lines()
            .map(|line| {
                let (time, fact) = line.split_at_checked(8).unwrap_or(("", line));
                let is_time = time.trim_end().ends_with('s') || line.starts_with("warning:");
                assert!(is_time, "{line} starts with a time");
                if line.starts_with("warning:") {
                    line
                } else {
                    fact
                }
                .to_owned()
            })
            .collect();
        assert_eq!(
            lines,
            [
                "resolving debian:stable",
                "reused layer fcec91509759 of debian:stable (4 B)",
                "pulling layer dac1d7cfa950 of agent codex 1.2 (5 B, 2 B of it here already)",
                "pulled layer dac1d7cfa950 of agent codex 1.2 (5 B)",
                "GET x failed; try 2 follows in 500 ms",
                "reused agent codex 1.2",
                "running agent codex 1.2, log /logs/codex.log",
                "capturing agent codex 1.2",
                "executed agent codex 1.2: 5 B in 0 ms",
                "loading aicage:codex-debian (5 B)",
                "loaded aicage:codex-debian",
                "warning: the clock is off",
            ]
        );
    }

    #[test]
    fn json_progress_is_json_to_the_last_line_and_names_its_schema() {
        let events: Vec<String> = story(ProgressMode::Json)
            .lines()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(value["schema"], SCHEMA);
                value["event"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(
            events,
            [
                "resolving",
                "fetch-skipped",
                "fetch-skipped",
                "fetch-started",
                "fetch-done",
                "retrying",
                "step-reused",
                "step-started",
                "step-capturing",
                "step-done",
                "load-started",
                "load-done",
                "warning",
            ]
        );
    }

    #[test]
    fn quiet_progress_is_silent() {
        assert_eq!(story(ProgressMode::Quiet), "");
    }

    #[test]
    fn live_progress_leaves_what_was_achieved() {
        // Without a terminal behind it only the lasting lines are printed.
        let text = story(ProgressMode::Tty);
        assert!(text.contains("executed  agent codex 1.2"), "{text}");
        assert!(
            text.contains("pulled    dac1d7cfa950  agent codex 1.2  5 B"),
            "{text}"
        );
    }
}
