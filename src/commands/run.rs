//! `aicage <agent>`: makes sure of the image, starts the agent in it, and ends as the agent ends.

mod dry_run;
mod image;

use std::{
    ffi::OsString,
    io::{IsTerminal as _, stderr},
    pin::pin,
    time::Duration,
};

use crate::{
    access::{self, Settlement, banner::Banner},
    certificates,
    choosing::{self, Purpose, choose, shares},
    cli::RunOptions,
    container_options,
    context::{Context, News},
    diagnostic::Diagnostic,
    engine::{
        Chosen, Engine,
        docker::{EngineError, EngineUsers},
        session::{Created, SessionName, SessionSpec, create_session},
    },
    exit_status::ExitStatus,
    printer::ProgressMode,
    runner,
    selection::{Selection, select},
    session::{self, inside, talking},
    trust,
};

use dry_run::dry_run;
use image::prepare;

pub(crate) use image::{load, tell};

/// Runs the agent that `command` names with the arguments that follow it.
pub async fn run(
    context: &mut Context,
    options: &RunOptions,
    command: Vec<OsString>,
) -> Result<ExitStatus, Diagnostic> {
    let mut words = command.into_iter().map(text);
    let name = match words.next().transpose()? {
        Some(name) => name,
        None => agent_of_team(context)?,
    };
    let arguments = words.collect::<Result<Vec<String>, Diagnostic>>()?;
    start(context, options, (&name, Program::Agent(arguments))).await
}

/// What is run in the container that an agent gets.
#[derive(Debug)]
pub(crate) enum Program {
    /// The agent with these arguments.
    Agent(Vec<String>),
    /// A shell.
    Shell,
}

impl Program {
    fn put_into(self, spec: &mut SessionSpec) {
        match self {
            Self::Agent(arguments) => spec.command = arguments,
            Self::Shell => {
                let mut words = inside::shell().into_iter();
                let program = words.next().unwrap_or_default();
                spec.env.insert(inside::ENTRYPOINT.to_owned(), program);
                spec.command = words.collect();
                if let SessionName::Like(name) = &mut spec.name {
                    name.push_str("-shell");
                }
            }
        }
    }
}

/// Makes sure of an agent's image, starts what is wanted in it, and ends as that ends.
pub(crate) async fn start(
    context: &mut Context,
    options: &RunOptions,
    (name, program): (&str, Program),
) -> Result<ExitStatus, Diagnostic> {
    if options.no_update {
        context.news = News::LeftAlone;
    }
    let is_dry = options.container.dry_run;
    let purpose = if is_dry { Purpose::Look } else { Purpose::Run };
    if is_dry {
        context.look_only();
    }
    context.typed = options.to_string();
    trust::settle(context, options.trust.trust).await?;
    let choice = choose(context, name, (&options.choice, purpose)).await?;
    let mut options = options.clone();
    // The page asked for everything; nothing is asked a second time.
    options.choice.choose &= !choosing::is_on_page(context);
    let options = &options;
    let selection = select(context, name, &choice)?;
    session::mounts::check(&context.settings, selection.agent)?;
    let container = container_options::decide(context, &selection.agent.id, &options.container)?;
    let shares = shares(context, &selection, options).await?;
    let access = access::settle(context, selection.agent, options).await?;
    let reference = if is_dry {
        selection.reference.familiar()
    } else {
        let image = prepare(context, &selection, options);
        context.unless_interrupted(image).await?
    };
    let choice = selection.choice();
    // What the engine holds for steps only goes before the session, which may last for days.
    runner::clean(context).await;
    context.close_store();
    let context = &*context;
    let selection = select(context, name, &choice)?;
    let chosen = context.chosen().await?;
    let engine = &chosen.engine;
    let is_detached = options.session.detach;
    let input = if is_detached {
        talking::background_input()
    } else {
        talking::our_input()
    };
    let start = session::Start {
        agent: selection.agent,
        image: reference,
        arguments: Vec::new(),
        shares,
        access: &access,
        options,
        container,
        input,
    };
    let mut spec = session::compose(context, engine, start)?;
    program.put_into(&mut spec);
    if is_dry {
        return dry_run(context, engine, &spec).await;
    }
    tell_access(context, (&selection, &access, chosen), &spec);
    certificates::settle(context, engine, &mut spec).await?;
    context.interrupt.give_away();
    // The agent has the terminal to itself.
    context.printer.settle();
    let created = create(context, engine, &spec).await?;
    if is_detached {
        return detached(context, created).await;
    }
    let keys = options.session.detach_keys.as_ref();
    talking::run(context, created, (spec.input, keys)).await
}

