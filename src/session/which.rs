//! Which session a command means: the one that is named, or the only one of this project.
//!
//! Invariant: never a guess. Where several could be meant, all are named in the refusal.

use std::time::Duration;

use crate::{
    clock,
    context::Context,
    diagnostic::Diagnostic,
    engine::{
        Engine, EngineChoice,
        session::{EngineSession, SessionState, stop_session},
    },
    exit_status::ExitStatus,
    settings::Origin,
};

/// How long a session in the background that has ended is kept, in seconds: a week.
const KEPT: i64 = 7 * 24 * 60 * 60;

/// What can be done with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It has to run.
    Running,
    /// It may have ended.
    Any,
}

impl Wanted {
    fn fits(self, session: &EngineSession) -> bool {
        match self {
            Self::Running => session.state != SessionState::Ended,
            Self::Any => true,
        }
    }
}

/// Returns the sessions of this user, wherever they were started.
pub async fn all(context: &Context) -> Result<Vec<EngineSession>, Diagnostic> {
    let mut sessions = listed(context).await?;
    let mut old = Vec::new();
    for session in &sessions {
        if session.state == SessionState::Ended && is_old(context, session).await {
            old.push(session.id.clone());
            // What cannot be removed now is removed by the next command.
            stop_session(&session.engine, &session.id, (0, Duration::ZERO))
                .await
                .map(|_| ())
                .unwrap_or_default();
        }
    }
    sessions.retain(|session| !old.contains(&session.id));
    Ok(sessions)
}

/// Lists the sessions of the engine that is used, and those that this machine keeps by itself: they are only files, and may
/// be older than the engine. Where the command line names an engine, only its sessions are meant.
async fn listed(context: &Context) -> Result<Vec<EngineSession>, Diagnostic> {
    let uid = context.settings.account.uid;
    let is_said = matches!(context.settings.origin("engine"), Origin::Flag);
    let is_engines = matches!(
        context.settings.config.engine,
        EngineChoice::Docker | EngineChoice::Podman
    );
    let own = match context.settings.native().engine() {
        Some(native) if !(is_said && is_engines) => native.sessions(uid).await?,
        Some(_) | None => Vec::new(),
    };
    let mut sessions = match context.engine().await {
        Ok(Engine::Native(_)) => return Ok(own),
        Ok(engine) => engine.sessions(uid).await?,
        Err(error) if own.is_empty() => return Err(error.into()),
        Err(error) => {
            let why = Diagnostic::from(error).sentence();
            context.warn_once(format!("there are only sessions without an engine: {why}"));
            Vec::new()
        }
    };
    sessions.extend(own);
    sessions.sort_by_key(|session| session.created);
    Ok(sessions)
}

/// Tells whether a session ended so long ago that nobody comes for its log any more.
async fn is_old(context: &Context, session: &EngineSession) -> bool {
    let passed = |time: &str| clock::seconds_between(time, &context.now);
    let created = clock::time_of(session.created);
    if created.and_then(|time| passed(&time)) < Some(KEPT) {
        return false;
    }
    match session.engine.session_details(&session.id).await {
        Ok(Some(details)) => passed(&details.finished) >= Some(KEPT),
        Ok(None) | Err(_) => false,
    }
}

/// Tells whether a session is of the directory that we are in.
pub fn is_here(context: &Context, session: &EngineSession) -> bool {
    session.project == context.settings.directory.display().to_string()
}

/// Finds the session that is meant.
pub async fn find(
    context: &Context,
    name: Option<&str>,
    wanted: Wanted,
) -> Result<EngineSession, Diagnostic> {
    let sessions = all(context).await?;
    match name {
        Some(name) => named(&sessions, name, wanted),
        None => only(context, sessions, wanted),
    }
}

/// Finds a session by name or by the beginning of its container's id.
pub fn named(
    sessions: &[EngineSession],
    name: &str,
    wanted: Wanted,
) -> Result<EngineSession, Diagnostic> {
    const SHORTEST_ID: usize = 6;
    let is_meant = |session: &&EngineSession| {
        session.name == name || (name.len() >= SHORTEST_ID && session.id.starts_with(name))
    };
    let mut meant: Vec<&EngineSession> = sessions.iter().filter(is_meant).collect();
    if meant.len() > 1 {
        // One that has ended cannot be joined, and so is not meant.
        meant.retain(|session| wanted.fits(session));
    }
    let found = match meant.as_slice() {
        [] => sessions.iter().find(is_meant),
        [only] => Some(*only),
        several => return Err(shared(name, several)),
    };
    let Some(found) = found else {
        return Err(unknown(sessions, name));
    };
    if !wanted.fits(found) {
        let hint = format!(
            "`aicage logs {0}` shows what it printed, `aicage stop {0}` removes it",
            found.name
        );
        return Err(Diagnostic::new(
            "session-ended",
            ExitStatus::Failed,
            format!("the session `{name}` has ended"),
        )
        .hint(hint.as_str()));
    }
    Ok(found.clone())
}

