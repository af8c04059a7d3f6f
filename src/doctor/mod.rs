//! Looks at everything that a start needs and says what is wrong, why it matters, and what to type next.
//!
//! One room a check; looking and judging are apart, so that judgements are tested with tables. Checks run side by side,
//! each under a deadline. Invariants: nothing is changed but for a throwaway container, the engine's or this machine's, which is gone at the end, and for
//! definitions that are an image and not here yet; nobody is told anything: the only ones that are asked are the engine and
//! the registries that are configured.

mod authorities;
mod clock;
mod confinement;
mod container_network;
mod credentials;
mod defaults;
mod definitions;
mod disk;
mod distribution;
mod engine;
pub mod finding;
mod git;
mod home;
mod images;
mod limits;
mod native;
mod older;
mod proxies;
mod registries;
mod store;
mod sub_ids;
mod terminal;

use std::time::{Duration, SystemTime};

use tokio::{sync::mpsc, time::timeout};

use crate::{
    aside::aside, context::Context, diagnostic::Diagnostic, engine::docker::Docker, init_program,
    network, settings::Settings,
};

use finding::{Check, Finding, Group, Report};

/// How long a look at the engine or the registries may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a container may take to tell what it reaches: name servers are patient.
const CONTAINER_LIMIT: Duration = Duration::from_secs(25);

/// How long an engine may take to remove the container; what it does not, the next build sweeps.
const REMOVAL: Duration = Duration::from_secs(10);

/// Looks at everything, unless the user interrupts it first; the throwaway container is gone in any case.
pub async fn examine(context: &Context, agent: Option<&str>) -> Result<Report, Diagnostic> {
    let (alive, mut ended) = mpsc::channel(1);
    // It asks everything at once, which makes a large future.
    let looked = Box::pin(looked(context, agent, alive));
    let report = context.unless_interrupted(async { Ok(looked.await) }).await;
    // Nothing is sent: it ends when nobody could send any more.
    let removed = timeout(REMOVAL, ended.recv()).await;
    if removed.is_err() {
        let left = "a container of `aicage doctor` is still there; the next build takes it away";
        context.printer.warn(left);
    }
    report
}

async fn looked(context: &Context, agent: Option<&str>, alive: mpsc::Sender<()>) -> Report {
    // It may have to be fetched, which waits on this thread.
    let catalogue = context.catalogue_telling(|_| false);
    let now = crate::clock::system(&context.now).unwrap_or(SystemTime::UNIX_EPOCH);
    let settings = &context.settings;
    let beside = settings.clone();
    let time = context.now.clone();
    let size = terminal_size();
    let local = aside(move || {
        let mut findings = home::look(&beside.home, beside.account.uid);
        findings.push(disk::store(&beside.store()));
        findings.push(store::look(&beside.store()));
        findings.extend(authorities::look(&beside, &time));
        findings.extend(git::look(&beside));
        findings.extend(older::look(
            &beside,
            std::env::current_exe().ok().as_deref(),
        ));
        findings.push(terminal::judge(&terminal::Seen {
            size,
            term: beside.environment.term.clone(),
            color_term: beside.environment.color_term.clone(),
        }));
        findings
    });
    let sources = network::credential_sources(context);
    let programs = aside(move || credentials::look(&sources));
    let ((engine, used), registries, local, programs) = tokio::join!(
        engine_side(context, agent, now, alive),
        within(
            (Check::Registry, LIMIT),
            registries::look(context, catalogue)
        ),
        within((Check::Home, LIMIT), local),
        within((Check::Credentials, LIMIT), programs),
    );
    let mut findings = [engine, registries, local, programs].concat();
    findings.extend(proxies::look(settings, used));
    findings.extend(definitions::look(catalogue));
    findings.extend(defaults::judge(&settings.config.session));
    findings.push(version());
    findings.extend(configured(settings));
    Report::of(findings)
}

/// What is wrong with the files that configure.
fn configured(settings: &Settings) -> Vec<Finding> {
    let faults = settings.faults.iter().map(|fault| {
        Finding::problem(
            Check::Settings,
            crate::diagnostic::sentence(fault),
            "An agent does not start with it; here it was left out.",
        )
        .next("aicage config show --origin")
    });
    let warnings = settings.warnings.iter();
    let mut findings: Vec<Finding> = faults
        .chain(warnings.map(|warning| Finding::note(Check::Settings, warning)))
        .collect();
    if findings.is_empty() {
        let file = settings.user_file();
        findings.push(Finding::ok(Check::Settings, file.display().to_string()));
    }
    findings
}

