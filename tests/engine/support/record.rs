//! What is noted of a step while it runs: warnings, bytes sent, its log.

use std::io::Write;

use assembler::reporter::{Event, Reporter};
use tokio_util::sync::CancellationToken;

/// Takes note of warnings and of bytes sent.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) warnings: std::sync::Mutex<Vec<String>>,
    pub(crate) sent: std::sync::atomic::AtomicU64,
}

impl Reporter for Recorder {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Warning { message } => self.warnings.lock().unwrap().push(message.to_owned()),
            Event::LoadSent { bytes } => {
                self.sent
                    .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// What a script prints to be interrupted.
pub(crate) const INTERRUPT_ME: &str = "interrupt me";

/// A step's log; the step is interrupted once its script asks for it.
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    interrupt: CancellationToken,
}

impl Log {
    pub(crate) fn new(interrupt: &CancellationToken) -> Self {
        Self {
            bytes: Vec::new(),
            interrupt: interrupt.clone(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        // A script asks at once; what floods the log is not looked through.
        if self.bytes.len() < 4096 && self.text().contains(INTERRUPT_ME) {
            self.interrupt.cancel();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
