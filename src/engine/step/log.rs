//! Writes what scripts print, up to a limit.

use std::io::{self, Write};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Most that is kept of what a step prints.
const LIMIT: usize = 64 << 20;

/// What our own program's lines begin with; the last one says why it could not answer in full.
const OURS: &[u8] = b"aicage: ";
/// Most of the end of the output that is looked at for such a line.
const END: usize = 8 << 10;

/// What became of a log.
pub(crate) struct Logged {
    /// Whether it was written.
    pub(crate) outcome: io::Result<()>,
    /// The last line that our own program printed, if that was the last of all.
    pub(crate) last_words: Option<String>,
}

/// Writes all that comes until the container is gone. What comes after the limit, or after an error, is taken and
/// dropped, so that no script waits for us.
pub(crate) fn write(mut printed: mpsc::Receiver<Bytes>, log: &mut (dyn Write + Send)) -> Logged {
    let mut log = Log::new(log);
    while let Some(piece) = printed.blocking_recv() {
        log.take(&piece);
    }
    log.finish()
}

/// A log that is being written.
pub(crate) struct Log<'a> {
    to: &'a mut (dyn Write + Send),
    end: Vec<u8>,
    room: usize,
    outcome: io::Result<()>,
    dropped: u64,
}

impl<'a> Log<'a> {
    pub(crate) fn new(to: &'a mut (dyn Write + Send)) -> Self {
        Self {
            to,
            end: Vec::new(),
            room: LIMIT,
            outcome: Ok(()),
            dropped: 0,
        }
    }

    fn take(&mut self, piece: &[u8]) {
        let tail = piece.get(piece.len().saturating_sub(END)..);
        self.end.extend_from_slice(tail.unwrap_or_default());
        self.end.drain(..self.end.len().saturating_sub(END));
        let kept = piece.get(..self.room.min(piece.len())).unwrap_or_default();
        self.room -= kept.len();
        self.dropped += (piece.len() - kept.len()) as u64;
        if self.outcome.is_ok() {
            self.outcome = self.to.write_all(kept);
        }
    }

    pub(crate) fn finish(self) -> Logged {
        let mut outcome = self.outcome;
        if outcome.is_ok() && self.dropped > 0 {
            let dropped = self.dropped;
            outcome = writeln!(
                self.to,
                "\n[aicage: {dropped} more bytes were printed and are not kept]"
            );
        }
        Logged {
            outcome: outcome.and_then(|()| self.to.flush()),
            last_words: last_words(&self.end),
        }
    }
}

impl Write for Log<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.take(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn last_words(end: &[u8]) -> Option<String> {
    let line = end
        .strip_suffix(b"\n")?
        .rsplit(|byte| *byte == b'\n')
        .next()?;
    let words = String::from_utf8_lossy(line.strip_prefix(OURS)?).into_owned();
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_program_said_at_the_end_is_its_last_words() {
        assert_eq!(
            last_words(b"x\naicage: no room\n").as_deref(),
            Some("no room")
        );
        assert_eq!(last_words(b"aicage: a\n").as_deref(), Some("a"));
        for other in [
            &b""[..],
            b"aicage: cut",
            b"aicage: a\nx\n",
            b"x aicage: a\n",
        ] {
            assert_eq!(last_words(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_flood_is_cut_with_a_note() {
        let (sender, receiver) = mpsc::channel(200);
        for _ in 0..65 {
            sender.try_send(Bytes::from(vec![b'x'; 1 << 20])).unwrap();
        }
        drop(sender);
        let mut log = Vec::new();
        write(receiver, &mut log).outcome.unwrap();
        assert!(log.len() < LIMIT + 100, "{} bytes were kept", log.len());
        let end = String::from_utf8_lossy(&log[LIMIT..]).into_owned();
        assert!(end.contains("1048576 more bytes"), "{end}");
    }
}
