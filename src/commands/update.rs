//! `aicage update`: asks the registries and the agents' `version.sh`, and rebuilds only what must be.

use clap::Args;
use serde::Serialize;

use crate::{
    commands::{
        plan::{PlanReport, report},
        run,
    },
    context::Context,
    diagnostic::Diagnostic,
    ensure,
    exit_status::ExitStatus,
    names,
    plan::{self, Plan, Want},
    printer,
    selection::{Selection, find_agent, find_base},
    supply::Ask,
};

/// What `aicage update` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage update --check          say what is out of date; exit code 5 if anything is\n  \
    aicage update codex            bring Codex's images up to date\n  \
    aicage update                  bring every image up to date")]
pub struct UpdateArgs {
    /// Only this agent's images.
    pub agent: Option<String>,
    /// Only images on this base.
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Only say what is out of date; exit with 5 if anything is.
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Serialize)]
struct UpdateReport {
    schema: &'static str,
    images: Vec<PlanReport>,
}

/// Checks, and without `--check` rebuilds, every image that is in the store.
pub async fn update(context: &Context, args: &UpdateArgs) -> Result<ExitStatus, Diagnostic> {
    let selections = selections(context, args)?;
    let mut reports = Vec::new();
    let mut outdated = false;
    let mut failed = false;
    for selection in selections {
        match one(context, args, &selection).await {
            Ok(plan) => {
                outdated |= !plan.is_done();
                reports.push(report(&selection, &plan));
            }
            Err(diagnostic) if diagnostic.status() == ExitStatus::Interrupted => {
                return Err(diagnostic);
            }
            // One image that cannot be updated keeps no other from it.
            Err(diagnostic) => {
                context.printer.diagnostic(&diagnostic);
                failed = true;
            }
        }
    }
    if context.printer.is_json() {
        context.printer.json(&UpdateReport {
            schema: "aicage.update/1",
            images: reports,
        })?;
    }
    Ok(if failed {
        ExitStatus::Failed
    } else if args.check && outdated {
        ExitStatus::Difference
    } else {
        ExitStatus::Done
    })
}

/// Checks one image, and without `--check` brings it up to date.
async fn one(
    context: &Context,
    args: &UpdateArgs,
    selection: &Selection<'_>,
) -> Result<Plan, Diagnostic> {
    let plan = plan::plan(context, selection, Want::Newest(Ask::Always)).await?;
    if !context.printer.is_json() {
        let verdict = if plan.is_done() {
            "up to date".to_owned()
        } else {
            plan.reasons.join("; ")
        };
        context
            .printer
            .line(&format!("{}: {verdict}", plan.reference.familiar()));
        if plan.download() > 0 {
            context.printer.line(&format!(
                "  to download: {}",
                printer::bytes(plan.download())
            ));
        }
    }
    if !args.check && !plan.is_done() {
        run::tell(context, selection, &plan);
        let image = ensure::carry_out(context, selection, &plan).await?;
        run::load(context, &plan, &image).await?;
    }
    Ok(plan)
}

/// Returns what there are images of, narrowed as was asked.
fn selections<'a>(
    context: &'a Context,
    args: &UpdateArgs,
) -> Result<Vec<Selection<'a>>, Diagnostic> {
    let (store, _) = context.store()?;
    let agent = match &args.agent {
        Some(name) => Some(find_agent(context, name)?),
        None => None,
    };
    let base = match &args.base {
        Some(name) => Some(find_base(context, name)?),
        None => None,
    };
    let catalogue = context.catalogue();
    let mut found = Vec::new();
    for candidate in catalogue.agents.values() {
        if agent.is_some_and(|agent| agent.id != candidate.id) {
            continue;
        }
        for on in catalogue.bases.values() {
            if base.is_some_and(|base| base.id != on.id) {
                continue;
            }
            if store
                .tagged(&names::final_image(&candidate.id, &on.id))?
                .is_some()
            {
                found.push(Selection::new(candidate, on, Vec::new()));
            }
        }
    }
    if found.is_empty() {
        let what = args.agent.as_ref().map_or_else(
            || "there is no image to update yet".to_owned(),
            |agent| format!("there is no image of `{agent}` to update yet"),
        );
        context
            .printer
            .talk(&format!("{what}; `aicage build <agent>` makes one"));
    }
    Ok(found)
}
