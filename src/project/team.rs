//! What a repository's team file says of an agent, laid over what the project inherits.

use std::collections::BTreeMap;

use super::{Found, StoredAgent, StoredChoice, merged};
use crate::{
    container_options::stored::Stored,
    settings::{Origin, Scope},
    trust::Team,
};

/// Lays as much of it as counts over what was found; where the project has a choice of `own`, base and extensions are that.
pub(super) fn lay_over(found: &mut Found, team: &Team, own: Option<&StoredChoice>) {
    let file = &team.file;
    let is_agreed = team.is_agreed();
    let mut said = Vec::new();
    let mut layer = StoredAgent::default();
    if own.is_none_or(|own| own.image_ref.is_none()) {
        if let Some(base) = &file.base {
            layer.choice.base = Some(base.clone());
            said.push("base");
        }
        if let Some(extensions) = &file.extensions {
            layer.choice.extensions.clone_from(extensions);
            said.push("extensions");
        }
        found.is_settled = !said.is_empty();
    }
    let mounts = file
        .mounts
        .iter()
        .filter(|(_, wanted)| is_agreed || !**wanted);
    layer.mounts = mounts
        .map(|(name, wanted)| (name.clone(), *wanted))
        .collect();
    if !layer.mounts.is_empty() {
        said.push("mounts");
    }
    if is_agreed && !team.shares.is_empty() {
        layer.shares = team.shares.iter().map(|(text, _)| text.clone()).collect();
        found.pinned = team.shares.iter().cloned().collect::<BTreeMap<_, _>>();
        said.push("shares");
    }
    let below = found.agent.take().unwrap_or_default();
    let mut laid = merged(below, layer);
    // Its options come first: what the user says of the same thing wherever counts over them.
    let options = team.options_in_force();
    if !options.is_empty() {
        laid.docker_args = Some(match laid.docker_args.take() {
            Some(own) => format!("{options} {own}"),
            None => options.clone(),
        });
        let stored = Stored {
            file: team.path.clone(),
            text: options,
        };
        found.docker_args.insert(0, stored);
        said.push("options");
    }
    for key in said {
        let origin = Origin::File {
            scope: Scope::Team,
            path: team.path.clone(),
            line: team.lines.get(key).copied().unwrap_or(1),
        };
        let (key, replaces) = match key {
            "options" => ("docker_args", false),
            "base" => ("base", true),
            other => (other, false),
        };
        let places = found.origins.entry(key).or_default();
        if replaces {
            places.clear();
        }
        places.push(origin);
    }
    if laid != StoredAgent::default() {
        found.agent = Some(laid);
    }
}
