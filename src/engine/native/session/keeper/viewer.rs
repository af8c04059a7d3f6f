//! Somebody who looks on, and what waits for that one: counted in bytes, however small the pieces are.
//!
//! Invariant: what waits is bounded. Whoever started the session is waited for; anybody else is left behind, and told.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How many bytes may wait for whoever started the session; a piece is never longer.
const STARTERS: u32 = 256 << 10;
/// How many may wait for anybody else, before that one is left behind.
const VISITORS: u32 = 32 << 20;
/// What a piece takes besides its bytes.
const PIECE: usize = 128;

/// Who looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Whoever started the session.
    Starter,
    /// Anybody else.
    Visitor,
}

/// The end of it where something is printed.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    queue: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    pub(super) part: Part,
    /// A number by which it is asked about.
    pub(super) number: u64,
}

/// The end of it where it is handed on; dropping it is going away.
#[derive(Debug)]
pub(super) struct View {
    queue: mpsc::UnboundedReceiver<Waiting>,
    room: Arc<Semaphore>,
}

/// A piece, and the room that it takes until it is handed on.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) piece: Bytes,
    _room: OwnedSemaphorePermit,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It waits.
    Taken,
    /// There is no room for it.
    Full,
    /// Nobody is there any more.
    Gone,
}

/// Makes both ends.
pub(super) fn look_on(part: Part, number: u64) -> (Viewer, View) {
    let (sender, queue) = mpsc::unbounded_channel();
    let most = match part {
        Part::Starter => STARTERS,
        Part::Visitor => VISITORS,
    };
    let room = Arc::new(Semaphore::new(most as usize));
    let viewer = Viewer {
        queue: sender,
        room: Arc::clone(&room),
        part,
        number,
    };
    (viewer, View { queue, room })
}

impl Viewer {
    /// Hands on a piece, if there is room.
    pub(super) fn offer(&self, piece: &Bytes) -> Offered {
        use tokio::sync::TryAcquireError;
        match Arc::clone(&self.room).try_acquire_many_owned(cost(piece)) {
            Ok(room) => self.take(piece, room),
            Err(TryAcquireError::NoPermits) => Offered::Full,
            Err(TryAcquireError::Closed) => Offered::Gone,
        }
    }

    /// Hands on a piece when there is room; one that goes away meanwhile needs nothing.
    pub(super) async fn give(&self, piece: &Bytes) {
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(cost(piece)).await {
            self.take(piece, room);
        }
    }

    fn take(&self, piece: &Bytes, room: OwnedSemaphorePermit) -> Offered {
        let piece = piece.clone();
        match self.queue.send(Waiting { piece, _room: room }) {
            Ok(()) => Offered::Taken,
            Err(_) => Offered::Gone,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }
}

fn cost(piece: &Bytes) -> u32 {
    u32::try_from(piece.len() + PIECE).unwrap_or(u32::MAX)
}

impl View {
    /// Returns the next piece, which makes room when it is dropped; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Waiting> {
        self.queue.recv().await
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // Whoever waits for room here waits no more.
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_small_pieces_wait_for_a_visitor_and_too_many_bytes_do_not() {
        let (viewer, mut view) = look_on(Part::Visitor, 1);
        let small = Bytes::from_static(b"a line\n");
        for number in 0..100_000 {
            assert_eq!(viewer.offer(&small), Offered::Taken, "piece {number}");
        }
        let large = Bytes::from(vec![0; 1 << 20]);
        let taken = (0..64).take_while(|_| viewer.offer(&large) == Offered::Taken);
        assert!((8..32).contains(&taken.count()), "there is a bound");
        assert_eq!(viewer.offer(&large), Offered::Full);
        drop(view.next().await);
        for _ in 1..100_000 {
            drop(view.next().await);
        }
        assert_eq!(viewer.offer(&large), Offered::Taken, "room was made");
    }

    #[tokio::test]
    async fn whoever_started_it_is_waited_for_until_that_one_goes_away() {
        let (viewer, view) = look_on(Part::Starter, 1);
        let large = Bytes::from(vec![0; 100 << 10]);
        assert_eq!(viewer.offer(&large), Offered::Taken);
        assert_eq!(viewer.offer(&large), Offered::Taken);
        let waiting = tokio::spawn(async move { viewer.give(&large).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "there is no room");
        drop(view);
        waiting.await.unwrap();
    }
}
