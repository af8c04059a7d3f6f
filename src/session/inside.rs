//! Another program in a session: as whom and with which variables the agent runs, so that both are in the same place.
//!
//! Invariant: what is not known from the container itself is not guessed: the contract's variables say who the agent
//! is, and without them the program runs as the container does.

use std::collections::BTreeMap;

use crate::{
    compose::INIT,
    engine::session::{ExecSpec, SessionDetails, SessionInput},
    settings::Settings,
};

/// The variable that names what the image's entrypoint runs.
pub const ENTRYPOINT: &str = "AICAGE_ENTRYPOINT_CMD";

/// Has our init find out what groups and variables the agent has; inits of before take it for no groups.
const AS_THE_AGENT: &str = "";

/// The best shell that there is.
pub fn shell() -> Vec<String> {
    [
        "sh",
        "-c",
        "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi",
    ]
    .map(str::to_owned)
    .into()
}

/// Composes a program in a session.
pub fn program(
    settings: &Settings,
    session: &SessionDetails,
    (command, input): (Vec<String>, SessionInput),
) -> ExecSpec {
    let given = |name: &str| session.env.get(name).filter(|value| !value.is_empty());
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    if let Some(home) = given("AICAGE_HOME") {
        let path = given("PATH").map_or(
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            String::as_str,
        );
        set("HOME", home);
        set("PATH", &format!("{home}/.local/bin:{path}"));
    }
    if let Some(name) = given("AICAGE_HOST_USER") {
        set("USER", name);
        set("LOGNAME", name);
    }
    if input == SessionInput::Terminal {
        // Our terminal, which need not be the one that the session was started on.
        if let Some(term) = &settings.environment.term {
            set("TERM", term);
        }
        if let Some(color) = &settings.environment.color_term {
            set("COLORTERM", color);
        }
    }
    let user = match (given("AICAGE_UID"), given("AICAGE_GID")) {
        // A container that does not start as root is nobody else than it says.
        _ if !is_root(&session.user) => session.user.clone(),
        (Some(uid), Some(gid)) => format!("{uid}:{gid}"),
        _ => session.user.clone(),
    };
    let directory = given("AICAGE_WORKSPACE").cloned();
    let (launcher, user) = launched(session, directory.as_deref(), user);
    ExecSpec {
        command,
        launcher,
        env,
        user,
        working_dir: directory,
        input,
    }
}

/// Lets our own init become the user, where it is the session's first process: it knows the user's groups, its language and
/// whether the image knows its terminal, gives the terminal to the user and names a program that is missing as a shell
/// does. Podman's crun up to 1.8 would give this machine's own `/dev/null` away.
fn launched(
    session: &SessionDetails,
    directory: Option<&str>,
    user: String,
) -> (Vec<String>, String) {
    let init = format!("/{INIT}");
    let Some((uid, gid)) = user.split_once(':').filter(|_| session.program == init) else {
        return (Vec::new(), user);
    };
    let directory = directory.unwrap_or("/");
    let launch = [init.as_str(), "launch", uid, gid, AS_THE_AGENT, directory].map(str::to_owned);
    let starts_as = if is_root(&session.user) {
        "0:0".to_owned()
    } else {
        user
    };
    (launch.into(), starts_as)
}

fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    matches!(name, "" | "0" | "root")
}
