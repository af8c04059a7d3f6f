//! What counts in the end: what is stored, under what is typed; stored again where that is asked for.

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    project::{Found, Projects},
};

use super::{
    ContainerOptions, Flags, Resolved,
    defaults::Defaults,
    resolved::resolve,
    security::Privileged,
    stored::{self, Stored},
    text,
};

/// Decides on the container of `agent` in this project.
pub fn decide(
    context: &Context,
    agent: &str,
    options: &ContainerOptions,
) -> Result<Resolved, Diagnostic> {
    let settings = &context.settings;
    let projects = Projects::open(settings);
    let found = projects.choice(&settings.directory, agent)?;
    let typed = options.typed();
    let below = if options.no_stored_options {
        Flags::default()
    } else {
        stored::read(agent, &found.docker_args)?
    };
    let flags = below.overridden_by(typed.clone());
    tell(context, &flags);
    let mut resolved = resolve(settings, flags)?;
    let config = &settings.config.session;
    resolved.defaults = Defaults {
        no_new_privileges: config.no_new_privileges,
        drop_capabilities: config.drop_capabilities && !options.keep_capabilities,
        pids_limit: config.pids_limit,
    };
    if options.save && !context.is_dry() {
        save(context, (agent, &found), options)?;
    }
    Ok(resolved)
}

/// Says what is other than docker's users may expect.
fn tell(context: &Context, flags: &Flags) {
    let printer = &context.printer;
    match (&flags.entrypoint, flags.init) {
        (Some(program), _) => printer.talk(&format!(
            "`--entrypoint`: {program} runs as root in place of aicage's init, and what it writes may not be yours; `-e AICAGE_ENTRYPOINT_CMD={program}` runs it as you"
        )),
        (None, Some(true)) => printer.talk(
            "`--init` is not needed: aicage's own init is the first process, reaps others and passes signals on",
        ),
        (None, Some(false)) => printer.talk(
            "`--init=false` changes nothing: aicage's own init makes the container's user yours",
        ),
        (None, None) => {}
    }
}

/// Stores what was typed beside what the project has of its own.
fn save(
    context: &Context,
    (agent, found): (&str, &Found),
    options: &ContainerOptions,
) -> Result<(), Diagnostic> {
    let typed = options.typed();
    if typed.privileged == Some(Privileged(true)) {
        return Err(Diagnostic::new(
            "container-option",
            ExitStatus::Usage,
            "`--privileged` is not stored",
        )
        .hint("type it each time, or store `--cap-add`, `--device` and `--security-opt` for what is needed"));
    }
    let settings = &context.settings;
    let place = (settings.directory.as_path(), agent);
    let text = Projects::open(settings).change_docker_args(place, |own| {
        let own = (!options.no_stored_options).then(|| Stored {
            file: found.file.clone(),
            text: own.to_owned(),
        });
        let below = stored::read(agent, own.as_slice())?;
        Ok::<_, Diagnostic>(text::join(&below.overridden_by(typed).words()))
    })?;
    let file = found.file.display();
    let said = if text.is_empty() {
        format!("no container options are stored for `{agent}` in this project any more")
    } else {
        format!("from now on `{agent}` runs in this project with {text}; {file} has it")
    };
    context.printer.talk(&said);
    Ok(())
}
