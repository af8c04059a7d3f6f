//! The `aicage` program: from argv to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    aicage::program::run(std::env::args_os().collect())
}
