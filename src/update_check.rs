//! At a start with an image at hand: whether there is something newer, and what the user wants done about it.
//!
//! Invariants: registries are asked side by side under one deadline, and not again within the check interval, whether
//! they answered or not; no failure here keeps the agent from starting. `version.sh` takes longer than a start may, so
//! another process of ours asks it while the session runs (`doc/decisions/0008-version-after-the-start.md`).

use std::process::Stdio;

use assembler::{provenance::How, provenance::Kind, reference::ImageReference, store::ImageRecord};
use clap::Args;
use futures_util::future::join_all;

use crate::{
    base_image, clock,
    context::Context,
    diagnostic::Diagnostic,
    dockerfiles,
    exit_status::ExitStatus,
    memory::{self, Remembered},
    names,
    plan::{self, Plan, Want},
    printer,
    prompt::{self, Usually},
    selection::{Choice, Selection, select},
    settings::config::UpdatePolicy,
    supply::{self, Ask, Offer},
    transport, version,
};

/// Registries that did not answer at a start.
pub const FAILED: &str = "unanswered";
/// Images whose user was told what is newer.
const CONSIDERED: &str = "considered";
/// Agents whose `version.sh` is being asked.
const ASKED: &str = "version-asked";

/// Returns the plan for something newer that is to be applied before the agent starts.
pub async fn newer(
    context: &Context,
    selection: &Selection<'_>,
    held: &Plan,
) -> Result<Option<Plan>, Diagnostic> {
    let policy = context.settings.config.update.policy;
    let Some(record) = &held.held else {
        return Ok(None);
    };
    if context.options.offline || policy == UpdatePolicy::Never {
        return Ok(None);
    }
    let questions = questions(context, selection, record)?;
    let mut due = Vec::new();
    for reference in &questions {
        if is_due(context, reference)? {
            due.push(reference);
        }
    }
    ask(context, &due).await?;
    let name = selection.reference.to_string();
    let known = Some(knowledge(context, selection, &questions)?);
    let told = memory::recall(&context.settings.state(), CONSIDERED, &name);
    if told.is_some_and(|told| told.value == known && supply::is_fresh(context, &told.checked_at)) {
        return Ok(None);
    }
    let considered = Remembered::new(known, &context.now);
    // Made of what is known by now; where too little is known there is nothing to say.
    let plan = plan::plan(context, selection, Want::Newest(Ask::Never)).await;
    let plan = plan.ok().filter(|plan| !plan.is_done());
    let wanted = match &plan {
        Some(plan) => is_wanted(context, selection, plan).await?,
        None => false,
    };
    // Only now: a question that was interrupted is asked again.
    supply::remember(context, CONSIDERED, &name, &considered);
    Ok(plan.filter(|_| wanted))
}

/// Returns what registries are asked for an image.
pub fn questions(
    context: &Context,
    selection: &Selection<'_>,
    record: &ImageRecord,
) -> Result<Vec<ImageReference>, Diagnostic> {
    let (store, _) = context.store()?;
    let mut questions = below(context, selection, record)?;
    let local = store.tagged(&base_image::local_name(selection.base))?;
    for record in [Some(record), local.as_ref()].into_iter().flatten() {
        for named in dockerfiles::questions(context, record)? {
            if !questions.contains(&named) {
                questions.push(named);
            }
        }
    }
    Ok(questions)
}

/// Returns what is asked for what the image stands on.
fn below(
    context: &Context,
    selection: &Selection<'_>,
    record: &ImageRecord,
) -> Result<Vec<ImageReference>, Diagnostic> {
    let (store, _) = context.store()?;
    let base = selection.base;
    if let Some(local) = store.tagged(&base_image::local_name(base))? {
        let root = local
            .base
            .map(|root| root.reference)
            .filter(|root| !transport::is_file(root))
            .and_then(|root| root.parse::<ImageReference>().ok())
            .filter(|root| !names::is_ours(root));
        return Ok(root.into_iter().collect());
    }
    if base.is_custom() {
        return Ok(Vec::new());
    }
    let mut questions = Vec::new();
    if selection.agent.is_published() {
        questions.push(base_image::published_final(context, selection));
    }
    if !base_image::was_pulled(context, selection, record) {
        questions.push(base_image::published_name(context, base));
    }
    Ok(questions)
}

