//! `aicage extension`: shows what can be added on top of agents' images, and helps to write more.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::definition::{
    Noun,
    check::{CheckArgs, check},
    new::{NewArgs, new},
};
use crate::{
    context::Context,
    definition::{Source, extension::ExtensionDefinition},
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Align, Table, printable},
    selection::find_extension,
};

/// The verbs of `aicage extension`.
#[derive(Debug, Subcommand)]
pub enum ExtensionCommand {
    /// List all extensions.
    List,
    /// Show one extension's definition.
    Show(ShowArgs),
    /// Write an extension to begin with, commented, that works as it is.
    #[command(after_help = "Example: aicage extension new jq")]
    New(NewArgs),
    /// Check a definition: its files, whether it works, how large it is and what it leaves behind.
    Check(CheckArgs),
}

/// What `aicage extension show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The extension.
    pub extension: String,
}

#[derive(Debug, Serialize)]
struct ListReport {
    schema: &'static str,
    extensions: Vec<ExtensionReport>,
}

#[derive(Debug, Serialize)]
struct ShowReport {
    schema: &'static str,
    #[serde(flatten)]
    extension: ExtensionReport,
}

#[derive(Debug, Serialize)]
struct ExtensionReport {
    id: String,
    name: String,
    description: String,
    directory: Option<String>,
    /// `scripts`, `Dockerfile` or `shares`: how it adds what it adds.
    how: &'static str,
    scripts: Vec<String>,
    shares: Vec<String>,
    /// The digest of its files; nothing where they cannot be read.
    digest: Option<String>,
}

/// Runs one of the verbs.
pub async fn extension(
    context: &Context,
    command: &ExtensionCommand,
) -> Result<ExitStatus, Diagnostic> {
    match command {
        ExtensionCommand::List => list(context),
        ExtensionCommand::Show(args) => show(context, args),
        ExtensionCommand::New(args) => new(context, Noun::Extension, args),
        ExtensionCommand::Check(args) => check(context, Noun::Extension, args).await,
    }
}

fn list(context: &Context) -> Result<ExitStatus, Diagnostic> {
    let extensions = context.catalogue().extensions.values().map(report);
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&ListReport {
            schema: "aicage.extension.list/1",
            extensions: extensions.collect(),
        })?;
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new([
        ("EXTENSION", Align::Left),
        ("NAME", Align::Left),
        ("ADDS", Align::Left),
        ("DESCRIPTION", Align::Left),
    ]);
    let mut count = 0;
    for extension in extensions {
        count += 1;
        table.row([
            extension.id,
            extension.name,
            extension.how.to_owned(),
            extension.description,
        ]);
    }
    if count == 0 {
        printer.talk("There are no extensions yet: `aicage extension new NAME` writes one.");
        return Ok(ExitStatus::Done);
    }
    printer.table(&table);
    Ok(ExitStatus::Done)
}

fn show(context: &Context, args: &ShowArgs) -> Result<ExitStatus, Diagnostic> {
    let definition = find_extension(context, &args.extension)?;
    definition.files.digest().map_err(Diagnostic::from)?;
    let extension = report(definition);
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(&ShowReport {
            schema: "aicage.extension.show/1",
            extension,
        })?;
        return Ok(ExitStatus::Done);
    }
    printer.line(&format!(
        "{} ({})",
        printable(&extension.name),
        extension.id
    ));
    let line = |name: &str, value: &str| {
        if !value.is_empty() {
            printer.line(&format!("  {name:<13}{}", printable(value)));
        }
    };
    line("description", &extension.description);
    line("source", &extension.directory.unwrap_or_default());
    line("adds", extension.how);
    line("scripts", &extension.scripts.join(" "));
    for (at, share) in extension.shares.iter().enumerate() {
        line(if at == 0 { "shares" } else { "" }, share);
    }
    line("digest", &extension.digest.unwrap_or_default());
    Ok(ExitStatus::Done)
}

fn report(extension: &ExtensionDefinition) -> ExtensionReport {
    let scripts = extension.scripts();
    ExtensionReport {
        id: extension.id.clone(),
        name: extension.settings.name.clone(),
        description: extension.settings.description.clone(),
        directory: match &extension.source {
            Source::BuiltIn => None,
            Source::Custom(path) => Some(path.display().to_string()),
        },
        how: match (extension.has_dockerfile(), scripts.is_empty()) {
            (true, _) => "Dockerfile",
            (false, false) => "scripts",
            (false, true) => "shares",
        },
        scripts,
        shares: extension.settings.shares.clone(),
        digest: extension
            .files
            .digest()
            .ok()
            .map(|digest| digest.to_string()),
    }
}
