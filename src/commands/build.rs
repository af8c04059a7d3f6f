//! `aicage build`: makes an agent's image without running it.

use std::path::PathBuf;

use clap::Args;

use crate::{
    commands::run,
    context::Context,
    diagnostic::Diagnostic,
    ensure,
    exit_status::ExitStatus,
    plan::{self, Want},
    selection::select,
    transport,
};

/// What `aicage build` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage build codex\n  \
    aicage build codex --base debian --output oci:./image\n  \
    aicage build codex --offline --output docker-archive:codex.tar")]
pub struct BuildArgs {
    /// The agent.
    pub agent: String,
    /// The base to build on; see `aicage base list`.
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Write the image to `oci:DIR` or `docker-archive:FILE` instead of loading it into Docker.
    #[arg(long, value_name = "WHERE")]
    pub output: Option<Output>,
}

/// Where an image is written to.
#[derive(Clone, Debug)]
pub enum Output {
    /// An OCI layout; one that is there gets the image added.
    Oci(PathBuf),
    /// An archive that `docker load` takes.
    DockerArchive(PathBuf),
}

impl std::str::FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("oci", path)) if !path.is_empty() => Ok(Self::Oci(path.into())),
            Some(("docker-archive", path)) if !path.is_empty() => {
                Ok(Self::DockerArchive(path.into()))
            }
            _ => Err("expected `oci:DIR` or `docker-archive:FILE`".to_owned()),
        }
    }
}

/// Builds or pulls the image and puts it where it was asked for.
pub async fn build(context: &Context, args: &BuildArgs) -> Result<ExitStatus, Diagnostic> {
    let selection = select(context, &args.agent, args.base.as_deref())?;
    let plan = plan::plan(context, selection, Want::Held).await?;
    run::tell(context, selection, &plan);
    let image = ensure::carry_out(context, selection, &plan).await?;
    match &args.output {
        None => run::load(context, &plan, &image).await?,
        Some(Output::Oci(path)) => transport::export_oci(context, &image, &plan.reference, path)?,
        Some(Output::DockerArchive(path)) => {
            transport::export_docker_archive(context, &image, &plan.reference, path)?;
        }
    }
    context
        .printer
        .line(&format!("{} {}", plan.reference.familiar(), image.digest()));
    Ok(ExitStatus::Done)
}
