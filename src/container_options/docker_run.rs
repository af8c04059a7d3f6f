//! A session as the `docker run` line that would do the same.
//!
//! Invariant: one line, quoted for a shell. A value that is passed on from the environment is not in it, only its name.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    engine::docker::{EngineInfo, session_log},
    engine::session::{Access, SessionInput, SessionName, SessionSpec, WhenEnded},
    proxy,
    settings::Environment,
};

use super::csv;

/// Returns the program and its arguments.
pub fn words(spec: &SessionSpec, engine: &EngineInfo) -> Vec<String> {
    // What only Podman has, only its own client can say.
    let mut words: Vec<String> = [engine.name, "run", "--pull", "never"]
        .map(str::to_owned)
        .into();
    words.push(match spec.ended {
        WhenEnded::Removed => "--rm".to_owned(),
        WhenEnded::Kept => "--detach".to_owned(),
    });
    words.extend(match spec.input {
        SessionInput::Terminal => Some("-it".to_owned()),
        SessionInput::Pipe => Some("-i".to_owned()),
        SessionInput::Empty => None,
    });
    for (name, value) in &spec.labels {
        words.extend(["--label".to_owned(), format!("{name}={value}")]);
    }
    words.extend(env(spec));
    for mount in &spec.mounts {
        let field =
            |key: &str, path: &std::path::Path| csv::quote(&format!("{key}={}", path.display()));
        let mut text = format!(
            "type=bind,{},{}",
            field("src", &mount.source),
            field("dst", &mount.target)
        );
        if mount.access == Access::ReadOnly {
            text.push_str(",readonly");
        }
        words.extend(["--mount".to_owned(), text]);
    }
    let mut flags = spec.options.flags.clone();
    // Said by the parts of a session that they are in.
    flags.label.clear();
    flags.env.clear();
    let files = std::mem::take(&mut flags.env_file);
    for file in files {
        words.extend(["--env-file".to_owned(), file.display().to_string()]);
    }
    let asked = std::mem::take(&mut flags.add_host);
    let asked: BTreeSet<String> = asked.iter().map(ToString::to_string).collect();
    for host in asked.iter().chain(
        spec.extra_hosts
            .iter()
            .filter(|host| !asked.contains(*host)),
    ) {
        words.extend(["--add-host".to_owned(), host.clone()]);
    }
    if flags.network.is_none() {
        let name = spec.network.mode();
        words.extend(name.map(|name| format!("--network={name}")));
    }
    if let (None, SessionName::Like(name)) = (&flags.name, &spec.name) {
        words.extend(["--name".to_owned(), name.clone()]);
    }
    words.extend(flags.words());
    words.extend(spec.user.iter().map(|user| format!("--user={user}")));
    words.extend(spec.userns.iter().map(|mode| format!("--userns={mode}")));
    for option in &spec.security {
        words.extend(["--security-opt".to_owned(), option.clone()]);
    }
    words.extend(log(spec, engine));
    words.push(spec.image.clone());
    words.extend(spec.command.iter().cloned());
    words
}

/// Returns what the engine keeps of what is printed.
fn log(spec: &SessionSpec, engine: &EngineInfo) -> Vec<String> {
    let log = session_log(spec, engine);
    let mut words: Vec<String> = log
        .typ
        .map(|driver| format!("--log-driver={driver}"))
        .into_iter()
        .collect();
    let options: BTreeMap<String, String> = log.config.unwrap_or_default().into_iter().collect();
    for (name, value) in options {
        words.extend(["--log-opt".to_owned(), format!("{name}={value}")]);
    }
    words
}

/// Returns the variables: those that a file sets are left to it, those that are passed on are named.
fn env(spec: &SessionSpec) -> Vec<String> {
    let flags = &spec.options.flags;
    let typed: BTreeSet<&str> = flags
        .env
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    let asked = spec
        .options
        .env
        .iter()
        .map(|text| text.split('=').next().unwrap_or(text));
    let in_files: BTreeSet<&str> = asked.filter(|name| !typed.contains(name)).collect();
    let passed_on = |name: &str| {
        let by_name = flags.env.iter().rfind(|variable| variable.name == name);
        by_name.is_some_and(|variable| variable.value.is_none())
    };
    let mut words = Vec::new();
    for (name, value) in &spec.env {
        if in_files.contains(name.as_str()) {
            continue;
        }
        let may_be_named = passed_on(name) || proxy::is_secret(name, value);
        let same = may_be_named && Environment::variable(name).as_ref() == Some(value);
        words.push("-e".to_owned());
        words.push(if same {
            name.clone()
        } else {
            format!("{name}={}", proxy::shown(name, value))
        });
    }
    words
}
