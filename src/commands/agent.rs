//! `aicage agent`: shows what agents there are.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::definition::{
    Noun,
    check::{CheckArgs, check},
    new::{NewArgs, new},
};
use crate::{
    context::Context,
    definition::{Source, agent::AgentDefinition},
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Align, Table},
    selection::find_agent,
};

/// The verbs of `aicage agent`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List all agents.
    List,
    /// Show one agent's definition.
    Show(ShowArgs),
    /// Write an agent to begin with, commented, that works as it is.
    #[command(after_help = "Example: aicage agent new mine")]
    New(NewArgs),
    /// Check a definition: its files, whether it works, how large it is and what it leaves behind.
    Check(CheckArgs),
}

/// What `aicage agent show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The agent.
    pub agent: String,
}

#[derive(Debug, Serialize)]
struct ListReport {
    schema: &'static str,
    agents: Vec<AgentReport>,
}

#[derive(Debug, Serialize)]
struct ShowReport {
    schema: &'static str,
    #[serde(flatten)]
    agent: AgentReport,
}

#[derive(Debug, Serialize)]
struct AgentReport {
    id: String,
    full_name: String,
    homepage: String,
    /// `built-in` or `custom`.
    source: &'static str,
    directory: Option<String>,
    /// Whether it takes the place of a built-in agent.
    replaces_built_in: bool,
    build_local: bool,
    state_files: Vec<String>,
    state_directories: Vec<String>,
    bases: Vec<String>,
    scripts: Option<String>,
}

/// Runs one of the verbs.
pub async fn agent(context: &Context, command: &AgentCommand) -> Result<ExitStatus, Diagnostic> {
    match command {
        AgentCommand::List => list(context),
        AgentCommand::Show(args) => show(context, args),
        AgentCommand::New(args) => new(context, Noun::Agent, args),
        AgentCommand::Check(args) => check(context, Noun::Agent, args).await,
    }
}

fn list(context: &Context) -> Result<ExitStatus, Diagnostic> {
    let agents = context.catalogue().agents.values();
    if context.printer.is_json() {
        context.printer.json(&ListReport {
            schema: "aicage.agent.list/1",
            agents: agents.map(|agent| report(context, agent)).collect(),
        })?;
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new([
        ("AGENT", Align::Left),
        ("NAME", Align::Left),
        ("IMAGE", Align::Left),
        ("HOMEPAGE", Align::Left),
    ]);
    for agent in agents {
        let report = report(context, agent);
        let image = match (report.source, agent.is_published()) {
            ("custom", _) if report.replaces_built_in => "built here (custom, not the built-in)",
            ("custom", _) => "built here (custom)",
            (_, true) => "published",
            (_, false) => "built here",
        };
        table.row([
            report.id,
            report.full_name,
            image.to_owned(),
            report.homepage,
        ]);
    }
    context.printer.table(&table);
    Ok(ExitStatus::Done)
}

fn show(context: &Context, args: &ShowArgs) -> Result<ExitStatus, Diagnostic> {
    let agent = report(context, find_agent(context, &args.agent)?);
    if context.printer.is_json() {
        context.printer.json(&ShowReport {
            schema: "aicage.agent.show/1",
            agent,
        })?;
        return Ok(ExitStatus::Done);
    }
    let printer = &context.printer;
    if agent.replaces_built_in {
        printer.talk("This takes the place of the built-in agent of the same name.");
    }
    printer.line(&format!("{} ({})", agent.full_name, agent.id));
    let line = |name: &str, value: String| {
        if !value.is_empty() {
            printer.line(&format!("  {name:<12}{value}"));
        }
    };
    line("homepage", agent.homepage);
    line(
        "source",
        agent.directory.unwrap_or_else(|| agent.source.to_owned()),
    );
    line(
        "image",
        if agent.build_local {
            "built here".to_owned()
        } else {
            "published".to_owned()
        },
    );
    line("bases", agent.bases.join(" "));
    line(
        "state",
        [agent.state_directories, agent.state_files]
            .concat()
            .join(" "),
    );
    line("scripts", agent.scripts.unwrap_or_default());
    Ok(ExitStatus::Done)
}

fn report(context: &Context, agent: &AgentDefinition) -> AgentReport {
    let architecture = context.platform().architecture;
    let bases = context.catalogue().bases.values();
    let (source, directory) = match &agent.source {
        Source::BuiltIn => ("built-in", None),
        Source::Custom(path) => ("custom", Some(path.display().to_string())),
    };
    AgentReport {
        id: agent.id.clone(),
        full_name: agent.settings.agent_full_name.clone(),
        homepage: agent.settings.agent_homepage.clone(),
        source,
        directory,
        replaces_built_in: context
            .catalogue()
            .replaced
            .contains(&("agent", agent.id.clone())),
        build_local: !agent.is_published(),
        state_files: agent.settings.agent_path.files.clone(),
        state_directories: agent.settings.agent_path.directories.clone(),
        bases: bases
            .filter(|base| agent.excludes(base, &architecture).is_none())
            .map(|base| base.id.clone())
            .collect(),
        scripts: agent.files.digest().ok().map(|digest| digest.to_string()),
    }
}
