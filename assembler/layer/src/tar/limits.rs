//! What the reader accepts at most, so that no archive can use up the machine.

/// Bounds of a [`super::LayerReader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Number of items in a layer.
    pub entries: u64,
    /// Bytes of a path or of a link target. Engines cannot unpack what is over 4095.
    pub path_bytes: usize,
    /// Bytes of all paths and link targets together: whoever indexes a layer has them in memory.
    pub names_bytes: u64,
    /// Bytes of one extended header, and of all extended attributes of an entry together.
    pub header_bytes: usize,
    /// Bytes of the archive, sparse files at their full length.
    pub total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            path_bytes: 4095,
            names_bytes: 512 << 20,
            header_bytes: 1 << 20,
            total_bytes: 1 << 40,
        }
    }
}
