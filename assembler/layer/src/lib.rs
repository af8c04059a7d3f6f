//! The arithmetic of layers: paths, entries, the tar format, path indexes, differences, and the walk that
//! captures what changed in a root filesystem.
//!
//! Shared by the program on the host and by the program inside containers, so it stays small and pure Rust.
//!
//! **Invariants.** It knows no network, no clock, no environment, no terminal and no container engine. Nothing
//! here follows a symbolic link. Whatever it reads is bounded, and the same items always give the same bytes.

#[cfg(target_os = "linux")]
pub mod capture;
pub mod difference;
mod entry;
mod index;
mod path;
pub mod tar;

pub use entry::{Entry, EntryKind, IMPLIED, LayerItem, is_of_host};
pub use index::{IndexBuilder, IndexEntry, IndexError, IndexKind, PathIndex, hash_xattrs};
pub use path::{LayerPath, PathError, printable};