/// How long an engine may be silent before somebody wonders.
const UNSAID: Duration = Duration::from_secs(3);

/// Creates the container, and says so where that takes its time.
async fn create(
    context: &Context,
    engine: &Engine,
    spec: &SessionSpec,
) -> Result<Created, EngineError> {
    let mut creating = pin!(create_session(engine, spec));
    tokio::select! {
        created = &mut creating => return created,
        () = tokio::time::sleep(UNSAID) => {}
    }
    context.printer.talk(match (engine, engine.info().users) {
        (Engine::Native(_), _) => "waiting for the container: layers of a new image are unpacked once",
        (_, EngineUsers::RootlessKeepId) => {
            "waiting for the engine to create the container: rootless Podman copies a new image once, so that files have your ids"
        }
        _ => "waiting for the engine to create the container",
    });
    creating.await
}

/// Starts a session in the background and tells its name.
async fn detached(context: &Context, created: Created) -> Result<ExitStatus, Diagnostic> {
    let (name, id) = (created.name.clone(), created.id.clone());
    created.start().await?;
    if context.printer.is_json() {
        context.printer.json(&serde_json::json!({
            "schema": "aicage.session/1", "name": name, "id": id,
        }))?;
    } else {
        context.printer.line(&name);
    }
    Ok(ExitStatus::Done)
}

/// Says what the agent gets, where somebody looks.
fn tell_access(
    context: &Context,
    (selection, access, chosen): (&Selection<'_>, &Settlement, &Chosen),
    spec: &SessionSpec,
) {
    let asked_for = context.options.progress == ProgressMode::Plain;
    if !asked_for && !stderr().is_terminal() {
        return;
    }
    let settings = &context.settings;
    let account = &settings.account;
    let extensions = selection.extensions.iter();
    let banner = Banner {
        agent: &selection.agent.settings.agent_full_name,
        parts: std::iter::once(selection.base.id.as_str())
            .chain(extensions.map(|extension| extension.id.as_str()))
            .collect(),
        image: &spec.image,
        engine: chosen.in_words(),
        project: &settings.directory,
        home: &settings.user_home,
        user: (&account.name, account.uid, account.gid),
        access,
        mounts: &spec.mounts,
        options: &spec.options.flags,
    };
    for line in banner.lines() {
        context.printer.talk(&line);
    }
}

/// Returns the agent that the repository names.
fn agent_of_team(context: &Context) -> Result<String, Diagnostic> {
    trust::refuse_fault(context)?;
    let team = context.settings.team.as_deref();
    team.and_then(|team| team.file.agent.clone())
        .ok_or_else(|| {
            Diagnostic::new(
                "no-agent",
                ExitStatus::Usage,
                "no agent is named, neither on the command line nor in an `aicage.yml` of this repository",
            )
            .hint("name one; `aicage agent list` shows them")
        })
}

pub(crate) fn text(word: OsString) -> Result<String, Diagnostic> {
    word.into_string().map_err(|word| {
        Diagnostic::new(
            "argument-encoding",
            ExitStatus::Usage,
            format!("an argument is not UTF-8 text: {}", word.display()),
        )
        .hint("engines take only UTF-8 arguments")
    })
}
