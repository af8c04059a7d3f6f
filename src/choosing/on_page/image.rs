//! What is said of the image: whether it is here, and what it costs to have it.

use super::Offers;
use crate::{
    diagnostic::Diagnostic,
    overview::page::Page,
    plan::{self, LayerAction, Plan, Want, Work},
    printer::bytes,
    selection::select,
    supply::Ask,
};

/// Says what a start would do to the image of what is chosen.
pub(super) async fn look_up(offers: &Offers<'_>, page: &Page) -> Result<Vec<String>, Diagnostic> {
    let choice = offers.choice(page)?;
    let selection = select(offers.context, &offers.agent.id, &choice)?;
    let held = plan::plan(offers.context, &selection, Want::Held).await?;
    if !held.is_done() {
        return Ok(described(&held));
    }
    // What is newer by what is known; nobody is asked for it here.
    let newest = plan::plan(offers.context, &selection, Want::Newest(Ask::Never)).await;
    Ok(match newest {
        Ok(newest) if !newest.is_done() => {
            let mut lines = vec![format!("{}: here; an update would", name(&held))];
            lines.extend(described(&newest).into_iter().skip(1));
            lines
        }
        _ => vec![format!("{}: here and up to date", name(&held))],
    })
}

fn name(plan: &Plan) -> String {
    plan.reference.familiar()
}

/// Says what a plan does, and what it costs.
fn described(plan: &Plan) -> Vec<String> {
    let count = |action| {
        let layers = plan.layers.iter();
        layers.filter(|layer| layer.action == action).count()
    };
    let pulled = count(LayerAction::Pull);
    let mut does = Vec::new();
    if pulled > 0 {
        let size = plan.download();
        let size = if size > 0 {
            format!(", {}", bytes(size))
        } else {
            String::new()
        };
        does.push(format!("pull {}{size}", layers(pulled)));
    }
    let executed: Vec<String> = plan
        .layers
        .iter()
        .filter(|layer| layer.action == LayerAction::Execute)
        .map(|layer| layer.origin.to_string())
        .collect();
    if !executed.is_empty() {
        does.push(format!("run the scripts of {}", executed.join(", ")));
    }
    let verb = match plan.work {
        Work::Pull(_) => "to be pulled",
        Work::Nothing | Work::Build { .. } => "to be put together here",
    };
    let mut lines = vec![format!("{}: {verb}", name(plan))];
    if !does.is_empty() {
        lines.push(does.join("; "));
    }
    lines.extend(plan.reasons.iter().cloned());
    lines
}

fn layers(count: usize) -> String {
    if count == 1 {
        "1 layer".to_owned()
    } else {
        format!("{count} layers")
    }
}
