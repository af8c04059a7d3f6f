//! Layers as tar archives.
use std::io::{self, Read, Write};

use crate::{IndexBuilder, LayerItem, PathIndex};

/// What a reader accepts at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Number of items in a layer.
    pub entries: u64,
    /// Bytes of a path or link target.
    pub path_bytes: usize,
    /// Bytes of one extended header.
    pub header_bytes: usize,
    /// Bytes of the whole archive.
    pub total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 4_000_000, path_bytes: 4095, header_bytes: 1 << 20, total_bytes: 1 << 40 }
    }
}

/// Why a layer could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes could not be had.
    #[error("cannot read the layer")]
    Io {
        /// What the source said.
        #[source]
        source: io::Error,
    },
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The bytes could not be put.
    #[error("cannot write the layer")]
    Io {
        /// What the sink said.
        #[source]
        source: io::Error,
    },
}

/// Writes a layer, item by item in the order of a layer.
#[derive(Debug)]
pub struct LayerWriter<W> {
    inner: W,
}

/// Reads a layer from an untrusted tar.
#[derive(Debug)]
pub struct LayerReader<R> {
    inner: R,
}

impl<W: Write> LayerWriter<W> {
    /// Starts a layer.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }
    /// Appends one item with its content: exactly as many bytes as the item says (`io::empty()` for all but files).
    pub fn append(&mut self, _item: &LayerItem, _content: impl Read) -> Result<(), WriteError> {
        todo!()
    }
    /// Ends the layer.
    pub fn finish(self) -> Result<W, WriteError> {
        Ok(self.inner)
    }
}

impl<R: Read> LayerReader<R> {
    /// Starts reading; give a buffered source, headers are read 512 bytes at a time.
    pub fn new(inner: R, _limits: Limits) -> Self {
        Self { inner }
    }
    /// Returns the next item, skipping what was not read of the content before it.
    pub fn next_item(&mut self) -> Result<Option<LayerItem>, ReadError> {
        todo!()
    }
    /// Reads the source to its end and returns it.
    pub fn finish(self) -> Result<R, ReadError> {
        Ok(self.inner)
    }
}

/// Reads the content of the item that [`LayerReader::next_item`] returned last.
impl<R: Read> Read for LayerReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

/// Why a captured layer was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum RecanonicaliseError {
    /// What was sent is not a layer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was sent breaks the order or the rules of a layer, or cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Copies a layer that must already be in canonical order, checking all of it, and indexes it on the way.
pub fn recanonicalise<R: Read, W: Write>(_reader: LayerReader<R>, _writer: LayerWriter<W>) -> Result<(W, PathIndex), RecanonicaliseError> {
    let _builder = IndexBuilder::default();
    todo!()
}
