//! The environment of a session: the contract's variables, the time zone, proxies, certificates, and what was asked for.

use std::collections::BTreeMap;

use crate::{
    context::Context, diagnostic::Diagnostic, exit_status::ExitStatus, proxy, settings::Environment,
};

use super::identity::Identity;

/// Composes the variables, with those that lead to the `network`; what was asked for wins over everything else.
pub fn compose(
    context: &Context,
    identity: &Identity,
    network: BTreeMap<String, String>,
    asked: &[String],
) -> Result<BTreeMap<String, String>, Diagnostic> {
    let settings = &context.settings;
    let mut env = identity.variables();
    env.insert(
        "AICAGE_WORKSPACE".to_owned(),
        settings.directory.display().to_string(),
    );
    if let Some(zone) = time_zone(settings.environment.time_zone.as_deref()) {
        env.insert("TZ".to_owned(), zone);
    }
    for (name, value) in [
        ("TERM", &settings.environment.term),
        ("COLORTERM", &settings.environment.color_term),
    ] {
        if let Some(value) = value {
            env.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(locale) = locale(&settings.environment.locale, asked) {
        env.insert("AICAGE_LOCALE".to_owned(), locale);
    }
    env.extend(network);
    for variable in asked {
        match variable.split_once('=') {
            Some(("", _)) => {
                return Err(Diagnostic::new(
                    "env-name",
                    ExitStatus::Usage,
                    format!("`-e {variable}` names no variable"),
                )
                .hint("write `-e NAME=VALUE`, or `-e NAME` to pass a variable on"));
            }
            Some((name, value)) => proxy::lay_over(&mut env, name, value.to_owned()),
            // As docker has it: a variable that is not set here is not set there.
            None => {
                if let Some(value) = Environment::variable(variable) {
                    proxy::lay_over(&mut env, variable, value);
                }
            }
        }
    }
    Ok(env)
}

/// Returns the caller's locale in the words of `init`, without what was asked for otherwise.
fn locale(variables: &[(String, String)], asked: &[String]) -> Option<String> {
    let is_asked = |name: &str| {
        asked.iter().any(|asked| {
            asked
                .split_once('=')
                .map_or(asked.as_str(), |(asked, _)| asked)
                == name
        })
    };
    // Whoever asks for one of them has decided on all of them.
    if variables.is_empty() || is_asked("LANG") || is_asked("LC_ALL") {
        return None;
    }
    let spelled: Vec<String> = variables
        .iter()
        .filter(|(name, value)| !is_asked(name) && !value.contains(';'))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(spelled.join(";"))
}

/// Returns the zone's name: `TZ` where it is one, `/etc/timezone`, or what `/etc/localtime` links to.
fn time_zone(variable: Option<&str>) -> Option<String> {
    let is_zone = |zone: &str| {
        !zone.is_empty()
            && !zone.starts_with([':', '/'])
            && !zone.contains("..")
            && zone
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
    };
    let file = || {
        let text = fs_err::read_to_string("/etc/timezone").ok()?;
        Some(text.trim().to_owned())
    };
    let link = || {
        let target = fs_err::read_link("/etc/localtime").ok()?;
        let target = target.to_str()?;
        Some(target.split_once("zoneinfo/")?.1.to_owned())
    };
    variable
        .map(str::to_owned)
        .filter(|zone| is_zone(zone))
        .or_else(|| file().filter(|zone| is_zone(zone)))
        .or_else(|| link().filter(|zone| is_zone(zone)))
}
