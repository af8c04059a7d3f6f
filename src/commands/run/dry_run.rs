//! `--dry-run`: what a start would do, and nothing else: for an engine the line of its own client that does the same.

use std::collections::BTreeMap;

use crate::{
    container_options::{self, docker_run},
    context::Context,
    diagnostic::Diagnostic,
    engine::{
        Engine,
        docker::Docker,
        session::{Access, SessionSpec},
    },
    exit_status::ExitStatus,
    image_source, proxy,
};

/// Prints what a start would do.
pub(super) async fn dry_run(
    context: &Context,
    engine: &Engine,
    spec: &SessionSpec,
) -> Result<ExitStatus, Diagnostic> {
    match engine {
        Engine::Docker(docker) => line(context, docker, spec).await,
        Engine::Native(_) => facts(context, spec),
    }
}

/// Prints the `docker run` line that would do the same.
async fn line(
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
            schema: SCHEMA,
            image: &spec.image,
            argv: words,
        })?;
    } else {
        let line = container_options::text::join(&words);
        context.printer.line(&line);
    }
    Ok(ExitStatus::Done)
}

/// Prints what the machine itself would do, for which no other program has a line.
fn facts(context: &Context, spec: &SessionSpec) -> Result<ExitStatus, Diagnostic> {
    let image = &spec.image;
    if image_source::ours(context, &image.parse()?)?.is_none() {
        context.printer.talk(&format!(
            "there is no image {image} yet; a start would make it first, as `aicage plan` tells"
        ));
    }
    let facts = Facts::of(spec);
    if context.printer.is_json() {
        context.printer.json(&facts)?;
        return Ok(ExitStatus::Done);
    }
    let said = |label: &str, text: &str| context.printer.line(&format!("{label:<9}{text}"));
    said("engine", facts.engine);
    said("image", image);
    said("command", &container_options::text::join(&facts.command));
    for mount in &facts.mounts {
        let access = if mount.writable {
            "writable"
        } else {
            "read only"
        };
        let what = if mount.source == mount.target {
            mount.source.clone()
        } else {
            format!("{} at {}", mount.source, mount.target)
        };
        said("mount", &format!("{what} ({access})"));
    }
    for (name, value) in &facts.env {
        said("env", &format!("{name}={value}"));
    }
    if !facts.options.is_empty() {
        said("options", &container_options::text::join(&facts.options));
    }
    Ok(ExitStatus::Done)
}

const SCHEMA: &str = "aicage.dry-run/1";

/// `aicage.dry-run/1`, of an engine.
#[derive(Debug, serde::Serialize)]
struct DryRun<'a> {
    schema: &'static str,
    image: &'a str,
    argv: Vec<String>,
}

/// `aicage.dry-run/1`, of the machine itself: there is no `argv`.
#[derive(Debug, serde::Serialize)]
struct Facts<'a> {
    schema: &'static str,
    image: &'a str,
    engine: &'static str,
    /// After the image's entrypoint.
    command: Vec<String>,
    mounts: Vec<Mount>,
    env: BTreeMap<&'a str, String>,
    /// Options of the container, as they are typed.
    options: Vec<String>,
}

#[derive(Debug, serde::Serialize)]
struct Mount {
    source: String,
    target: String,
    writable: bool,
}

impl<'a> Facts<'a> {
    fn of(spec: &'a SessionSpec) -> Self {
        let mut flags = spec.options.flags.clone();
        // They are among the variables.
        flags.env.clear();
        flags.label.clear();
        let mounts = spec.mounts.iter().map(|mount| Mount {
            source: mount.source.display().to_string(),
            target: mount.target.display().to_string(),
            writable: mount.access == Access::ReadWrite,
        });
        let shown =
            |(name, value): (&'a String, &String)| (name.as_str(), proxy::shown(name, value));
        let entrypoint = spec.entrypoint.iter().flatten();
        Self {
            schema: SCHEMA,
            image: &spec.image,
            engine: "native",
            command: entrypoint.chain(&spec.command).cloned().collect(),
            mounts: mounts.collect(),
            env: spec.env.iter().map(shown).collect(),
            options: flags.words(),
        }
    }
}
