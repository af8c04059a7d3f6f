//! Makes sure that the engine has the image that an agent is started from.
//!
//! Invariant: an update that fails is told, and what is at hand is started; only without anything at hand it is an error.

use assembler::image::Image;

use crate::{
    cli::RunOptions,
    context::Context,
    diagnostic::Diagnostic,
    engine::docker::LoadRequest,
    ensure,
    exit_status::ExitStatus,
    plan::{self, Plan, Want},
    selection::Selection,
    supply::Ask,
    update_check,
};

/// Makes sure that the engine has the image and returns the name it has there.
pub(super) async fn prepare(
    context: &Context,
    selection: &Selection<'_>,
    options: &RunOptions,
) -> Result<String, Diagnostic> {
    let mut plan = plan::plan(context, selection, Want::Held).await?;
    let newest = if options.update {
        Some(newest(context, selection).await)
    } else if plan.is_done() && !options.no_update {
        update_check::newer(context, selection, &plan)
            .await
            .transpose()
    } else {
        None
    };
    match newest {
        // Without an image at hand there is nothing else to start.
        Some(newest) if plan.held.is_none() => plan = newest?,
        Some(Ok(newest)) if !plan.is_done() => plan = newest,
        Some(newest) => match apply(context, selection, newest).await {
            Ok(newer) => plan = newer,
            Err(diagnostic) if diagnostic.status() == ExitStatus::Interrupted => {
                return Err(diagnostic);
            }
            Err(diagnostic) => {
                context.printer.diagnostic(&diagnostic);
                let instead = if plan.is_done() {
                    "the image could not be updated; starting the one at hand"
                } else {
                    "what is newest could not be found out; going by what is known"
                };
                context.printer.warn(instead);
            }
        },
        None => {}
    }
    let image = make(context, selection, &plan).await?;
    load(context, &plan, &image).await?;
    if !options.no_update {
        update_check::refresh_version(context, selection, &plan);
    }
    Ok(plan.reference.familiar())
}

/// Plans the newest image; what its registry no longer has is told.
async fn newest(context: &Context, selection: &Selection<'_>) -> Result<Plan, Diagnostic> {
    let (plan, gone) = update_check::plan_newest(context, selection, Ask::Always).await?;
    if let Some(gone) = gone {
        context.printer.warn(&gone);
    }
    Ok(plan)
}

/// Makes the newer image, and returns the plan by which it is there.
async fn apply(
    context: &Context,
    selection: &Selection<'_>,
    newest: Result<Plan, Diagnostic>,
) -> Result<Plan, Diagnostic> {
    let newest = newest?;
    make(context, selection, &newest).await?;
    plan::plan(context, selection, Want::Held).await
}

async fn make(
    context: &Context,
    selection: &Selection<'_>,
    plan: &Plan,
) -> Result<Image, Diagnostic> {
    tell(context, selection, plan);
    ensure::carry_out(context, selection, plan).await
}

/// Says what is about to happen to the image, before it takes time.
pub(crate) fn tell(context: &Context, selection: &Selection<'_>, plan: &Plan) {
    if plan.is_done() {
        return;
    }
    let verb = match plan.work {
        plan::Work::Pull(_) => "pulling",
        plan::Work::Nothing | plan::Work::Build { .. } => "building",
    };
    context.printer.talk(&format!(
        "{verb} {} ({} on {}): {}",
        plan.reference.familiar(),
        selection.agent.settings.agent_full_name,
        selection.base.id,
        plan.reasons.join("; ")
    ));
}

/// Loads `image` into the engine under its name; this machine itself runs what is in the store.
pub(crate) async fn load(context: &Context, plan: &Plan, image: &Image) -> Result<(), Diagnostic> {
    let Some(docker) = context.engine().await?.docker() else {
        return Ok(());
    };
    let (store, lock) = context.store()?;
    let request = LoadRequest {
        store,
        lock,
        image,
        reference: &plan.reference,
        reporter: context.reporter.as_ref(),
    };
    docker.load(&request).await?;
    Ok(())
}
