//! How the program ends: the only source of exit codes.
//!
//! Invariant: codes 0 to 5, 125 and 130 mean what [`ExitStatus::meaning`] says; any other code is the agent's own.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// What was asked for is done.
    Done,
    /// It could not be done.
    Failed,
    /// The command line or a file the user wrote is wrong.
    Usage,
    /// A policy forbids it.
    Refused,
    /// It needs the network, and `--offline` was given.
    Offline,
    /// A difference was found, and the command was asked to tell (`--check`, `--exit-code`).
    Difference,
    /// The container could not be started.
    NotStarted,
    /// The user interrupted.
    Interrupted,
    /// The agent ran and ended with this code.
    Agent(u8),
}

impl ExitStatus {
    /// All that are ours, in the order of their codes.
    pub const OURS: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Offline,
        Self::Difference,
        Self::NotStarted,
        Self::Interrupted,
    ];

    /// Returns the code that the calling shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Offline => 4,
            Self::Difference => 5,
            Self::NotStarted => 125,
            Self::Interrupted => 130,
            Self::Agent(code) => code,
        }
    }

    /// Returns what the code means, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "the command line or a file you wrote is wrong",
            Self::Refused => "refused by policy",
            Self::Offline => "needs the network, and `--offline` was given",
            Self::Difference => "a difference was found (`--check`, `--exit-code`)",
            Self::NotStarted => "the container could not be started",
            Self::Interrupted => "interrupted",
            Self::Agent(_) => "the agent's own",
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_published_ones_and_the_agents_pass_through() {
        let codes: Vec<u8> = ExitStatus::OURS.into_iter().map(ExitStatus::code).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 125, 130]);
        assert_eq!(ExitStatus::Agent(42).code(), 42);
    }
}