fn only(
    context: &Context,
    sessions: Vec<EngineSession>,
    wanted: Wanted,
) -> Result<EngineSession, Diagnostic> {
    let directory = context.settings.directory.display().to_string();
    let elsewhere = sessions.len();
    let (running, ended): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .filter(|session| session.project == directory)
        .partition(|session| Wanted::Running.fits(session));
    // One that runs is meant before those that ended.
    let mut here = if running.is_empty() && wanted == Wanted::Any {
        ended
    } else {
        running
    };
    match (here.pop(), here.is_empty()) {
        (Some(session), true) => Ok(session),
        (Some(last), false) => {
            here.push(last);
            Err(Diagnostic::new(
                "session-ambiguous",
                ExitStatus::Usage,
                format!(
                    "{} sessions run in this directory: {}",
                    here.len(),
                    names(&here)
                ),
            )
            .hint("say which one by its name"))
        }
        (None, _) => Err(Diagnostic::new(
            "no-session",
            ExitStatus::Failed,
            format!("no session of yours runs in {directory}"),
        )
        .hint(if elsewhere > 0 {
            "`aicage ps` shows those in other directories; say which one by its name"
        } else {
            "start one with `aicage AGENT`"
        })),
    }
}

/// Two engines may each have a session of that name, or two ids begin alike.
fn shared(name: &str, sessions: &[&EngineSession]) -> Diagnostic {
    let each: Vec<String> = sessions
        .iter()
        .map(|session| {
            let id: String = session.id.chars().take(12).collect();
            format!("`{id}` of {}", session.engine.info().name)
        })
        .collect();
    Diagnostic::new(
        "session-ambiguous",
        ExitStatus::Usage,
        format!(
            "{} sessions are called `{name}`: {}",
            each.len(),
            each.join(", ")
        ),
    )
    .hint("say which one by its id, or its engine with `--engine`")
}

fn unknown(sessions: &[EngineSession], name: &str) -> Diagnostic {
    let near = sessions
        .iter()
        .map(|session| (strsim::jaro_winkler(&session.name, name), &session.name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match near {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None if sessions.is_empty() => {
            "no session of yours runs; `aicage AGENT` starts one".to_owned()
        }
        None => format!("there are {}", names(sessions)),
    };
    let shown: String = name.chars().take(100).collect();
    Diagnostic::new(
        "unknown-session",
        ExitStatus::Failed,
        format!("you have no session `{shown}`"),
    )
    .hint(hint.as_str())
}

fn names(sessions: &[EngineSession]) -> String {
    let names: Vec<String> = sessions
        .iter()
        .map(|session| format!("`{}`", session.name))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::Native;

    fn sessions() -> Vec<EngineSession> {
        let engine = Engine::Native(Native::new("/store".into(), ("me", 7, 8)));
        let session = |name: &str, id: &str, state| EngineSession {
            engine: engine.clone(),
            id: id.repeat(8),
            name: name.to_owned(),
            agent: "codex".to_owned(),
            project: "/home/me/app".to_owned(),
            version: None,
            image: "aicage:codex-debian".to_owned(),
            state,
            exit: None,
            created: 0,
        };
        vec![
            session("codex-app", "0123abcd", SessionState::Running),
            session("codex-old", "fedc9876", SessionState::Ended),
        ]
    }

    #[test]
    fn a_session_is_found_by_name_or_id_and_a_near_miss_is_suggested() {
        for name in ["codex-app", "0123ab"] {
            let found = named(&sessions(), name, Wanted::Running).unwrap();
            assert_eq!(found.name, "codex-app");
        }
        let refused = |name| named(&sessions(), name, Wanted::Running).unwrap_err();
        assert_eq!(refused("0123").code(), "unknown-session");
        assert_eq!(refused("codex-old").code(), "session-ended");
        let twice = [sessions(), sessions()].concat();
        let error = named(&twice, "codex-app", Wanted::Running).unwrap_err();
        assert_eq!(error.code(), "session-ambiguous");
        let text = format!("{error:?}");
        assert!(
            text.contains("`0123abcd0123` of native, `0123abcd0123`"),
            "{text}"
        );
        let error = named(&twice, "codex-old", Wanted::Running).unwrap_err();
        assert_eq!(error.code(), "session-ended");
        let text = format!("{:?}", refused("codex-ap"));
        assert!(text.contains("did you mean `codex-app`?"), "{text}");
    }
}
