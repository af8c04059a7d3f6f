//! Layers as tar archives: a deterministic writer, a bounded reader, and the strict copy between them.
//!
//! **Format written.** POSIX ustar headers; a PAX header before an entry only for what ustar cannot say (a name or
//! link target over 100 bytes or not ASCII, a number over its octal field, extended attributes as
//! `SCHILY.xattr.<name>`). No user or group names, no times but whole-second mtimes, names without a leading `./`,
//! directories with a trailing `/`, the root as `./`. Items come in the order of a layer: a directory before what
//! is below it and, inside it, the opaque marker, then whiteouts, then names in byte order. Two zero blocks end it.
//!
//! **Format read.** That, and whatever docker, `BuildKit`, buildah, bsdtar and GNU tar have left in registries: v7 and
//! GNU headers, GNU long names, base-256 numbers, PAX local and global headers, sparse files, any order.

mod error;
mod header;
mod limits;
mod overrides;
mod pax;
mod reader;
mod recanonicalise;
mod sparse;
mod writer;

pub use error::{ReadError, WriteError};
pub use limits::Limits;
pub use reader::LayerReader;
pub use recanonicalise::{RecanonicaliseError, recanonicalise};
pub use writer::{LayerWriter, write_sorted};

/// The unit of a tar archive.
const BLOCK: usize = 512;
const BLOCK_U64: u64 = 512;

/// Returns how many zero bytes follow content of this length.
const fn padding(size: u64) -> u64 {
    (BLOCK_U64 - size % BLOCK_U64) % BLOCK_U64
}
