//! An agent's newest version: what its `version.sh` prints, in a throwaway container of the base, else on this machine.
//!
//! Invariant: the answer is one line of printable text, kept with its time and how it was got; within the check
//! interval, and offline, the kept answer is used, unless another base gave it (a version may fit one and not the other) or
//! other scripts did. When it fails both ways, what is known stays in force; with nothing
//! known and no image at hand it is an error, because nobody could ever tell whether the image is up to date.

mod answer;
mod container;
mod host;

use std::{io, path::PathBuf};

use assembler::{
    digest::Digest, image::Image, provenance::Kind, sandbox::SandboxError, store::ImageRecord,
};

use crate::{
    clock,
    context::Context,
    definition::agent::{AgentDefinition, VERSION},
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    memory::{self, Remembered},
    selection::Selection,
    supply::{self, Ask},
};

const KIND: &str = "version";

/// Scripts that gave no version when they were asked last: why, and whether that was told.
const FAILED: &str = "version-failed";
/// What is kept of a failure that was told.
const TOLD: &str = "told";

/// How an answer was got that the script gave inside a base.
const CONTAINER: &str = "container";

/// Returns the version that was last seen, however old.
pub fn known(context: &Context, selection: &Selection<'_>) -> Option<String> {
    recall(context, selection)?.value
}

/// Returns the version that was last seen on `base`, however old.
pub fn known_on(
    context: &Context,
    selection: &Selection<'_>,
    base: Option<&Image>,
) -> Option<String> {
    recall(context, selection)
        .filter(|known| context.options.offline || is_of(known, selection.agent, base))?
        .value
}

/// Returns when the version was last seen, RFC 3339.
pub fn checked_at(context: &Context, selection: &Selection<'_>) -> Option<String> {
    Some(recall(context, selection)?.checked_at)
}

/// Returns the newest version; `base` must be whole in the store.
pub fn newest(
    context: &Context,
    selection: &Selection<'_>,
    base: &Image,
    ask: Ask,
) -> Result<Option<String>, Diagnostic> {
    let remembered = recall(context, selection);
    let fresh = remembered
        .as_ref()
        .is_some_and(|known| is_fresh(context, selection.agent, (known, base)));
    if context.options.offline || (fresh && ask != Ask::Always) {
        let known = remembered.and_then(|known| known.value);
        return Ok(match known {
            Some(version) => Some(version),
            None => at_hand(context, selection)?.and_then(installed),
        });
    }
    let failure = match find(context, selection.agent, Some(base))? {
        Ok(found) => {
            let answer = Remembered {
                value: Some(found.version.clone()),
                checked_at: context.now.clone(),
                how: Some(found.how.to_owned()),
                base: (found.how == CONTAINER).then_some(*base.digest()),
                definition: definition(selection.agent),
            };
            supply::remember(context, KIND, &name(selection), &answer);
            memory::forget(&context.settings.state(), FAILED, &name(selection));
            return Ok(Some(found.version));
        }
        Err(failure) => failure,
    };
    keep_failure(context, selection, (&failure.reason(), Some(TOLD)));
    if let Some(Remembered {
        value: Some(version),
        checked_at,
        ..
    }) = remembered
    {
        failure.warn(
            context,
            &format!("going by {version}, as it said at {checked_at}"),
        );
        return Ok(Some(version));
    }
    match at_hand(context, selection)? {
        Some(record) => {
            let version = installed(record);
            let shown = version.as_deref().unwrap_or("unknown");
            failure.warn(context, &format!("the image at hand has version {shown}"));
            Ok(version)
        }
        None => Err(failure.into()),
    }
}

fn keep_failure(
    context: &Context,
    selection: &Selection<'_>,
    (reason, told): (&str, Option<&str>),
) {
    let failed = Remembered {
        how: told.map(str::to_owned),
        ..Remembered::new(Some(reason.to_owned()), &context.now)
    };
    supply::remember(context, FAILED, &name(selection), &failed);
}

