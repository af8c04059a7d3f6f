//! `aicage man`: the manual, a page a verb, made from the command line itself.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, ValueHint};
use clap_mangen::Man;

use crate::{cli::Cli, context::Context, diagnostic::Diagnostic, exit_status::ExitStatus};

/// What `aicage man` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    aicage man | man -l -                    read the first page\n  \
    aicage man ~/.local/share/man/man1       write all pages, so that `man aicage-image-inspect` finds them")]
pub struct ManArgs {
    /// Where all pages are written, one a verb; without it the first one goes to stdout.
    #[arg(value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
}

/// Prints the first page, or writes all.
pub fn man(context: &Context, args: &ManArgs) -> Result<ExitStatus, Diagnostic> {
    let command = Cli::command().disable_help_subcommand(true);
    let failed = |error: std::io::Error| {
        Diagnostic::new("man-write", ExitStatus::Failed, "cannot write the manual")
            .caused_by(Some(&error))
    };
    let Some(directory) = &args.directory else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(failed)?;
        context.printer.bytes(&page);
        return Ok(ExitStatus::Done);
    };
    let directory = context.settings.user_path(directory);
    fs_err::create_dir_all(&directory).map_err(failed)?;
    clap_mangen::generate_to(command, &directory).map_err(failed)?;
    context
        .printer
        .talk(&format!("wrote the manual to {}", directory.display()));
    Ok(ExitStatus::Done)
}
