//! The arithmetic of layers: paths, entries, the tar format, diffs.
