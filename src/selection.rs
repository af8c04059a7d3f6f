//! Which agent on which base with which extensions: what was asked for, held against what there is.

use assembler::reference::ImageReference;
use clap::Args;

use crate::{
    context::Context,
    definition::{
        agent::AgentDefinition,
        base::BaseDefinition,
        catalogue::{Catalogue, Problem},
        extension::ExtensionDefinition,
    },
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    names,
    settings::Origin,
};

/// An agent, the base it is to run on, and what is added on top.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// The agent.
    pub agent: &'a AgentDefinition,
    /// The base.
    pub base: &'a BaseDefinition,
    /// The extensions, in the order in which they are added.
    pub extensions: Vec<&'a ExtensionDefinition>,
    /// The image's name.
    pub reference: ImageReference,
    /// Whether it is made on its base even where a finished image is published.
    pub from_base: bool,
}

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, Args)]
pub struct Choice {
    /// The base to run on; see `aicage base list`.
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Add an extension; may be given several times, they are added in this order. See `aicage extension list`.
    #[arg(long = "extension", value_name = "EXTENSION")]
    pub extensions: Vec<String>,
    /// The name of the image with the extensions: `NAME:TAG`, or only a tag of `aicage-extended`.
    /// Without `--extension`, the name of an image that was put together before.
    #[arg(
        long,
        value_name = "NAME[:TAG]",
        conflicts_with = "no_extensions",
        hide_short_help = true
    )]
    pub image_name: Option<String>,
    /// Add no extensions, whatever is stored for the project.
    #[arg(long, conflicts_with = "extensions", hide_short_help = true)]
    pub no_extensions: bool,
    /// Ask anew for base and extensions, whatever is stored for the project.
    #[arg(long, conflicts_with_all = ["base", "extensions", "image_name", "no_extensions"])]
    pub choose: bool,
}

impl<'a> Selection<'a> {
    /// Joins what was found; the image has the name that follows from it.
    pub fn new(
        agent: &'a AgentDefinition,
        base: &'a BaseDefinition,
        extensions: Vec<&'a ExtensionDefinition>,
    ) -> Self {
        let ids: Vec<&str> = extensions
            .iter()
            .map(|extension| extension.id.as_str())
            .collect();
        let reference = if ids.is_empty() {
            names::final_image(&agent.id, &base.id)
        } else {
            names::extended_image(&agent.id, &base.id, &ids)
        };
        Self {
            agent,
            base,
            extensions,
            reference,
            from_base: false,
        }
    }
}

impl Selection<'_> {
    /// Returns what would have to be asked for to select the same.
    pub fn choice(&self) -> Choice {
        Choice {
            base: Some(self.base.id.clone()),
            extensions: self
                .extensions
                .iter()
                .map(|extension| extension.id.clone())
                .collect(),
            image_name: (!self.extensions.is_empty()).then(|| self.reference.familiar()),
            ..Choice::default()
        }
    }
}

/// Finds the agent, the base and the extensions; without a base the usual one.
pub fn select<'a>(
    context: &'a Context,
    agent: &str,
    choice: &Choice,
) -> Result<Selection<'a>, Diagnostic> {
    let agent = find_agent(context, agent)?;
    let base = select_base(context, agent, choice.base.as_deref())?;
    let extensions = choice.extensions.iter();
    let extensions: Vec<_> = extensions
        .map(|name| find_extension(context, name))
        .collect::<Result<_, _>>()?;
    for (at, extension) in extensions.iter().enumerate() {
        if extensions[..at]
            .iter()
            .any(|other| other.id == extension.id)
        {
            return Err(Diagnostic::new(
                "extension-twice",
                ExitStatus::Usage,
                format!("extension `{}` is asked for twice", extension.id),
            )
            .hint("name it once; extensions are applied in the order in which they are named"));
        }
    }
    let mut selection = Selection::new(agent, base, extensions);
    if let Some(name) = &choice.image_name {
        selection.reference = names::chosen_image(name)?;
    }
    Ok(selection)
}

fn select_base<'a>(
    context: &'a Context,
    agent: &'a AgentDefinition,
    base: Option<&str>,
) -> Result<&'a BaseDefinition, Diagnostic> {
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
        return Ok(base);
    }
    default_base(context, agent)
}

/// Returns the base that is used where nothing else decides: the one that was configured, the host's own distribution,
/// the one that the program has.
pub fn default_base<'a>(
    context: &'a Context,
    agent: &'a AgentDefinition,
) -> Result<&'a BaseDefinition, Diagnostic> {
    let settings = &context.settings;
    let mut candidates = host_distribution();
    let configured = match settings.origin("default_base") {
        Origin::Default => candidates.len(),
        Origin::File { .. } | Origin::Variable(_) | Origin::Flag => 0,
    };
    candidates.insert(configured, settings.config.default_base.clone());
    let chosen = candidates
        .iter()
        .find_map(|name| possible(context, agent).find(|base| base.id == *name))
        .or_else(|| possible(context, agent).next());
    chosen.ok_or_else(|| {
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
    let catalogue = catalogue_for(context, "agent", name);
    let known = &catalogue.agents;
    known
        .get(name)
        .ok_or_else(|| absent(context, ("agent", name), known.keys()))
}

/// Finds a base by name; a near miss is suggested.
pub fn find_base<'a>(context: &'a Context, name: &str) -> Result<&'a BaseDefinition, Diagnostic> {
    let catalogue = catalogue_for(context, "base", name);
    let known = &catalogue.bases;
    known
        .get(name)
        .ok_or_else(|| absent(context, ("base", name), known.keys()))
}

/// Finds an extension by name; a near miss is suggested.
pub fn find_extension<'a>(
    context: &'a Context,
    name: &str,
) -> Result<&'a ExtensionDefinition, Diagnostic> {
    let catalogue = catalogue_for(context, "extension", name);
    let known = &catalogue.extensions;
    known
        .get(name)
        .ok_or_else(|| absent(context, ("extension", name), known.keys()))
}

/// Returns the bases that `agent` can run on here.
pub fn possible<'a>(
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

/// Reads the definitions; what is wrong with the one that is looked for is the answer, and not told beside it.
fn catalogue_for<'a>(context: &'a Context, noun: &str, name: &str) -> &'a Catalogue {
    context.catalogue_telling(|problem| !is_about(problem, noun, name))
}

fn is_about(problem: &Problem, noun: &str, name: &str) -> bool {
    problem.noun == noun && problem.id.as_deref() == Some(name)
}

/// Says why a definition cannot be chosen: it is broken, or there is none.
fn absent<'a>(
    context: &Context,
    (noun, name): (&str, &str),
    known: impl Iterator<Item = &'a String>,
) -> Diagnostic {
    let mut problems = catalogue_for(context, noun, name).problems.iter();
    let Some(problem) = problems.find(|problem| is_about(problem, noun, name)) else {
        return match context.without_definitions() {
            Some(why) if why.status() == ExitStatus::Interrupted => why.clone(),
            // An extension is the user's own in any case.
            Some(why) if noun != "extension" => {
                let shown: String = name.chars().take(100).collect();
                Diagnostic::because(format!("{noun} `{shown}` is not to be had"), why.clone())
            }
            Some(_) | None => unknown(noun, name, known),
        };
    };
    let message = format!("{noun} `{name}` cannot be used: its definition is not right");
    let hint = format!("correct it; `aicage {noun} check {name} --no-build` looks at it again");
    Diagnostic::new("definition-invalid", ExitStatus::Usage, message)
        .caused_by(Some(&problem.error))
        .hint(hint.as_str())
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
