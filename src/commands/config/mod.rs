//! `aicage config`: shows and changes what is configured, in whatever place, and says where it comes from.
//!
//! Invariant: what is written was read back first and is what was meant; a file that is not right is not written over, and
//! does not keep these commands from working.

mod edit;
mod place;
mod set;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Printer, printable},
    settings::Settings,
};

pub use place::ScopeOption;
use place::place;

/// The verbs of `aicage config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show what is in force: settings, defaults included, and what is stored for this project's agents.
    Show(ShowArgs),
    /// Print one value.
    Get(GetArgs),
    /// Change one setting, or what is stored for an agent.
    Set(SetArgs),
    /// Take one setting away, or what is stored for an agent, so that what is weaker counts.
    Unset(UnsetArgs),
    /// Print where the file of a place is.
    Path(PathArgs),
    /// Change a file with an editor; it is checked before it counts.
    Edit(EditArgs),
}

/// What `aicage config show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Show where each value comes from: file and line, variable, flag or default.
    #[arg(long)]
    pub origin: bool,
}

/// What `aicage config get` takes.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The setting, such as `update.policy` or `agents.codex.base`.
    pub key: String,
}

/// What `aicage config set` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "A list is given as several values; a map as KEY=VALUE, several times. What a map or list had\n\
    before is replaced; no value at all takes the setting away.\n\n\
    Examples:\n  \
    aicage config set default_base debian\n  \
    aicage config set registry.mirrors ghcr.io=http://127.0.0.1:5000\n  \
    aicage config set network.ca ~/company-ca.pem\n  \
    aicage config set --scope project update.policy never\n  \
    aicage config set --scope tree=~/work agents.codex.base debian"
)]
pub struct SetArgs {
    /// Where it is to hold; settings hold for you if nothing is said, agents in this project.
    #[arg(long, value_name = "project|tree[=DIR]|user|system")]
    pub scope: Option<ScopeOption>,
    /// The setting, such as `registry.mirrors` or `agents.codex.base`.
    pub key: String,
    /// Its value or values.
    #[arg(allow_hyphen_values = true)]
    pub values: Vec<String>,
}

/// What `aicage config unset` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage config unset update.policy\n  \
    aicage config unset agents.codex              all that is stored for Codex in this project\n  \
    aicage config unset --scope user agents.codex")]
pub struct UnsetArgs {
    /// Where it holds; settings hold for you if nothing is said, agents in this project.
    #[arg(long, value_name = "project|tree[=DIR]|user|system")]
    pub scope: Option<ScopeOption>,
    /// The setting, such as `registry.mirrors` or `agents.codex.base`.
    pub key: String,
}

/// What `aicage config path` takes.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// Whose file; yours if nothing is said.
    #[arg(long, value_name = "project|tree[=DIR]|user|system")]
    pub scope: Option<ScopeOption>,
}

/// What `aicage config edit` takes.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Change what is chosen for this agent in this project, on one page, instead of a file.
    #[arg(value_name = "AGENT", conflicts_with = "scope")]
    pub agent: Option<String>,
    /// Whose file; yours if nothing is said.
    #[arg(long, value_name = "project|tree[=DIR]|user|system")]
    pub scope: Option<ScopeOption>,
}

/// Runs one of the verbs.
pub async fn config(context: &Context, command: &ConfigCommand) -> Result<ExitStatus, Diagnostic> {
    match command {
        ConfigCommand::Path(args) => {
            let path = file(context, args.scope.as_ref());
            context
                .printer
                .line(&printable(&path.display().to_string()));
        }
        ConfigCommand::Show(args) => show::show(context, args)?,
        ConfigCommand::Get(args) => show::get(context, args)?,
        ConfigCommand::Set(args) => set::set(context, args)?,
        ConfigCommand::Unset(args) => set::unset(context, args)?,
        ConfigCommand::Edit(args) => edit::edit(context, args).await?,
    }
    Ok(ExitStatus::Done)
}

fn file(context: &Context, scope: Option<&ScopeOption>) -> PathBuf {
    let scope = scope.unwrap_or(&ScopeOption::User);
    place(context, scope).path
}

/// Tells what was left out because it is not right.
pub fn tell_faults(settings: &Settings, printer: &Printer) {
    for fault in &settings.faults {
        let why = crate::diagnostic::sentence(fault.as_ref());
        printer.warn(&format!(
            "{why}; until that is corrected it counts as absent"
        ));
    }
}
