//! Unpacking only as long as somebody wants it.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicBool, Ordering},
};

/// A tar that breaks off when nobody wants it any more.
#[derive(Debug)]
pub struct Wanted<'a, R> {
    tar: R,
    is_over: &'a AtomicBool,
}

impl<'a, R: Read> Wanted<'a, R> {
    /// Reads `tar` until `is_over` is set.
    pub fn new(tar: R, is_over: &'a AtomicBool) -> Self {
        Self { tar, is_over }
    }
}

impl<R: Read> Read for Wanted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.tar.read(buffer)
    }
}
