//! One run of the program: settings, command line, the command, its exit code.
//!
//! Invariant: an error is rendered here, once; whatever happens, stdout is flushed and the exit code is one that
//! `doc/errors.md` lists, or the agent's own.

use std::{
    ffi::OsString,
    io::{IsTerminal as _, stderr, stdin, stdout},
    process::ExitCode,
    time::Instant,
};

use clap::CommandFactory as _;

use crate::{
    cli::{self, Cli, Command},
    commands::{self, session::SessionCommand},
    completion, container_options,
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    interrupt::Interrupt,
    leftovers,
    printer::{Colour, ColourWish, Format, Printer, PrinterSettings, Prompts, Stream},
    progress, runner,
    settings::{Environment, Faults, Settings},
    update_check,
};

/// Runs the program with `arguments` and returns its exit code.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    if completion::answer(&arguments) {
        return ExitCode::SUCCESS;
    }
    let environment = Environment::read();
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let printer = Printer::new(printer_settings(&cli, &environment));
    let outcome = start(cli, &printer);
    let outcome = match printer.finish() {
        Ok(()) => outcome,
        Err(error) => outcome.and(Err(error.into())),
    };
    let status = outcome.unwrap_or_else(|diagnostic| {
        printer.diagnostic(&diagnostic);
        diagnostic.status()
    });
    ExitCode::from(status.code())
}

fn start(cli: Cli, printer: &Printer) -> Result<ExitStatus, Diagnostic> {
    if let Command::Completion { shell } = cli.command {
        let script = completion::script(shell)
            .map_err(|error| Diagnostic::of("completion", ExitStatus::Failed, &error))?;
        printer.bytes(&script);
        return Ok(ExitStatus::Done);
    }
    let faults = faults(&cli.command);
    let settings = match Settings::read(&cli.global.settings(), faults) {
        Err(error) if matches!(cli.command, Command::Doctor(_)) => {
            return commands::doctor::without_settings(printer, &error.into());
        }
        read => read?,
    };
    if !matches!(cli.command, Command::Doctor(_)) {
        for warning in &settings.warnings {
            printer.warn(warning);
        }
    }
    if matches!(cli.command, Command::Session(_) | Command::Cache(_)) {
        commands::config::tell_faults(&settings, printer);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Diagnostic::of("runtime", ExitStatus::Failed, &error))?;
    let status = runtime.block_on(async {
        let interrupt = Interrupt::listen()
            .map_err(|error| Diagnostic::of("signals", ExitStatus::Failed, &error))?;
        let progress = progress::reporter(printer, Instant::now());
        let mut context = Context::new(
            settings,
            cli.global.clone(),
            (printer.clone(), progress),
            interrupt,
        );
        let outcome = match dispatch(&mut context, cli).await {
            // What was interrupted before it began is not done, even if nothing is wrong with the rest.
            Ok(ExitStatus::Done) => match context.without_definitions() {
                Some(why) if why.status() == ExitStatus::Interrupted => Err(why.clone()),
                Some(_) | None => Ok(ExitStatus::Done),
            },
            other => other,
        };
        // What the engine holds for steps only goes, whether they succeeded or not; what this misses the next run sweeps.
        runner::clean(&context).await;
        leftovers::leave_scratch(&context.settings);
        outcome
    });
    // A thread that still reads stdin must not keep the program from ending.
    runtime.shutdown_background();
    status
}

/// What helps to put settings right works without them, and so does what only looks after sessions that run and after
/// the store.
fn faults(command: &Command) -> Faults {
    match command {
        Command::Config(_) | Command::Doctor(_) | Command::Trust(_) | Command::Cache(_) => {
            Faults::LeftOut
        }
        // A shell may be that of a new container, which has everything that a start has.
        Command::Session(SessionCommand::Shell(_)) => Faults::Refused,
        Command::Session(_) => Faults::LeftOut,
        _ => Faults::Refused,
    }
}