/// What depends on the engine: one after the other where one needs the other, else side by side.
async fn engine_side(
    context: &Context,
    agent: Option<&str>,
    now: SystemTime,
    alive: mpsc::Sender<()>,
) -> (Vec<Finding>, native::Use) {
    let Ok((mut findings, docker, used)) = timeout(LIMIT, engine::look(context)).await else {
        return (vec![silent(Check::Engine, LIMIT)], native::Use::Spare);
    };
    let info = docker.as_ref().map(Docker::info);
    if used == native::Use::Spare {
        findings.push(sub_ids::look(&context.settings, info));
    }
    findings.extend(machine(&context.settings, used).await);
    let leftovers = images::leftovers(&context.settings, docker.as_ref(), now);
    let leftovers = one((Check::Leftovers, LIMIT), leftovers);
    let agent = async {
        match agent {
            Some(name) => {
                let finding = definitions::agent(context, name, docker.as_ref());
                Some(one((Check::Agent, LIMIT), finding).await)
            }
            None => None,
        }
    };
    let Some(docker) = &docker else {
        let (leftovers, agent) = tokio::join!(leftovers, agent);
        findings.push(leftovers);
        findings.extend(agent);
        return (findings, used);
    };
    let (described, network, images, leftovers, agent) = tokio::join!(
        within((Check::Limits, LIMIT), describe(docker)),
        one(
            (Check::ContainerNetwork, CONTAINER_LIMIT),
            container_network::look(context, docker, alive)
        ),
        one((Check::Images, LIMIT), images::look(docker)),
        leftovers,
        agent,
    );
    findings.extend(described);
    findings.extend([network, images, leftovers]);
    findings.extend(agent);
    (findings, used)
}

/// Whether this machine can run containers by itself.
async fn machine(settings: &Settings, used: native::Use) -> Vec<Finding> {
    if !cfg!(target_os = "linux") {
        let skipped = Finding::skipped(Check::Native, "only Linux runs containers by itself");
        return vec![skipped];
    }
    let settings = settings.clone();
    aside(move || native::judge(&native::look(&settings), &settings.account, used)).await
}

async fn describe(docker: &Docker) -> Vec<Finding> {
    match docker.particulars().await {
        Ok(particulars) => vec![
            limits::judge(docker.info(), &particulars),
            confinement::look(docker.info(), &particulars),
            disk::engine(docker.info(), &particulars),
        ],
        Err(error) => vec![Finding::skipped(
            Check::Limits,
            crate::diagnostic::sentence(&error),
        )],
    }
}

/// Gives up on a look that takes too long.
async fn within(
    (check, limit): (Check, Duration),
    look: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    let found = timeout(limit, look).await;
    found.unwrap_or_else(|_elapsed| vec![silent(check, limit)])
}

async fn one((check, limit): (Check, Duration), look: impl Future<Output = Finding>) -> Finding {
    let found = timeout(limit, look).await;
    found.unwrap_or_else(|_elapsed| silent(check, limit))
}

fn silent(check: Check, limit: Duration) -> Finding {
    Finding::problem(
        check,
        format!("no answer within {} s", limit.as_secs()),
        "A start waits for the same.",
    )
    .next(match check.group() {
        Group::Engine => "docker info",
        Group::Network => "curl -sv https://REGISTRY/v2/",
        // A home on another machine that does not answer.
        Group::Machine | Group::Aicage => "df -h ~",
        Group::Project => "aicage plan AGENT",
    })
}

fn version() -> Finding {
    let architectures: Vec<&str> = ["amd64", "arm64"]
        .into_iter()
        .filter(|architecture| init_program::init_for(architecture).is_ok())
        .collect();
    let seen = format!(
        "aicage {} for {}, for containers of {}; it asks nobody for newer ones and reports nothing to anybody",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        architectures.join(" and ")
    );
    if init_program::init_for(std::env::consts::ARCH).is_err() {
        return Finding::problem(
            Check::Version,
            seen,
            "It has no program for containers of this machine's architecture: nothing can be built.",
        )
        .next("rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl");
    }
    Finding::ok(Check::Version, seen)
}

fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some((size.ws_col, size.ws_row))
}

/// Writes a time as a day.
fn day(time: SystemTime) -> String {
    let text = crate::clock::text(time);
    text.get(..10).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use assembler::platform::Platform;

    use crate::engine::docker::{EngineFiles, EngineInfo, EngineStore, EngineUsers};

    /// An ordinary engine.
    pub(super) fn engine_info() -> EngineInfo {
        EngineInfo {
            id: "id".to_owned(),
            version: "28.5.2".to_owned(),
            name: "docker",
            store: EngineStore::Containerd,
            users: EngineUsers::Same,
            live_restore: false,
            labels: false,
            platform: Platform::linux("amd64"),
            files: EngineFiles::Same,
            api: (1, 51),
        }
    }
}
