//! The `aicage` program: from argv to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let [_, verb, rest @ ..] = arguments.as_slice()
        && verb == aicage::engine::native::NATIVE
    {
        return aicage::engine::native::run(rest);
    }
    aicage::program::run(arguments)
}
