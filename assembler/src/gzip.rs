//! Gzip for layers of ours: blocks compressed side by side, the same bytes whatever the number of threads.
//!
//! Format: a concatenation of gzip members (RFC 1952, section 2.2), each of [`BLOCK`] bytes of input but the last, each
//! with a fixed header (no time, OS 255) at [`LEVEL`]. Every gzip reader joins members; engines, skopeo and umoci do.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{Scope, ScopedJoinHandle},
};

use flate2::{Compression, GzBuilder};

/// Bytes of input per member. Raising it changes the bytes of every layer: see CHANGELOG, "image bytes".
const BLOCK: usize = 1 << 20;
/// Level 1: a layer is compressed once, on the way to a container the user waits for (240 MB/s against 80 at level 6).
const LEVEL: u32 = 1;

type Block = Vec<u8>;

/// Compresses what is written to it and passes the result on to `W`, in order.
#[derive(Debug)]
pub(crate) struct GzipWriter<'scope, W> {
    inner: W,
    block: Block,
    workers: Vec<Worker<'scope>>,
    /// Which worker was given each block that has not come back yet, oldest first.
    pending: VecDeque<usize>,
    next: usize,
    members: u64,
}

#[derive(Debug)]
struct Worker<'scope> {
    blocks: Option<SyncSender<Block>>,
    members: Receiver<io::Result<Block>>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope, W: Write> GzipWriter<'scope, W> {
    /// Starts `threads` compressors in `scope`.
    pub(crate) fn new<'env>(scope: &'scope Scope<'scope, 'env>, threads: usize, inner: W) -> Self {
        let workers = (0..threads.max(1))
            .map(|_| {
                let (blocks, from_writer) = sync_channel::<Block>(2);
                let (to_writer, members) = sync_channel(2);
                let thread = scope.spawn(move || {
                    for block in from_writer {
                        if to_writer.send(member(&block)).is_err() {
                            return;
                        }
                    }
                });
                Worker {
                    blocks: Some(blocks),
                    members,
                    thread: Some(thread),
                }
            })
            .collect();
        Self {
            inner,
            block: Vec::with_capacity(BLOCK),
            workers,
            pending: VecDeque::new(),
            next: 0,
            members: 0,
        }
    }

    /// Compresses what is left and returns the inner writer.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        // An empty stream still is one member.
        if !self.block.is_empty() || self.members == 0 {
            self.hand_out()?;
        }
        while !self.pending.is_empty() {
            self.take_back()?;
        }
        for worker in &mut self.workers {
            worker.blocks = None;
            if let Some(thread) = worker.thread.take()
                && thread.join().is_err()
            {
                return Err(io::Error::other("a compressing thread panicked"));
            }
        }
        Ok(self.inner)
    }

    fn hand_out(&mut self) -> io::Result<()> {
        // A worker holds at most two blocks; taking the oldest back first keeps both channels from filling up.
        if self.pending.len() >= 2 * self.workers.len() {
            self.take_back()?;
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let index = self.next % self.workers.len();
        let worker = &self.workers[index];
        let blocks = worker.blocks.as_ref().expect("only `finish` takes it away");
        blocks
            .send(block)
            .map_err(|_closed| io::Error::other("a compressing thread ended early"))?;
        self.pending.push_back(index);
        self.next += 1;
        self.members += 1;
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        let Some(index) = self.pending.pop_front() else {
            return Ok(());
        };
        let member = self.workers[index]
            .members
            .recv()
            .map_err(|_closed| io::Error::other("a compressing thread ended early"))??;
        self.inner.write_all(&member)
    }
}

impl<W: Write> Write for GzipWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK - self.block.len();
        let taken = bytes.len().min(room);
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.hand_out()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn member(block: &[u8]) -> io::Result<Block> {
    let out = Vec::with_capacity(block.len() / 2 + 64);
    let mut encoder = GzBuilder::new()
        .operating_system(255)
        .write(out, Compression::new(LEVEL));
    encoder.write_all(block)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn compress(data: &[u8], threads: usize) -> Vec<u8> {
        std::thread::scope(|scope| {
            let mut writer = GzipWriter::new(scope, threads, Vec::new());
            writer.write_all(data).unwrap();
            writer.finish().unwrap()
        })
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes_and_they_read_back() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 17] {
            let data: Vec<u8> = (0..length)
                .map(|i| u8::try_from(i * i / 7 % 251).unwrap())
                .collect();
            let one = compress(&data, 1);
            assert_eq!(one, compress(&data, 3), "{length}");
            let mut back = Vec::new();
            flate2::read::MultiGzDecoder::new(one.as_slice())
                .read_to_end(&mut back)
                .unwrap();
            assert_eq!(back, data, "{length}");
        }
    }
}
