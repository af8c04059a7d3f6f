//! `aicage <agent>`: makes sure of the image, starts the agent in it, and ends as the agent ends.

use std::{
    ffi::OsString,
    io::{IsTerminal as _, stderr},
    pin::pin,
    time::Duration,
};

use assembler::image::Image;

use crate::{
    access::{self, Settlement, banner::Banner},
    certificates,
    choosing::{self, Purpose, choose, shares},
    cli::RunOptions,
    container_options::{self, docker_run},
    context::{Context, News},
    diagnostic::Diagnostic,
    engine::docker::{
        Created, Docker, EngineError, LoadRequest, SessionName, SessionSpec, create_session,
    },
    ensure,
    exit_status::ExitStatus,
    plan::{self, Plan, Want},
    printer::ProgressMode,
    runner,
    selection::{Selection, select},
    session::{self, inside, talking},
    supply::Ask,
    trust, update_check,
};

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
    let docker = context.docker().await?;
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
    let mut spec = session::compose(context, docker, start)?;
    program.put_into(&mut spec);
    if is_dry {
        return dry_run(context, docker, &spec).await;
    }
    tell_access(context, (&selection, &access), &spec);
    certificates::settle(context, docker, &mut spec).await?;
    context.interrupt.give_away();
    // The agent has the terminal to itself.
    context.printer.settle();
    let created = create(context, docker, &spec).await?;
    if is_detached {
        return detached(context, docker, created).await;
    }
    let keys = options.session.detach_keys.as_ref();
    talking::run(context, created, (spec.input, keys)).await
}

/// How long an engine may be silent before somebody wonders.
const UNSAID: Duration = Duration::from_secs(3);

/// Creates the container, and says so where that takes its time.
async fn create(
    context: &Context,
    docker: &Docker,
    spec: &SessionSpec,
) -> Result<Created, EngineError> {
    let mut creating = pin!(create_session(docker, spec));
    tokio::select! {
        created = &mut creating => return created,
        () = tokio::time::sleep(UNSAID) => {}
    }
    let why = if spec.userns.is_some() {
        ": rootless Podman copies a new image once, so that files have your ids"
    } else {
        ""
    };
    context.printer.talk(&format!(
        "waiting for the engine to create the container{why}"
    ));
    creating.await
}

/// Starts a session in the background and tells its name.
async fn detached(
    context: &Context,
    docker: &Docker,
    created: Created,
) -> Result<ExitStatus, Diagnostic> {
    let (name, id) = (created.name.clone(), created.id.clone());
    created.start(docker).await?;
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
    (selection, access): (&Selection<'_>, &Settlement),
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

/// Prints the `docker run` line that would do the same.
async fn dry_run(
    context: &Context,
    docker: &Docker,
    spec: &SessionSpec,
) -> Result<ExitStatus, Diagnostic> {
    if docker.image(&spec.image).await?.is_none() {
        let image = &spec.image;
        context.printer.talk(&format!(
            "the engine has no image {image}; a start would make it first, as `aicage plan` tells"
        ));
    }
    let words = docker_run::words(spec, docker.info());
    if context.printer.is_json() {
        context.printer.json(&DryRun {
            schema: "aicage.dry-run/1",
            image: &spec.image,
            argv: words,
        })?;
    } else {
        let line = container_options::text::join(&words);
        context.printer.line(&line);
    }
    Ok(ExitStatus::Done)
}

/// `aicage.dry-run/1`
#[derive(Debug, serde::Serialize)]
struct DryRun<'a> {
    schema: &'static str,
    image: &'a str,
    argv: Vec<String>,
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

/// Makes sure that the engine has the image and returns the name it has there.
async fn prepare(
    context: &Context,
    selection: &Selection<'_>,
    options: &RunOptions,
) -> Result<String, Diagnostic> {
    let mut plan = plan::plan(context, selection, Want::Held).await?;
    let newest = if options.update {
        Some(newest(context, selection).await)
    } else if plan.is_done() && !options.no_update {
        update_check::newer(context, selection, &plan)
            .await
            .transpose()
    } else {
        None
    };
    match newest {
        // Without an image at hand there is nothing else to start.
        Some(newest) if plan.held.is_none() => plan = newest?,
        Some(Ok(newest)) if !plan.is_done() => plan = newest,
        Some(newest) => match apply(context, selection, newest).await {
            Ok(newer) => plan = newer,
            Err(diagnostic) if diagnostic.status() == ExitStatus::Interrupted => {
                return Err(diagnostic);
            }
            Err(diagnostic) => {
                context.printer.diagnostic(&diagnostic);
                let instead = if plan.is_done() {
                    "the image could not be updated; starting the one at hand"
                } else {
                    "what is newest could not be found out; going by what is known"
                };
                context.printer.warn(instead);
            }
        },
        None => {}
    }
    let image = make(context, selection, &plan).await?;
    load(context, &plan, &image).await?;
    if !options.no_update {
        update_check::refresh_version(context, selection, &plan);
    }
    Ok(plan.reference.familiar())
}

/// Plans the newest image; what its registry no longer has is told.
async fn newest(context: &Context, selection: &Selection<'_>) -> Result<Plan, Diagnostic> {
    let (plan, gone) = update_check::plan_newest(context, selection, Ask::Always).await?;
    if let Some(gone) = gone {
        context.printer.warn(&gone);
    }
    Ok(plan)
}

/// Makes the newer image, and returns the plan by which it is there.
async fn apply(
    context: &Context,
    selection: &Selection<'_>,
    newest: Result<Plan, Diagnostic>,
) -> Result<Plan, Diagnostic> {
    let newest = newest?;
    make(context, selection, &newest).await?;
    plan::plan(context, selection, Want::Held).await
}

async fn make(
    context: &Context,
    selection: &Selection<'_>,
    plan: &Plan,
) -> Result<Image, Diagnostic> {
    tell(context, selection, plan);
    ensure::carry_out(context, selection, plan).await
}

/// Says what is about to happen to the image, before it takes time.
pub(crate) fn tell(context: &Context, selection: &Selection<'_>, plan: &Plan) {
    if plan.is_done() {
        return;
    }
    let verb = match plan.work {
        plan::Work::Pull(_) => "pulling",
        plan::Work::Nothing | plan::Work::Build { .. } => "building",
    };
    context.printer.talk(&format!(
        "{verb} {} ({} on {}): {}",
        plan.reference.familiar(),
        selection.agent.settings.agent_full_name,
        selection.base.id,
        plan.reasons.join("; ")
    ));
}

/// Loads `image` into the engine under its name.
pub(crate) async fn load(context: &Context, plan: &Plan, image: &Image) -> Result<(), Diagnostic> {
    let docker = context.docker().await?;
    let (store, lock) = context.store()?;
    let request = LoadRequest {
        store,
        lock,
        image,
        reference: &plan.reference,
        reporter: context.reporter.as_ref(),
    };
    docker.load(&request).await?;
    Ok(())
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
