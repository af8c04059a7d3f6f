//! A stream that remembers why it stopped taking bytes.
//!
//! Invariant: after the first failure nothing more is written; a broken pipe is not a failure, it is the reader's wish.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// One stream of the program.
pub(super) struct Sink {
    stream: Box<dyn Write + Send>,
    ended: bool,
    failure: Option<io::Error>,
    held: Option<Vec<u8>>,
}

impl Sink {
    pub(super) fn new(stream: Box<dyn Write + Send>) -> Self {
        Self {
            stream,
            ended: false,
            failure: None,
            held: None,
        }
    }

    /// Keeps what is written from now on.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Writes what was kept.
    pub(super) fn release(&mut self) {
        let held = self.held.take();
        self.write(&held.unwrap_or_default());
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
        } else if !self.ended {
            let outcome = self.stream.write_all(bytes);
            self.note(outcome);
        }
    }

    pub(super) fn flush(&mut self) {
        if !self.ended {
            let outcome = self.stream.flush();
            self.note(outcome);
        }
    }

    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.ended = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failure = Some(error);
            }
        }
    }
}

/// What a captured printer printed so far.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    stdout: Kept,
    stderr: Kept,
}

impl Captured {
    pub(super) fn pair() -> (Self, Sink, Sink) {
        let captured = Self::default();
        let stdout = Sink::new(Box::new(captured.stdout.clone()));
        let stderr = Sink::new(Box::new(captured.stderr.clone()));
        (captured, stdout, stderr)
    }

    /// Returns what went to stdout.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns what went to stderr.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(io::ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_but_a_full_disk_is() {
        let mut pipe = Sink::new(Box::new(Refuses(io::ErrorKind::BrokenPipe)));
        pipe.write(b"x");
        assert!(pipe.take_failure().is_none());
        let mut disk = Sink::new(Box::new(Refuses(io::ErrorKind::StorageFull)));
        disk.write(b"x");
        let failure = disk.take_failure().map(|error| error.kind());
        assert_eq!(failure, Some(io::ErrorKind::StorageFull));
    }
}