/// Plans the newest image. Where a registry no longer has what the image at hand was made of, the image stays as it is,
/// and the second value says so.
pub async fn plan_newest(
    context: &Context,
    selection: &Selection<'_>,
    ask: Ask,
) -> Result<(Plan, Option<String>), Diagnostic> {
    let plan = plan::plan(context, selection, Want::Newest(ask)).await;
    let (store, _) = context.store()?;
    let Some(record) = store.tagged(&selection.reference)? else {
        return Ok((plan?, None));
    };
    let gone = gone(context, selection, &record)?;
    match plan {
        Ok(plan) => Ok((plan, gone)),
        Err(diagnostic) if diagnostic.code() == "base-missing" && gone.is_some() => {
            Ok((plan::plan(context, selection, Want::Held).await?, gone))
        }
        Err(diagnostic) => Err(diagnostic),
    }
}

/// Says which name that the image at hand was made of its registry no longer has.
fn gone(
    context: &Context,
    selection: &Selection<'_>,
    record: &ImageRecord,
) -> Result<Option<String>, Diagnostic> {
    let finals = base_image::published_final(context, selection);
    let is_pulled = base_image::was_pulled(context, selection, record);
    for reference in questions(context, selection, record)? {
        // That no finished image is published is nothing new to one that was never pulled.
        if reference == finals && !is_pulled {
            continue;
        }
        if let Some(answer) = supply::last_answer(context, &reference)?
            && answer.is_none
        {
            return Ok(Some(format!(
                "{} no longer has {} (asked at {}); the image at hand stays as it is",
                reference.registry(),
                reference.familiar(),
                answer.at
            )));
        }
    }
    Ok(None)
}

/// Tells whether the interval is over since a registry was asked for `reference`.
pub fn is_due(context: &Context, reference: &ImageReference) -> Result<bool, Diagnostic> {
    let answered = supply::last_answer(context, reference)?;
    let failed = memory::recall(&context.settings.state(), FAILED, &reference.to_string());
    let times = [
        answered.map(|answer| answer.at),
        failed.map(|failed| failed.checked_at),
    ];
    Ok(!times
        .iter()
        .flatten()
        .any(|at| supply::is_fresh(context, at)))
}

/// Asks all at once; whoever has not answered at the deadline is left alone until the interval is over.
pub async fn ask(context: &Context, due: &[&ImageReference]) -> Result<(), Diagnostic> {
    if due.is_empty() {
        return Ok(());
    }
    let limit = context.settings.config.deadline();
    let deadline = tokio::time::Instant::now() + limit;
    let asked = due.iter().map(|reference| async move {
        let answer = tokio::time::timeout_at(deadline, supply::question(context, reference)).await;
        let failure = match answer {
            Ok(Ok(Ok(Offer::There(_) | Offer::None | Offer::Unknown(_)))) => None,
            Ok(Ok(Err(error))) => Some(Diagnostic::from(error).sentence()),
            Ok(Err(diagnostic)) => Some(diagnostic.sentence()),
            Err(_elapsed) => Some(format!("no answer within {} s", limit.as_secs_f32())),
        };
        (*reference, failure)
    });
    let state = context.settings.state();
    for (reference, failure) in join_all(asked).await {
        let name = reference.to_string();
        let Some(failure) = failure else {
            memory::forget(&state, FAILED, &name);
            continue;
        };
        let answer = Remembered::new(Some(failure.clone()), &context.now);
        supply::remember(context, FAILED, &name, &answer);
        let last = match supply::last_answer(context, reference)? {
            Some(last) => format!("it last answered {}", clock::ago(&last.at, &context.now)),
            None => "it never answered".to_owned(),
        };
        context.printer.warn(&format!(
            "cannot tell whether {} has something newer: {failure}; {last}",
            reference.familiar()
        ));
    }
    Ok(())
}