/// Keeps in mind that nobody saw the failure of this run, if there was one: the next start tells it.
pub fn failed_unseen(context: &Context, selection: &Selection<'_>) {
    let failed = memory::recall(&context.settings.state(), FAILED, &name(selection));
    if let Some(failed) = failed.filter(|failed| failed.checked_at == context.now) {
        let reason = failed.value.unwrap_or_default();
        keep_failure(context, selection, (&reason, None));
    }
}

/// Tells once of a script that gave no version when nobody looked, and how old its last answer is.
pub fn tell_failure(context: &Context, selection: &Selection<'_>) {
    let state = context.settings.state();
    let Some(failed) = memory::recall(&state, FAILED, &name(selection)) else {
        return;
    };
    if failed.how.is_some() {
        return;
    }
    let last = match checked_at(context, selection) {
        Some(at) => format!("it last gave one {}", clock::ago(&at, &context.now)),
        None => "it never gave one".to_owned(),
    };
    context.printer.warn(&format!(
        "cannot tell whether `{0}` has a newer version: `{VERSION}` gave none {1} ({2}); {last}; `aicage update {0}` asks again",
        selection.agent.id,
        clock::ago(&failed.checked_at, &context.now),
        failed.value.clone().unwrap_or_default(),
    ));
    let told = Remembered {
        how: Some(TOLD.to_owned()),
        ..failed
    };
    supply::remember(context, FAILED, &name(selection), &told);
}

/// A version and how it was got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What the script printed.
    pub version: String,
    /// `container` or `host`.
    pub how: &'static str,
}

/// Why a script gave no version, both ways.
#[derive(Clone, Debug)]
pub struct Failure {
    agent: String,
    container: String,
    host: String,
    logs: Vec<PathBuf>,
    /// Set when there is no engine, which more than this will need.
    engine: Option<Box<Diagnostic>>,
}

/// Runs the script now: in a container of `base`, where there is one, else and after a failure on this machine.
///
/// The outer error is an interruption.
pub fn find(
    context: &Context,
    agent: &AgentDefinition,
    base: Option<&Image>,
) -> Result<Result<Found, Failure>, Diagnostic> {
    let log = |suffix: &str| {
        let name = format!("version-{}{suffix}.log", agent.id);
        context.settings.logs().join(name)
    };
    let mut logs = Vec::new();
    let mut engine = None;
    let in_container = match base {
        None => Err("there is no base image to run it in".to_owned()),
        Some(base) => {
            logs.push(log(""));
            let run = || container::run(context, agent, base, &log(""));
            match tokio::task::block_in_place(run) {
                Ok(printed) => answer::parse(&printed),
                Err(SandboxError::Interrupted) => return Err(interrupted()),
                Err(error) => {
                    let is_engine = matches!(error, SandboxError::Engine { .. });
                    let diagnostic = Diagnostic::from(error);
                    let sentence = diagnostic.sentence();
                    engine = is_engine.then(|| Box::new(diagnostic));
                    Err(sentence)
                }
            }
        }
    };
    let container = match in_container {
        Ok(version) => {
            return Ok(Ok(Found {
                version,
                how: CONTAINER,
            }));
        }
        Err(reason) => reason,
    };
    let refusal = if context.options.offline {
        // Only in a container can the network be kept from it.
        Some("it is not run there, because `--offline` was given")
    } else if !context.settings.config.update.version_on_host {
        Some("it is not run there, as `update.version_on_host` says")
    } else {
        None
    };
    if let Some(host) = refusal.map(str::to_owned) {
        return Ok(Err(Failure {
            agent: agent.id.clone(),
            container,
            host,
            logs,
            engine,
        }));
    }
    logs.push(log("-host"));
    let on_host = tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(host::run(context, agent, &log("-host")))
    });
    if context.interrupt.token().is_cancelled() {
        return Err(interrupted());
    }
    Ok(match on_host.and_then(|printed| answer::parse(&printed)) {
        Ok(version) => {
            if base.is_some() {
                context.printer.talk(&format!(
                        "`{VERSION}` of `{}` gave no version in a container ({container}); on this machine it did",
                        agent.id
                    ));
            }
            Ok(Found {
                version,
                how: "host",
            })
        }
        Err(host) => Err(Failure {
            agent: agent.id.clone(),
            container,
            host,
            logs,
            engine,
        }),
    })
}