async fn dispatch(context: &mut Context, cli: Cli) -> Result<ExitStatus, Diagnostic> {
    match cli.command {
        Command::Start(words) => commands::run::run(context, &cli.run, words).await,
        Command::Run(run) => {
            let run = *run;
            let options = cli.run.overridden_by(run.options);
            commands::run::run(context, &options, run.command).await
        }
        Command::Session(command) => commands::session::session(context, &cli.run, command).await,
        Command::Build(args) => {
            context
                .unless_interrupted(commands::build::build(context, &args))
                .await
        }
        Command::Plan(args) => {
            context
                .unless_interrupted(commands::plan::plan(context, &args))
                .await
        }
        Command::Update(args) => {
            context
                .unless_interrupted(commands::update::update(context, &args))
                .await
        }
        Command::Image(command) => {
            context
                .unless_interrupted(commands::image::image(context, command))
                .await
        }
        Command::Cache(command) => {
            context
                .unless_interrupted(commands::cache::cache(context, command))
                .await
        }
        Command::Agent(command) => {
            context
                .unless_interrupted(commands::agent::agent(context, &command))
                .await
        }
        Command::Base(command) => {
            context
                .unless_interrupted(commands::base::base(context, &command))
                .await
        }
        Command::Extension(command) => {
            context
                .unless_interrupted(commands::extension::extension(context, &command))
                .await
        }
        Command::Definitions(command) => commands::definitions::definitions(context, &command),
        Command::Config(command) => commands::config::config(context, &command).await,
        Command::Trust(args) => commands::trust::trust(context, &args),
        Command::Man(args) => commands::man::man(context, &args),
        Command::Version => commands::version::version(context),
        Command::Matrix(args) => {
            context
                .unless_interrupted(commands::matrix::matrix(context, &args))
                .await
        }
        Command::Doctor(args) => {
            // It hears of an interrupt by itself, to take its container away.
            commands::doctor::doctor(context, &args).await
        }
        Command::RefreshVersion(args) => {
            context
                .unless_interrupted(update_check::refresh(context, &args))
                .await
        }
        Command::Completion { .. } => Ok(ExitStatus::Done),
    }
}

/// Reads the command line; help, the version and mistakes are printed by clap, in its own words.
fn parse(arguments: Vec<OsString>) -> Result<Cli, ExitCode> {
    let refused =
        |words: String| Cli::command().error(clap::error::ErrorKind::UnknownArgument, words);
    let arguments = cli::older_config(cli::join_git(arguments)).map_err(refused);
    let arranged = arguments.and_then(|arguments| {
        cli::arrange(arguments).map_err(|refused| {
            Cli::command().error(
                clap::error::ErrorKind::UnknownArgument,
                format!(
                    "`{}` before `--` {}; see `aicage --help` for the options there are",
                    refused.option,
                    container_options::why_refused(&refused.option)
                        .unwrap_or("is no option of aicage")
                ),
            )
        })
    });
    let parsed = arranged.and_then(cli::read);
    parsed.map_err(|error| {
        // A reader that went away is no reason for another exit code.
        drop(error.print());
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(ExitStatus::Usage.code()))
    })
}

fn printer_settings(cli: &Cli, environment: &Environment) -> PrinterSettings {
    let wish = ColourWish {
        no_color: environment.no_color.clone(),
        clicolor_force: environment.force_color.clone(),
        term: environment.term.clone(),
    };
    let stream = |is_terminal: bool, columns: Option<usize>| {
        let width = is_terminal.then(|| environment.columns.or(columns).unwrap_or(80));
        Stream {
            width,
            colour: Colour::decide(&wish, width),
        }
    };
    let columns = |size: rustix::io::Result<rustix::termios::Winsize>| {
        size.ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|&columns| columns > 0)
    };
    let out = stream(
        stdout().is_terminal(),
        columns(rustix::termios::tcgetwinsize(stdout())),
    );
    let err = stream(
        stderr().is_terminal(),
        columns(rustix::termios::tcgetwinsize(stderr())),
    );
    let progress =
        cli.global
            .progress
            .resolve(err, environment.term.as_deref(), environment.ci.as_deref());
    PrinterSettings {
        stdout: out,
        stderr: err,
        progress,
        format: if cli.global.json {
            Format::Json
        } else {
            Format::Text
        },
        prompts: if stdin().is_terminal() && stderr().is_terminal() {
            Prompts::Asked
        } else {
            Prompts::Never
        },
    }
}
