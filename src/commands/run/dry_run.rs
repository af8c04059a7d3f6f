//! `--dry-run`: the `docker run` line that would do the same, and nothing else.

use crate::{
    container_options::{self, docker_run},
    context::Context,
    diagnostic::Diagnostic,
    engine::docker::Docker,
    engine::session::SessionSpec,
    exit_status::ExitStatus,
};

/// Prints the `docker run` line that would do the same.
pub(super) async fn dry_run(
    context: &Context,
    docker: &Docker,
    spec: &SessionSpec,
) -> Result<ExitStatus, Diagnostic> {
    if docker.image(&spec.image).await?.is_none() {
        let image = &spec.image;
        context.printer.talk(&format!(
            "the engine has no image {image}; a start would make it first, as `aicage plan` tells"
        ));
    }
    let words = docker_run::words(spec, docker.info());
    if context.printer.is_json() {
        context.printer.json(&DryRun {
            schema: "aicage.dry-run/1",
            image: &spec.image,
            argv: words,
        })?;
    } else {
        let line = container_options::text::join(&words);
        context.printer.line(&line);
    }
    Ok(ExitStatus::Done)
}

/// `aicage.dry-run/1`
#[derive(Debug, serde::Serialize)]
struct DryRun<'a> {
    schema: &'static str,
    image: &'a str,
    argv: Vec<String>,
}