impl Failure {
    fn warn(&self, context: &Context, instead: &str) {
        let logs: Vec<String> = self
            .logs
            .iter()
            .map(|log| log.display().to_string())
            .collect();
        context.printer.warn(&format!(
            "`{VERSION}` of `{}` gave no version; in a container: {}; on this machine: {}; {instead}; what it printed \
             is in {}",
            self.agent,
            self.container,
            self.host,
            logs.join(" and ")
        ));
    }

    /// Says why, in one line.
    pub fn reason(&self) -> String {
        format!(
            "in a container: {}; on this machine: {}",
            self.container, self.host
        )
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        if let Some(engine) = failure.engine {
            return *engine;
        }
        let mut diagnostic = Self::new(
            "version-unknown",
            ExitStatus::Failed,
            format!("cannot tell the newest version of `{}`", failure.agent),
        )
        .caused_by_words(format!("`{VERSION}` in a container: {}", failure.container))
        .caused_by_words(format!("`{VERSION}` on this machine: {}", failure.host));
        for log in &failure.logs {
            diagnostic = diagnostic.fact("log", log.display().to_string());
        }
        diagnostic.hint("run the script by hand; it must print one line, the version")
    }
}

/// Opens a log of a script, emptied.
fn open_log(path: &std::path::Path) -> io::Result<fs_err::File> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    // What a script prints may be nobody else's business.
    let mut options = fs_err::OpenOptions::new();
    options.mode(0o600);
    options.write(true).create(true).truncate(true).open(path)
}

/// Returns the image of that name, if it is one of this agent.
fn at_hand(
    context: &Context,
    selection: &Selection<'_>,
) -> Result<Option<ImageRecord>, Diagnostic> {
    let (store, _) = context.store()?;
    let record = store.tagged(&selection.reference)?;
    Ok(record.filter(|record| {
        let parts = record.parts.as_ref();
        parts.is_none_or(|parts| parts.agent == selection.agent.id)
    }))
}

fn installed(record: ImageRecord) -> Option<String> {
    let mut layers = record.layers.into_iter();
    let agent = layers.find(|layer| layer.origin.kind == Kind::Agent)?;
    agent.origin.version
}

fn interrupted() -> Diagnostic {
    Diagnostic::new("interrupted", ExitStatus::Interrupted, "interrupted")
}

fn is_fresh(
    context: &Context,
    agent: &AgentDefinition,
    (known, base): (&Remembered, &Image),
) -> bool {
    is_of(known, agent, Some(base)) && supply::is_fresh(context, &known.checked_at)
}

/// Tells whether an answer counts for `base`, and for `agent` as it is now; nothing is a base that is yet to be made.
fn is_of(known: &Remembered, agent: &AgentDefinition, base: Option<&Image>) -> bool {
    let is_base = known
        .base
        .is_none_or(|asked_in| base.is_some_and(|base| *base.digest() == asked_in));
    is_base && (known.definition.is_none() || known.definition == definition(agent))
}

/// Returns the digest of an agent's scripts and what is beside them.
fn definition(agent: &AgentDefinition) -> Option<Digest> {
    agent.scripts().digest().ok()
}

fn recall(context: &Context, selection: &Selection<'_>) -> Option<Remembered> {
    memory::recall(&context.settings.state(), KIND, &name(selection))
}

/// Returns the name of what is remembered of an agent on a base; no other agent and base have it together.
pub fn name(selection: &Selection<'_>) -> String {
    format!("{}@{}", selection.agent.id, selection.base.id)
}
