//! Which agent on which base: what was asked for, held against what there is.

use crate::{
    context::Context,
    definition::{agent::AgentDefinition, base::BaseDefinition},
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
};

/// An agent and the base it is to run on.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The agent.
    pub agent: &'a AgentDefinition,
    /// The base.
    pub base: &'a BaseDefinition,
}

/// Finds the agent and the base; without a base the host's own distribution, then the configured one.
pub fn select<'a>(
    context: &'a Context,
    agent: &str,
    base: Option<&str>,
) -> Result<Selection<'a>, Diagnostic> {
    let agent = find_agent(context, agent)?;
    let architecture = context.platform().architecture;
    if let Some(name) = base {
        let base = find_base(context, name)?;
        if let Some(reason) = agent.excludes(base, &architecture) {
            let possible: Vec<&str> = possible(context, agent)
                .map(|base| base.id.as_str())
                .collect();
            let hint = format!("it runs on: {}", possible.join(", "));
            return Err(Diagnostic::new(
                "base-excluded",
                ExitStatus::Usage,
                format!("`{}` cannot run on base `{name}`", agent.id),
            )
            .caused_by_words(reason)
            .hint(hint.as_str()));
        }
        return Ok(Selection { agent, base });
    }
    let mut candidates = host_distribution();
    candidates.push(context.settings.config.default_base.clone());
    let chosen = candidates
        .iter()
        .find_map(|name| possible(context, agent).find(|base| base.id == *name))
        .or_else(|| possible(context, agent).next());
    chosen.map(|base| Selection { agent, base }).ok_or_else(|| {
        Diagnostic::new(
            "no-base",
            ExitStatus::Usage,
            format!("there is no base that `{}` can run on", agent.id),
        )
        .hint("see `aicage base list`")
    })
}

/// Finds an agent by name; a near miss is suggested.
pub fn find_agent<'a>(context: &'a Context, name: &str) -> Result<&'a AgentDefinition, Diagnostic> {
    let agents = &context.catalogue().agents;
    agents
        .get(name)
        .ok_or_else(|| unknown("agent", name, agents.keys()))
}

/// Finds a base by name; a near miss is suggested.
pub fn find_base<'a>(context: &'a Context, name: &str) -> Result<&'a BaseDefinition, Diagnostic> {
    let bases = &context.catalogue().bases;
    bases
        .get(name)
        .ok_or_else(|| unknown("base", name, bases.keys()))
}

fn possible<'a>(
    context: &'a Context,
    agent: &'a AgentDefinition,
) -> impl Iterator<Item = &'a BaseDefinition> {
    let architecture = context.platform().architecture;
    context
        .catalogue()
        .bases
        .values()
        .filter(move |base| agent.excludes(base, &architecture).is_none())
}

fn unknown<'a>(noun: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Diagnostic {
    let near = known
        .map(|known| (strsim::osa_distance(known, &name.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= 2 || known.starts_with(name) && name.len() > 1)
        .min();
    let hint = match near {
        Some((_, near)) => format!("did you mean `{near}`? `aicage {noun} list` shows all"),
        None => format!("`aicage {noun} list` shows what there is"),
    };
    let shown: String = name.chars().take(100).collect();
    Diagnostic::new(
        "unknown-name",
        ExitStatus::Usage,
        format!("there is no {noun} `{shown}`"),
    )
    .hint(hint.as_str())
}

/// Returns the distribution that this machine runs, then those it is like, as `/etc/os-release` names them.
fn host_distribution() -> Vec<String> {
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        release.lines().find_map(|line| {
            let value = line.strip_prefix(key)?.strip_prefix('=')?;
            Some(value.trim_matches(['"', '\'']).to_lowercase())
        })
    };
    let mut names: Vec<String> = value("ID").into_iter().collect();
    let like = value("ID_LIKE").unwrap_or_default();
    names.extend(like.split_whitespace().map(str::to_owned));
    names
}
