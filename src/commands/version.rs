//! `aicage version`.

use serde::Serialize;

use crate::{context::Context, diagnostic::Diagnostic, exit_status::ExitStatus};

#[derive(Debug, Serialize)]
struct VersionReport {
    schema: &'static str,
    version: &'static str,
    architecture: &'static str,
}

/// Prints the version.
pub fn version(context: &Context) -> Result<ExitStatus, Diagnostic> {
    let version = env!("CARGO_PKG_VERSION");
    if context.printer.is_json() {
        context.printer.json(&VersionReport {
            schema: "aicage.version/1",
            version,
            architecture: std::env::consts::ARCH,
        })?;
    } else {
        context.printer.line(&format!("aicage {version}"));
    }
    Ok(ExitStatus::Done)
}
