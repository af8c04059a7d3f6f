//! Shows long work.

/// The schema of the lines that `--progress json` puts on stderr.
pub const SCHEMA: &str = "aicage.progress/1";
