//! `aicage plan`: says what a run would do to an agent's image, and why; does nothing.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    choosing::{Purpose, choose},
    context::Context,
    diagnostic::{Diagnostic, sentence},
    engine::{Chosen, EngineReport},
    exit_status::ExitStatus,
    plan::{LayerAction, Plan, Work},
    printer::{self, Align, Table},
    selection::{Choice, Selection, select},
    supply::Ask,
    update_check,
};

/// What `aicage plan` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  aicage plan codex\n  aicage plan codex --base debian --json\n\n\
    Registries are asked when their last answer is older than `update.check_interval`; `aicage update --check` asks now."
)]
pub struct PlanArgs {
    /// The agent.
    pub agent: String,
    /// What to put together.
    #[command(flatten)]
    pub choice: Choice,
}

/// Plans the newest image that is known and prints the plan.
pub async fn plan(context: &Context, args: &PlanArgs) -> Result<ExitStatus, Diagnostic> {
    let choice = choose(context, &args.agent, (&args.choice, Purpose::Look)).await?;
    let selection = select(context, &args.agent, &choice)?;
    let (plan, gone) = update_check::plan_newest(context, &selection, Ask::WhenOld).await?;
    let engine = engine(context).await;
    if context.printer.is_json() {
        let engine = engine.ok().map(Chosen::report);
        let image = report(&selection, (&plan, gone));
        context.printer.json(&Report { image, engine })?;
    } else {
        print(context, &selection, &plan);
        context.printer.line(&match engine {
            Ok(chosen) => format!("runs in {}", chosen.in_words()),
            Err(why) => format!("no engine would run it: {why}"),
        });
        if let Some(gone) = gone {
            context.printer.line(&format!("gone: {gone}"));
        }
    }
    Ok(ExitStatus::Done)
}

/// How long an engine may take to say what it is: a plan is of use without one.
const ENGINE: Duration = Duration::from_secs(3);

/// Finds what would run it, or why nothing would.
async fn engine(context: &Context) -> Result<&Chosen, String> {
    match timeout(ENGINE, context.chosen()).await {
        Ok(Ok(chosen)) => Ok(chosen),
        Ok(Err(error)) => Err(sentence(&error)),
        Err(_elapsed) => Err(format!("no answer within {} s", ENGINE.as_secs())),
    }
}

/// What is printed for programs.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    image: PlanReport,
    /// What would run it; `null` if nothing would.
    engine: Option<EngineReport>,
}

/// `aicage.plan/1`
#[derive(Debug, Serialize)]
pub(crate) struct PlanReport {
    schema: &'static str,
    reference: String,
    agent: String,
    base: String,
    extensions: Vec<String>,
    action: &'static str,
    reasons: Vec<String>,
    /// Which name its registry no longer has.
    gone: Option<String>,
    /// Why the image at hand was made.
    made_because: Option<String>,
    download: u64,
    layers: Vec<LayerReport>,
}

#[derive(Debug, Serialize)]
struct LayerReport {
    kind: String,
    id: String,
    version: Option<String>,
    action: LayerAction,
    size: Option<u64>,
}

pub(crate) fn report(
    selection: &Selection<'_>,
    (plan, gone): (&Plan, Option<String>),
) -> PlanReport {
    PlanReport {
        schema: "aicage.plan/1",
        reference: plan.reference.familiar(),
        agent: selection.agent.id.clone(),
        base: selection.base.id.clone(),
        extensions: selection
            .extensions
            .iter()
            .map(|extension| extension.id.clone())
            .collect(),
        action: action(plan),
        reasons: plan.reasons.clone(),
        gone,
        made_because: plan.held.as_ref().and_then(|held| held.reason.clone()),
        download: plan.download(),
        layers: plan
            .layers
            .iter()
            .map(|layer| LayerReport {
                kind: layer.origin.kind.to_string(),
                id: layer.origin.id.clone(),
                version: layer.origin.version.clone(),
                action: layer.action,
                size: layer.size,
            })
            .collect(),
    }
}

fn action(plan: &Plan) -> &'static str {
    match plan.work {
        Work::Nothing => "nothing",
        Work::Pull(_) => "pull",
        Work::Build { .. } => "build",
    }
}

fn print(context: &Context, selection: &Selection<'_>, plan: &Plan) {
    let printer = &context.printer;
    let headline = match plan.work {
        Work::Nothing => "is up to date",
        Work::Pull(_) => "would be pulled",
        Work::Build { .. } => "would be built",
    };
    printer.line(&format!(
        "{} ({} on {}) {headline}",
        plan.reference.familiar(),
        selection.agent.settings.agent_full_name,
        selection.base.id
    ));
    for reason in &plan.reasons {
        printer.line(&format!("  because {reason}"));
    }
    if let (true, Some(held)) = (plan.is_done(), &plan.held)
        && let Some(reason) = &held.reason
    {
        let made = printer::day_and_minute(&held.made_at);
        printer.line(&format!("  made {made} because {reason}"));
    }
    let mut table = Table::new([
        ("LAYER", Align::Left),
        ("VERSION", Align::Left),
        ("SIZE", Align::Right),
        ("ACTION", Align::Left),
    ]);
    for layer in &plan.layers {
        table.row([
            format!("{} {}", layer.origin.kind, layer.origin.id),
            layer.origin.version.clone().unwrap_or_default(),
            layer.size.map(printer::bytes).unwrap_or_default(),
            match layer.action {
                LayerAction::Reuse => "reuse",
                LayerAction::Pull => "pull",
                LayerAction::Execute => "execute",
                LayerAction::BuiltIn => "built-in",
            }
            .to_owned(),
        ]);
    }
    printer.table(&table);
    if plan.download() > 0 {
        printer.line(&format!("to download: {}", printer::bytes(plan.download())));
    }
}
