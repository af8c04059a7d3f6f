//! stub
use std::ffi::OsString;
use std::process::ExitCode;
pub(crate) const LAUNCH: &str = "launch";
pub(crate) fn run(_arguments: &[OsString]) -> ExitCode {
    ExitCode::from(2)
}
pub(crate) fn launch(_arguments: &[OsString]) -> ExitCode {
    ExitCode::from(2)
}
