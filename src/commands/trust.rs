//! `aicage trust`: agrees to what the team file of a repository asks for, shows it, and takes it back.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Align, Table, day_and_minute, printable},
    trust::{Agreement, Agreements, Consent, FILE, Homes, Team, Wish, find, show},
};

/// What `aicage trust` takes.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    aicage trust --show     what the aicage.yml of this repository asks for\n  \
    aicage trust            agree to it, until the file changes\n  \
    aicage trust revoke     take that back"
)]
pub struct TrustArgs {
    /// What to do with agreements.
    #[command(subcommand)]
    pub command: Option<TrustCommand>,
    /// Only show what is asked for, and whether it was agreed to.
    #[arg(long)]
    pub show: bool,
    /// The project, or its `aicage.yml`; the current directory if none is named.
    pub directory: Option<PathBuf>,
}

/// The verbs of `aicage trust`.
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// List what was agreed to.
    List,
    /// Take an agreement back.
    Revoke {
        /// The project, or its `aicage.yml`, as `list` prints it; the current directory if none is named.
        directory: Option<PathBuf>,
    },
}

/// Runs one of them.
pub fn trust(context: &Context, args: &TrustArgs) -> Result<ExitStatus, Diagnostic> {
    match &args.command {
        Some(TrustCommand::List) => list(context)?,
        Some(TrustCommand::Revoke { directory }) => revoke(context, directory.as_ref())?,
        None => agree(context, args)?,
    }
    Ok(ExitStatus::Done)
}

fn agreements(context: &Context) -> Agreements {
    Agreements::below(&context.settings.home)
}

fn place(context: &Context, directory: Option<&PathBuf>) -> PathBuf {
    let settings = &context.settings;
    let place = match directory {
        Some(directory) => settings.user_path(directory),
        None => settings.directory.clone(),
    };
    // What `list` prints is the file.
    let place = match place.parent() {
        Some(parent) if place.ends_with(FILE) && !place.is_dir() => parent.to_owned(),
        Some(_) | None => place,
    };
    fs_err::canonicalize(&place).unwrap_or(place)
}

fn team(context: &Context, directory: &Path) -> Result<Option<Team>, Diagnostic> {
    let homes = Homes {
        user: &context.settings.user_home,
        aicage: &context.settings.home,
        uid: context.settings.account.uid,
    };
    Ok(find(directory, homes)?)
}

fn agree(context: &Context, args: &TrustArgs) -> Result<(), Diagnostic> {
    let place = place(context, args.directory.as_ref());
    let Some(team) = team(context, &place)? else {
        return Err(Diagnostic::new(
            "team-file-none",
            ExitStatus::Usage,
            format!(
                "there is no `{FILE}` in {} or in the root of its repository",
                place.display()
            ),
        )
        .hint("`aicage trust list` shows what was agreed to elsewhere"));
    };
    let keep = || {
        if args.show || team.wishes.is_empty() {
            return Ok(());
        }
        agreements(context).keep(&team, &context.now)
    };
    let printer = &context.printer;
    if printer.is_json() {
        keep()?;
        let wishes: Vec<&str> = team.wishes.iter().map(Wish::as_str).collect();
        let agreed = team.is_agreed() || !args.show;
        let report = json!({
            "schema": "aicage.trust/1", "file": team.path.to_string_lossy(), "asks": wishes, "agreed": agreed,
            "digest": team.digest.to_string(),
        });
        return Ok(printer.json(&report)?);
    }
    let path = printable(&team.path.display().to_string());
    if team.wishes.is_empty() {
        printer.line(&format!("{path} asks for nothing that needs consent"));
        return Ok(());
    }
    // Only what was shown is agreed to.
    show(context, &team);
    keep()?;
    let said = match (args.show, &team.consent) {
        (false, _) => "agreed, until the file changes",
        (true, Consent::Given) => "agreed",
        (true, Consent::None | Consent::Other(_)) => "not agreed; `aicage trust` agrees",
    };
    printer.line(&format!("{path}: {said}"));
    Ok(())
}

fn list(context: &Context) -> Result<(), Diagnostic> {
    let all = agreements(context).list();
    let printer = &context.printer;
    let rows: Vec<(Agreement, &str)> = all
        .into_iter()
        .map(|agreement| {
            let state = state(context, &agreement);
            (agreement, state)
        })
        .collect();
    if printer.is_json() {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(agreement, state)| {
                json!({
                    "file": agreement.path, "agreed_at": agreement.agreed_at, "asked": agreement.agreed,
                    "state": state,
                })
            })
            .collect();
        let report = json!({"schema": "aicage.trust.list/1", "agreements": rows});
        return Ok(printer.json(&report)?);
    }
    if rows.is_empty() {
        printer.talk("nothing was agreed to");
        return Ok(());
    }
    let mut table = Table::new([
        ("FILE", Align::Elastic),
        ("AGREED", Align::Left),
        ("STATE", Align::Left),
    ]);
    for (agreement, state) in rows {
        table.row([
            printable(&agreement.path),
            day_and_minute(&agreement.agreed_at),
            state.to_owned(),
        ]);
    }
    printer.table(&table);
    Ok(())
}

/// Says what became of the file since.
fn state(context: &Context, agreement: &Agreement) -> &'static str {
    if agreement.path.contains(char::REPLACEMENT_CHARACTER) {
        return "unknown: its path is not UTF-8";
    }
    let path = Path::new(&agreement.path);
    let directory = path.parent().unwrap_or(path);
    match team(context, directory) {
        Ok(Some(team)) if team.path == path => {
            if team.digest.to_string() == agreement.digest {
                "in force"
            } else {
                "the file changed"
            }
        }
        Ok(_) => "the file is gone",
        Err(_) => "the file is not right",
    }
}

fn revoke(context: &Context, directory: Option<&PathBuf>) -> Result<(), Diagnostic> {
    let place = place(context, directory);
    // Also where the file is gone or not right any more, and another one counts instead.
    let here = place.join(FILE);
    let path = match team(context, &place) {
        Ok(Some(team)) if agreements(context).of(&here).is_none() => team.path,
        Ok(_) | Err(_) => here,
    };
    if !agreements(context).revoke(&path)? {
        return Err(Diagnostic::new(
            "team-file-none",
            ExitStatus::Usage,
            format!("nothing of {} was agreed to", path.display()),
        )
        .hint("`aicage trust list` shows what was"));
    }
    context.printer.talk(&format!(
        "what {} asks for does not count any more",
        path.display()
    ));
    Ok(())
}
