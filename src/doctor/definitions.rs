//! Definitions that cannot be used, or are hidden by others, and the agent that was asked for.

use crate::{
    choosing::{Purpose, choose},
    context::Context,
    definition::catalogue::Catalogue,
    diagnostic::Diagnostic,
    engine::docker::Docker,
    selection::{Choice, select},
};

use super::finding::{Check, Finding};

/// Tells what is wrong with definitions.
pub(super) fn look(catalogue: &Catalogue) -> Vec<Finding> {
    let mut findings: Vec<Finding> = catalogue
        .problems
        .iter()
        .map(|problem| {
            let next = match &problem.id {
                Some(id) => format!("aicage {} check {id}", problem.noun),
                None => format!("aicage {} list", problem.noun),
            };
            Finding::problem(
                Check::Definitions,
                problem.sentence(),
                "It is as if it were not there, and so is a built-in one of the same name.",
            )
            .next(next)
        })
        .collect();
    findings.extend(catalogue.hidden.iter().map(|hidden| {
        Finding::note(Check::Definitions, hidden.sentence()).next(format!(
            "diff -r {} {}",
            hidden.by.display(),
            hidden.path.display()
        ))
    }));
    if findings.is_empty() {
        findings.push(Finding::ok(
            Check::Definitions,
            format!(
                "{} agents, {} bases, {} extensions",
                catalogue.agents.len(),
                catalogue.bases.len(),
                catalogue.extensions.len()
            ),
        ));
    }
    findings
}

/// Tells how it is with an agent in this project.
pub(super) async fn agent(context: &Context, name: &str, docker: Option<&Docker>) -> Finding {
    match held(context, name, docker).await {
        Ok(finding) => finding,
        Err(diagnostic) => {
            let next = diagnostic.advice().unwrap_or("aicage agent list");
            Finding::problem(
                Check::Agent,
                diagnostic.sentence(),
                "It cannot be started here.",
            )
            .next(next)
        }
    }
}

async fn held(
    context: &Context,
    name: &str,
    docker: Option<&Docker>,
) -> Result<Finding, Diagnostic> {
    let choice = choose(context, name, (&Choice::default(), Purpose::Look)).await?;
    let selection = select(context, name, &choice)?;
    let image = selection.reference.familiar();
    let base = &selection.base.id;
    let is_stored = context.settings.store().join("oci-layout").exists()
        && context.store()?.0.tagged(&selection.reference)?.is_some();
    let is_loaded = match docker {
        Some(docker) => docker.image(&image).await?.is_some(),
        None => false,
    };
    Ok(match (is_stored, is_loaded) {
        (true, true) => Finding::ok(
            Check::Agent,
            format!("`{name}` on `{base}`: {image} is in the store and in the engine"),
        ),
        (true, false) => Finding::ok(
            Check::Agent,
            format!(
                "`{name}` on `{base}`: {image} is in the store; a start puts it into the engine"
            ),
        ),
        (false, _) => Finding::note(
            Check::Agent,
            format!("`{name}` on `{base}`: {image} is not in the store yet"),
        )
        .why("The first start pulls or builds it, which needs the network.")
        .next(format!("aicage plan {name}")),
    })
}
