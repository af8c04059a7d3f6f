//! Writes what scripts print, up to a limit.

use std::io::{self, Write};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Most that is kept of what a step prints.
const LIMIT: usize = 64 << 20;

/// Writes all that comes until the container is gone. What comes after the limit, or after an error, is taken and
/// dropped, so that no script waits for us.
pub(super) fn write(
    mut printed: mpsc::Receiver<Bytes>,
    log: &mut (dyn Write + Send),
) -> io::Result<()> {
    let mut room = LIMIT;
    let mut outcome = Ok(());
    let mut dropped = 0_u64;
    while let Some(piece) = printed.blocking_recv() {
        let kept = piece.get(..room.min(piece.len())).unwrap_or_default();
        room -= kept.len();
        dropped += (piece.len() - kept.len()) as u64;
        if outcome.is_ok() {
            outcome = log.write_all(kept);
        }
    }
    if outcome.is_ok() && dropped > 0 {
        outcome = writeln!(
            log,
            "\n[aicage: {dropped} more bytes were printed and are not kept]"
        );
    }
    outcome.and_then(|()| log.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_with_a_note() {
        let (sender, receiver) = mpsc::channel(200);
        for _ in 0..65 {
            sender.try_send(Bytes::from(vec![b'x'; 1 << 20])).unwrap();
        }
        drop(sender);
        let mut log = Vec::new();
        write(receiver, &mut log).unwrap();
        assert!(log.len() < LIMIT + 100, "{} bytes were kept", log.len());
        let end = String::from_utf8_lossy(&log[LIMIT..]).into_owned();
        assert!(end.contains("1048576 more bytes"), "{end}");
    }
}
