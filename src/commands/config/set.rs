//! `aicage config set` and `unset`.

use std::path::Path;

use serde_json::{Map, Value};

use super::{
    SetArgs, UnsetArgs,
    place::{Place, PlaceKind, ScopeOption, place, stored},
};
use crate::{
    access::Kind,
    container_options::{Flags, text},
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::printable,
    project::AgentKey,
    selection::{find_agent, find_base, find_extension},
    session::share::{Share, Whose},
    settings::{
        Layer, Origin, SETTINGS, Scope,
        edit::set_key,
        keys,
        layers::{checked, meant_from, to_node},
    },
    whole_file, yaml,
};

/// Sets a key; without a value it goes.
pub(super) fn set(context: &Context, args: &SetArgs) -> Result<(), Diagnostic> {
    if args.values.is_empty() {
        return change(context, (&args.key, None), args.scope.as_ref());
    }
    change(
        context,
        (&args.key, Some(&args.values)),
        args.scope.as_ref(),
    )
}

/// Takes a key away.
pub(super) fn unset(context: &Context, args: &UnsetArgs) -> Result<(), Diagnostic> {
    change(context, (&args.key, None), args.scope.as_ref())
}

fn change(
    context: &Context,
    (key, words): (&str, Option<&Vec<String>>),
    scope: Option<&ScopeOption>,
) -> Result<(), Diagnostic> {
    if key == "agents" || key.starts_with("agents.") {
        let scope = scope.unwrap_or(&ScopeOption::Project);
        return change_agent(context, (key, words), scope);
    }
    let place = place(context, scope.unwrap_or(&ScopeOption::User));
    let usage = |reason: String| usage(key, &reason);
    // What an older or newer program called a setting can be taken away, too.
    if words.is_some() || place.kind == PlaceKind::Settings {
        keys::find(key).map_err(usage)?;
    }
    let value = match words {
        Some(words) => {
            let value = keys::find(key).and_then(|known| known.value(words));
            let value = value.map_err(usage)?;
            checked(key, &value).map_err(usage)?;
            // What was typed is meant from here, and not from where the file is.
            Some(meant_from(&context.settings.directory, key, value))
        }
        None => None,
    };
    match place.kind {
        PlaceKind::Settings => change_text(key, value, &place)?,
        PlaceKind::Stored => {
            let keys: Vec<&str> = std::iter::once(SETTINGS).chain(key.split('.')).collect();
            let node = value.as_ref().and_then(to_node);
            let directory = match &place.scope {
                Scope::Tree(directory) => directory,
                _ => &context.settings.directory,
            };
            let projects = &context.settings.projects;
            projects.change((&place.path, directory), &keys, node)?;
        }
    }
    tell_if_hidden(context, key, &place.scope);
    Ok(())
}

fn usage(key: &str, reason: &str) -> Diagnostic {
    Diagnostic::new(
        "config-set",
        ExitStatus::Usage,
        format!("cannot change `{}`: {reason}", printable(key)),
    )
    .hint("`aicage config show` shows all settings, `aicage config set --help` how they are given")
}

/// Says so if something stronger sets the key, too.
fn tell_if_hidden(context: &Context, key: &str, scope: &Scope) {
    let origin = context.settings.origin(key);
    let is_stronger = match origin {
        Origin::Default => false,
        Origin::File { scope: other, .. } => other > scope,
        Origin::Variable(_) | Origin::Flag => true,
    };
    if is_stronger {
        context
            .printer
            .warn(&format!("here another value of `{key}` counts: {origin}"));
    }
}

