//! `aicage doctor`: looks at everything that a start needs.

use clap::Args;

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    doctor::{
        self,
        finding::{Check, Finding, Group, Report, State},
    },
    exit_status::ExitStatus,
    printer::{Printer, Role, duration, printable, wrap},
};

/// What `aicage doctor` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 1 if there is a problem. Nobody is told anything: only the engine and the registries that\n\
    are configured are asked.\n\n\
    Examples:\n  \
    aicage doctor                  look at everything\n  \
    aicage doctor codex            and at an agent in this project\n  \
    aicage doctor --offline        ask no registry\n  \
    aicage doctor --json           the same for programs"
)]
pub struct DoctorArgs {
    /// An agent that should be startable here.
    pub agent: Option<String>,
}

/// Looks and reports.
pub async fn doctor(context: &Context, args: &DoctorArgs) -> Result<ExitStatus, Diagnostic> {
    let start = std::time::Instant::now();
    let report = doctor::examine(context, args.agent.as_deref()).await?;
    tell(&context.printer, &report)?;
    if !context.printer.is_json() {
        let took = duration(start.elapsed());
        context.printer.line(&sum(&report, &took));
    }
    Ok(status(&report))
}

/// Reports settings that cannot be read, without which nothing else can be looked at.
pub fn without_settings(printer: &Printer, error: &Diagnostic) -> Result<ExitStatus, Diagnostic> {
    let finding = Finding::problem(
        Check::Settings,
        error.sentence(),
        "Nothing starts with it, and nothing else can be looked at.",
    );
    let report = Report::of(vec![finding.next("aicage config --help")]);
    tell(printer, &report)?;
    if !printer.is_json() {
        printer.line(&sum(&report, "no time"));
    }
    Ok(status(&report))
}

fn status(report: &Report) -> ExitStatus {
    if report.problems == 0 {
        ExitStatus::Done
    } else {
        ExitStatus::Failed
    }
}

fn tell(printer: &Printer, report: &Report) -> Result<(), Diagnostic> {
    if printer.is_json() {
        return Ok(printer.json(report)?);
    }
    for line in lines(printer, report) {
        printer.line(&line);
    }
    printer.line("");
    Ok(())
}

fn sum(report: &Report, took: &str) -> String {
    let count = |number: usize, word: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {word}{plural}")
    };
    format!(
        "{}, {}, {} looked at in {took}",
        count(report.problems, "problem"),
        count(report.notes, "note"),
        count(report.findings.len() - report.skipped, "thing"),
    )
}

/// Writes the report for people, in at most 80 columns.
fn lines(printer: &Printer, report: &Report) -> Vec<String> {
    let width = printer.result_columns().min(80);
    // A narrow terminal has no room for columns of words.
    let indent = if width < 50 { 4 } else { 11 };
    let mut lines = Vec::new();
    let mut group: Option<Group> = None;
    for finding in &report.findings {
        if group != Some(finding.group) {
            if group.is_some() {
                lines.push(String::new());
            }
            group = Some(finding.group);
            lines.push(printer.paint(Role::Heading, finding.group.title()));
        }
        lines.extend(one(printer, finding, (width, indent)));
    }
    lines
}

fn one(printer: &Printer, finding: &Finding, (width, indent): (usize, usize)) -> Vec<String> {
    let (role, word) = match finding.state {
        State::Ok => (Role::Good, "ok"),
        State::Note => (Role::Notable, "note"),
        State::Problem => (Role::Error, "problem"),
        State::Skipped => (Role::Faint, "skipped"),
    };
    let room = " ".repeat(indent.saturating_sub(3 + word.len()).max(1));
    let label = printer.paint(role, word);
    let space = " ".repeat(indent);
    let head = format!(
        "  {label}{room} {}: {}",
        finding.check.name(),
        printable(&finding.seen)
    );
    let mut lines = wrap(&head, width, &space);
    if let Some(why) = &finding.why {
        lines.extend(wrap(&format!("{space}{}", printable(why)), width, &space));
    }
    if let Some(next) = &finding.next {
        let label = printer.paint(Role::Hint, "next:");
        // Not wrapped: it is there to be copied.
        lines.push(format!("{space}{label} {}", printable(next)));
    }
    lines
}
