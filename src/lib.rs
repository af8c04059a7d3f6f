//! The `aicage` program as a library, so that its parts can be tested through public doors.

pub mod diagnostic;
pub mod engine;
pub mod exit_status;
pub mod init_program;
pub mod printer;
pub mod progress;