/// Returns all that is known by now, as one text: another text is another state of knowledge. Times alone would not do,
/// as much can be learned in one second.
fn knowledge(
    context: &Context,
    selection: &Selection<'_>,
    questions: &[ImageReference],
) -> Result<String, Diagnostic> {
    let mut known = vec![
        version::known(context, selection).unwrap_or_default(),
        version::checked_at(context, selection).unwrap_or_default(),
    ];
    for reference in questions {
        known.extend(supply::last_answer(context, reference)?.map(|answer| answer.at));
    }
    Ok(known.join(" "))
}

async fn is_wanted(
    context: &Context,
    selection: &Selection<'_>,
    plan: &Plan,
) -> Result<bool, Diagnostic> {
    if context.settings.config.update.policy == UpdatePolicy::Auto {
        return Ok(true);
    }
    let name = plan.reference.familiar();
    let mut news = plan.reasons.clone();
    if plan.download() > 0 {
        news.push(format!("to download: {}", printer::bytes(plan.download())));
    }
    let news = format!("{name} can be updated: {}", news.join("; "));
    if prompt::can_ask(context) {
        context.printer.talk(&news);
        return prompt::confirm(context, "Update it before the start?", Usually::Yes).await;
    }
    let agent = &selection.agent.id;
    context
        .printer
        .talk(&format!("{news}; `aicage update {agent}` does it"));
    Ok(false)
}

/// What the process takes that asks `version.sh` while a session runs.
#[derive(Debug, Args)]
pub struct RefreshArgs {
    agent: String,
    #[arg(long)]
    base: String,
}

/// Leaves a process behind that asks `version.sh`, when its last answer is too old; the next start knows its answer.
pub fn refresh_version(context: &Context, selection: &Selection<'_>, plan: &Plan) {
    let installed_here = plan.held.as_ref().is_some_and(|held| {
        let mut layers = held.layers.iter();
        layers.any(|layer| layer.origin.kind == Kind::Agent && layer.how != How::Pulled)
    });
    if context.options.offline
        || context.settings.config.update.policy == UpdatePolicy::Never
        || !installed_here
    {
        return;
    }
    version::tell_failure(context, selection);
    let name = version::name(selection);
    let asked = memory::recall(&context.settings.state(), ASKED, &name);
    let times = [
        version::checked_at(context, selection),
        asked.map(|asked| asked.checked_at),
    ];
    if times
        .iter()
        .flatten()
        .any(|at| supply::is_fresh(context, at))
    {
        return;
    }
    let now = Remembered::new(None, &context.now);
    supply::remember(context, ASKED, &name, &now);
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let set = context.options.settings();
    let set = set.iter().map(ToString::to_string);
    let child = tokio::process::Command::new(program)
        .args([
            "__version",
            &selection.agent.id,
            "--base",
            &selection.base.id,
        ])
        // It is to ask, or not to ask, as this run was told.
        .args(set.flat_map(|option| ["--set".to_owned(), option]))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C on the terminal is meant for the session.
        .process_group(0)
        .spawn();
    if let Err(error) = child {
        context
            .printer
            .warn(&format!("`version.sh` cannot be asked: {error}"));
    }
}

/// Asks `version.sh` for what an image is made of, and remembers the answer.
pub async fn refresh(context: &Context, args: &RefreshArgs) -> Result<ExitStatus, Diagnostic> {
    let choice = Choice {
        base: Some(args.base.clone()),
        ..Choice::default()
    };
    let selection = select(context, &args.agent, &choice)?;
    let base = base_image::find(context, selection.base, Ask::Never).await?;
    let (store, _) = context.store()?;
    let Some(base) = base.record() else {
        return Ok(ExitStatus::Done);
    };
    let image = store.image(&base.digest)?;
    if base_image::missing_bytes(context, &image)? == 0 {
        let newest = version::newest(context, &selection, &image, Ask::WhenOld);
        version::failed_unseen(context, &selection);
        newest?;
    }
    Ok(ExitStatus::Done)
}