/// Changes one key in the text of a file that a person writes.
fn change_text(key: &str, value: Option<Value>, place: &Place) -> Result<(), Diagnostic> {
    let path = place.path.as_path();
    let directory = path.parent().unwrap_or(Path::new("/"));
    let failed = |source| whole_file::WholeFileError::Write {
        path: path.to_owned(),
        source,
    };
    fs_err::create_dir_all(directory).map_err(failed)?;
    // From here to the end: what another `config set` writes meanwhile would be lost.
    let lock = tokio::task::block_in_place(|| whole_file::lock(directory))?;
    let old = yaml::read_bytes(path)?.unwrap_or_default();
    let before = Layer::of_file(&old, path, &place.scope)
        .map_err(|error| Diagnostic::from(error).hint("correct it first: `aicage config edit`"))?;
    let (section, name) = match key.split_once('.') {
        Some((section, name)) => (Some(section), name),
        None => (None, key),
    };
    let new = match &value {
        Some(value) => {
            let entry = Map::from_iter([(name.to_owned(), value.clone())]);
            Some(yaml::to_text(&entry, path)?)
        }
        None => None,
    };
    let text = set_key(
        &String::from_utf8_lossy(&old),
        (section, name),
        new.as_deref(),
    );
    // What is written must read back as what was meant, comments and all.
    let values = |layer: &Layer| -> Vec<(String, Value)> {
        layer
            .iter()
            .map(|(key, value, _)| (key.to_owned(), value.clone()))
            .collect()
    };
    let mut meant = before;
    meant.retain(|other, _| other != key);
    if let Some(value) = value {
        meant
            .set(key, value, Origin::Default)
            .map_err(|reason| usage(key, &reason))?;
    }
    let reads_back = Layer::of_file(text.as_bytes(), path, &place.scope);
    if !reads_back.is_ok_and(|read| values(&read) == values(&meant)) {
        let reason = format!(
            "{} is written in another style than this knows",
            path.display()
        );
        return Err(usage(key, &reason).hint("change it with an editor: `aicage config edit`"));
    }
    if place.scope == Scope::System && !path.exists() {
        readable_by_all(path).map_err(failed)?;
    }
    whole_file::replace(&lock, path, text.as_bytes())?;
    Ok(())
}

/// Makes an empty file that all users can read: what is put in its place later has its mode.
pub(super) fn readable_by_all(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let file = fs_err::File::create(path)?;
    file.set_permissions(PermissionsExt::from_mode(0o644))
}

/// Changes what is stored for an agent.
fn change_agent(
    context: &Context,
    (key, words): (&str, Option<&Vec<String>>),
    scope: &ScopeOption,
) -> Result<(), Diagnostic> {
    let usage = |reason: &str| {
        usage(key, reason)
            .hint("a key is `agents.AGENT.base`, or `extensions`, `docker_args`, `shares`, `mounts` or `extension_mounts`")
    };
    if *scope == ScopeOption::System {
        return Err(usage("what is stored for agents is not the system's"));
    }
    let place = stored(context, scope);
    let directory = match &place.scope {
        Scope::Tree(directory) => directory.clone(),
        Scope::User => "/".into(),
        Scope::System | Scope::Team | Scope::Project => context.settings.directory.clone(),
    };
    // An agent's name has no dot.
    let parts: Vec<&str> = key.split('.').collect();
    let projects = &context.settings.projects;
    let at = (place.path.as_path(), directory.as_path());
    let (agent, field) = match (parts.as_slice(), words) {
        (["agents"] | ["agents", _], None) => {
            projects.change(at, &parts, None)?;
            return Ok(());
        }
        (["agents", agent, field], _) => (*agent, *field),
        _ => return Err(usage("there is no such key")),
    };
    let known = AgentKey::find(field).ok_or_else(|| usage("there is no such key"))?;
    let node = match words {
        Some(words) => {
            let value = keys::value_of(known.kind, words).map_err(|reason| usage(&reason))?;
            let node = known.node(&value).map_err(|reason| usage(&reason))?;
            find_agent(context, agent)?;
            if let Some(reason) = wrong_of_agent(context, field, (words, &value))? {
                return Err(usage(&reason));
            }
            node
        }
        None => None,
    };
    projects.change(at, &parts, node)?;
    Ok(())
}

/// Says what of a value for an agent would keep its next start from happening, or would do nothing there.
fn wrong_of_agent(
    context: &Context,
    field: &str,
    (words, value): (&[String], &Value),
) -> Result<Option<String>, Diagnostic> {
    let names = || value.as_object().into_iter().flat_map(Map::keys);
    match field {
        "base" => drop(find_base(context, &words.concat())?),
        "extensions" => {
            for extension in words {
                find_extension(context, extension)?;
            }
        }
        "extension_mounts" => {
            for extension in names() {
                find_extension(context, extension)?;
            }
        }
        "docker_args" => {
            let split = text::split(&words.concat()).map_err(|error| error.to_string());
            return Ok(split.and_then(|words| Flags::parse(&words)).err());
        }
        "shares" => {
            for share in words {
                let settings = &context.settings;
                Share::parse(settings, share, Whose::CommandLine)?.refuse(settings)?;
            }
        }
        "mounts" => {
            let wrong = names().find_map(|name| Kind::check_key(name).err());
            return Ok(wrong.map(|error| error.to_string()));
        }
        _ => {}
    }
    Ok(None)
}
