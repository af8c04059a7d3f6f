//! `aicage build`: makes an agent's image without running it.

use assembler::transport::Target;
use clap::Args;

use crate::{
    choosing::{Purpose, choose},
    commands::run,
    context::Context,
    diagnostic::Diagnostic,
    ensure,
    exit_status::ExitStatus,
    plan::{self, Want},
    selection::{Choice, Selection, select},
    supply::Ask,
    transport,
};

/// What `aicage build` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage build codex\n  \
    aicage build codex --base debian --output oci:./image\n  \
    aicage build codex --offline --output docker-archive:codex.tar\n  \
    aicage build codex --from-base --output oci:./image     for those who publish it")]
pub struct BuildArgs {
    /// The agent.
    pub agent: String,
    /// What to put together.
    #[command(flatten)]
    pub choice: Choice,
    /// Make the newest image on its base, even where a finished one is published; the registry and `version.sh` are asked now.
    #[arg(long)]
    pub from_base: bool,
    /// Write the image to `oci:DIR[:TAG]`, `oci-archive:FILE` or `docker-archive:FILE` instead of loading it into Docker.
    #[arg(long, value_name = "WHERE", value_parser = target)]
    pub output: Option<Target>,
}

fn target(text: &str) -> Result<Target, String> {
    Target::parse(text).ok_or_else(|| {
        "expected `oci:DIR[:TAG]`, `oci-archive:FILE` or `docker-archive:FILE`".to_owned()
    })
}

/// Builds or pulls the image and puts it where it was asked for.
pub async fn build(context: &Context, args: &BuildArgs) -> Result<ExitStatus, Diagnostic> {
    let choice = choose(context, &args.agent, (&args.choice, Purpose::Build)).await?;
    let selection = Selection {
        from_base: args.from_base,
        ..select(context, &args.agent, &choice)?
    };
    let want = if args.from_base {
        Want::Newest(Ask::Always)
    } else {
        Want::Held
    };
    let plan = plan::plan(context, &selection, want).await?;
    run::tell(context, &selection, &plan);
    let image = ensure::carry_out(context, &selection, &plan).await?;
    match &args.output {
        None => run::load(context, &plan, &image).await?,
        Some(target) => transport::export(context, &image, &plan.reference, target)?,
    }
    context
        .printer
        .image(&plan.reference.familiar(), image.digest())?;
    Ok(ExitStatus::Done)
}
