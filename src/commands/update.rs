//! `aicage update`: asks the registries and the agents' `version.sh`, and rebuilds only what must be.

use assembler::store::ImageRecord;
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
    plan::Plan,
    printer,
    selection::{Selection, find_agent, find_base},
    supply::Ask,
    update_check,
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
            Ok((plan, gone)) => {
                outdated |= !plan.is_done() || gone.is_some();
                reports.push(report(&selection, (&plan, gone)));
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
) -> Result<(Plan, Option<String>), Diagnostic> {
    let (plan, gone) = update_check::plan_newest(context, selection, Ask::Always).await?;
    if let (Some(gone), true) = (&gone, plan.is_done()) {
        if !context.printer.is_json() {
            let name = plan.reference.familiar();
            context.printer.line(&format!("{name}: gone: {gone}"));
        }
        return Ok((plan, Some(gone.clone())));
    }
    if !context.printer.is_json() {
        let verdict = if plan.is_done() && context.options.offline {
            "up to date as far as is known; with `--offline` nobody was asked".to_owned()
        } else if plan.is_done() {
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
    Ok((plan, gone))
}

/// Returns what there are images of, narrowed as was asked.
fn selections<'a>(
    context: &'a Context,
    args: &UpdateArgs,
) -> Result<Vec<Selection<'a>>, Diagnostic> {
    let (store, _) = context.store()?;
    if let Some(name) = &args.agent {
        find_agent(context, name)?;
    }
    if let Some(name) = &args.base {
        find_base(context, name)?;
    }
    let mut found = Vec::new();
    for record in store.tags()? {
        let Some(parts) = &record.parts else {
            continue;
        };
        let fits =
            |asked: &Option<String>, part: &str| asked.as_ref().is_none_or(|asked| asked == part);
        // What was not asked for is not warned of.
        if fits(&args.agent, &parts.agent)
            && fits(&args.base, &parts.base)
            && let Some(selection) = made_of(context, &record)
        {
            found.push(selection);
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

/// Returns the selection that an image was made of; `None` for other images.
fn made_of<'a>(context: &'a Context, record: &ImageRecord) -> Option<Selection<'a>> {
    let made = record.parts.as_ref()?;
    let catalogue = context.catalogue();
    let name = record.reference.familiar();
    let missing = |noun: &str, id: &str| {
        context.printer.warn(&format!(
            "{name} cannot be updated: there is no {noun} `{id}` any more"
        ));
    };
    let Some(agent) = catalogue.agents.get(&made.agent) else {
        missing("agent", &made.agent);
        return None;
    };
    let Some(base) = catalogue.bases.get(&made.base) else {
        missing("base", &made.base);
        return None;
    };
    let mut extensions = Vec::new();
    for id in &made.extensions {
        let Some(extension) = catalogue.extensions.get(id) else {
            missing("extension", id);
            return None;
        };
        extensions.push(extension);
    }
    Some(Selection {
        reference: record.reference.clone(),
        ..Selection::new(agent, base, extensions)
    })
}
