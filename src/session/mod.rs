//! Composes a session: what of this machine the agent's container sees, as whom it runs, with which environment.
//!
//! Invariant: pure but for looking at what exists; state files of the agent that do not exist are created here, so that
//! the engine does not create directories in their place, owned by root.

pub mod environment;
pub mod guard;
pub mod identity;
pub mod inside;
pub mod mounts;
pub mod name;
pub mod options;
pub mod presence;
pub mod share;
pub mod talking;
pub mod which;

use std::{collections::BTreeMap, path::Path};

use crate::{
    access::Settlement,
    certificates,
    cli::RunOptions,
    container_options::Resolved,
    context::Context,
    definition::agent::AgentDefinition,
    diagnostic::Diagnostic,
    engine::Engine,
    engine::session::{
        AGENT, Network, PROJECT, SessionInput, SessionLog, SessionName, SessionSpec, UID, VERSION,
        WhenEnded,
    },
    proxy,
};

use share::Share;

/// What is started.
#[derive(Debug)]
pub struct Start<'a> {
    /// The agent.
    pub agent: &'a AgentDefinition,
    /// The image, by a name that the engine knows.
    pub image: String,
    /// The agent's arguments.
    pub arguments: Vec<String>,
    /// What of this machine it is to see beyond the project and the agent's own.
    pub shares: Vec<Share>,
    /// What it gets beyond that.
    pub access: &'a Settlement,
    /// What the command line adds.
    pub options: &'a RunOptions,
    /// What was asked of the container.
    pub container: Resolved,
    /// How our own stdin and stdout are connected.
    pub input: SessionInput,
}

/// Composes the container of a session.
pub fn compose(
    context: &Context,
    engine: &Engine,
    start: Start<'_>,
) -> Result<SessionSpec, Diagnostic> {
    let (identity, asked) = identity::on(engine.info(), &context.settings);
    let given = start.access.given(engine)?;
    let laid_over: Vec<&Path> = start.container.flags.targets().map(Path::new).collect();
    let mut mounts = mounts::compose(context, start.agent, (&start.shares, &given, &laid_over))?;
    let told = proxy::for_containers(context, engine.info());
    let mut network = told.variables;
    if let Some(given) = certificates::for_session(context)? {
        network.extend(given.variables);
        mounts.push(given.mount);
    }
    let mut env = environment::compose(context, &identity, network, &start.container.env)?;
    for (name, value) in given.variables {
        // What was asked for wins.
        env.entry(name).or_insert(value);
    }
    let spec = SessionSpec {
        image: start.image,
        entrypoint: None,
        command: start.arguments,
        env,
        mounts,
        working_dir: None,
        user: asked.user,
        userns: asked.userns,
        security: asked.security,
        name: SessionName::Like(name::proposed(&start.agent.id, &context.settings.directory)),
        labels: labels(context, start.agent),
        input: start.input,
        ended: if start.options.session.detach {
            WhenEnded::Kept
        } else {
            WhenEnded::Removed
        },
        log: if start.options.session.no_log {
            SessionLog::None
        } else {
            SessionLog::Bounded
        },
        network: Network::default(),
        extra_hosts: told.hosts,
        options: Resolved::default(),
    };
    Ok(start.container.laid_over(spec, engine.info()))
}

/// By these a session is found again.
fn labels(context: &Context, agent: &AgentDefinition) -> BTreeMap<String, String> {
    let settings = &context.settings;
    [
        (AGENT, agent.id.clone()),
        (PROJECT, settings.directory.display().to_string()),
        (UID, settings.account.uid.to_string()),
        (VERSION, env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
