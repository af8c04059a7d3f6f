//! Being at a session: the keys that leave it, the sign that somebody is there, and what is said at the end.

use std::{
    io::{IsTerminal as _, stdin, stdout},
    path::Path,
};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    engine::session::{
        Created, DetachKeys, Ending, EngineSession, Memory, SessionDetails, SessionInput, Talk,
        attach_session,
    },
    exit_status::ExitStatus,
    network,
    session::presence,
    small_file::{self, SmallFile},
};

/// Docker's settings are a few lines; credentials may be among them.
const SETTINGS_LIMIT: u64 = 1 << 20;

/// How our own stdin and stdout are connected.
pub fn our_input() -> SessionInput {
    if stdin().is_terminal() && stdout().is_terminal() {
        SessionInput::Terminal
    } else {
        SessionInput::Pipe
    }
}

/// How a session in the background is connected: somebody at a terminal will want to join it from one.
pub fn background_input() -> SessionInput {
    if stdin().is_terminal() {
        SessionInput::Terminal
    } else {
        SessionInput::Empty
    }
}

/// Starts a session and stays at it.
pub async fn run(
    context: &Context,
    created: Created,
    (input, asked): (SessionInput, Option<&DetachKeys>),
) -> Result<ExitStatus, Diagnostic> {
    let keys = keys(context, input, asked);
    let name = created.name.clone();
    let presence = presence::announce(&context.settings, &created.id);
    let say = |text: &str| context.printer.talk(text);
    let talk = Talk {
        input,
        keys: &keys,
        tell: &say,
    };
    let ending = created.run(&talk).await;
    drop(presence);
    ended(context, &name, ending?)
}

/// Joins a session.
pub async fn join(
    context: &Context,
    (session, details): (&EngineSession, &SessionDetails),
    (input, asked): (SessionInput, Option<&DetachKeys>),
) -> Result<ExitStatus, Diagnostic> {
    let keys = keys(context, input, asked);
    let presence = presence::announce(&context.settings, &session.id);
    let say = |text: &str| context.printer.talk(text);
    let talk = Talk {
        input,
        keys: &keys,
        tell: &say,
    };
    let ending = attach_session(&session.engine, details, &talk).await;
    drop(presence);
    ended(context, &session.name, ending?)
}

/// Says how it ended, where the exit code alone does not.
fn ended(context: &Context, name: &str, ending: Ending) -> Result<ExitStatus, Diagnostic> {
    match ending {
        Ending::Exited { status, memory } => {
            if memory == Memory::Exhausted {
                context.printer.warn(
                    "the agent was killed because its container ran out of memory; `--memory` gives it more",
                );
            }
            Ok(ExitStatus::Agent(u8::try_from(status).unwrap_or(1)))
        }
        Ending::Left => {
            context.printer.talk(&format!(
                "left `{name}` running: `aicage attach {name}` comes back, `aicage stop {name}` ends it"
            ));
            Ok(ExitStatus::Done)
        }
        Ending::LeftBehind => Err(Diagnostic::new(
            "session-left-behind",
            ExitStatus::NotStarted,
            format!("the session `{name}` prints faster than what it prints is read here, and the rest is not shown"),
        )
        .hint(format!("`aicage logs {name}` prints the last of it; while it runs, `aicage attach {name}` looks on again").as_str())),
        Ending::Lost => Err(Diagnostic::new(
            "session-lost",
            ExitStatus::NotStarted,
            format!("the container engine went away, and the session `{name}` ended with it"),
        )
        .hint("engines with `\"live-restore\": true` in their `daemon.json` keep containers over a restart; agents on a terminal are then taken up again, those in a pipe are not, because bytes would be missing")),
        Ending::Unknown => Err(Diagnostic::new(
            "session-unknown",
            ExitStatus::NotStarted,
            format!("the container engine went away; whether the session `{name}` still runs is not known"),
        )
        .hint("when the engine is back, `aicage ps` tells; `aicage attach` joins what runs")),
    }
}

/// The keys that leave a session: those asked for, those of Docker's settings, the usual ones.
fn keys(context: &Context, input: SessionInput, asked: Option<&DetachKeys>) -> DetachKeys {
    if let Some(keys) = asked {
        return keys.clone();
    }
    if input != SessionInput::Terminal {
        return DetachKeys::default();
    }
    let file = network::docker_config(context).join("config.json");
    let Some(text) = configured(&file) else {
        return DetachKeys::default();
    };
    text.parse().unwrap_or_else(|error| {
        context.printer.warn(&format!(
            "{}: `detachKeys`: {error}; the usual keys are used",
            file.display()
        ));
        DetachKeys::default()
    })
}

/// Reads the keys out of Docker's settings; what else is wrong with those is told by whoever needs them.
fn configured(file: &Path) -> Option<String> {
    let Ok(SmallFile::Content(bytes)) = small_file::read(file, SETTINGS_LIMIT) else {
        return None;
    };
    let settings: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(settings.get("detachKeys")?.as_str()?.to_owned())
}
