//! `aicage config show` and `get`.

use serde_json::{Map, Value, json};

use super::{GetArgs, ShowArgs, tell_faults};
use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    printer::{Align, Table, printable},
    project::{AgentKey, Found, StoredAgent},
    proxy::Address,
    settings::{
        Origin,
        keys::{self, Key},
        layers,
    },
    yaml,
};

/// One value and where it comes from; several places where they add to each other.
struct Row {
    key: String,
    value: Value,
    origins: Vec<Origin>,
}

/// Settings that may hold a password; what is shown of everything is shown to others, too.
const PROXIES: [&str; 2] = ["network.proxy", "network.proxy_in_containers"];

/// Returns a value as it is shown among others.
fn shown(key: &str, all: &Value) -> Value {
    let value = layers::at(all, key).cloned().unwrap_or_default();
    match value.as_str() {
        Some(text) if PROXIES.contains(&key) && text.contains('@') => {
            Value::from(Address::new(text).masked())
        }
        _ => value,
    }
}

pub(super) fn show(context: &Context, args: &ShowArgs) -> Result<(), Diagnostic> {
    tell_faults(&context.settings, &context.printer);
    let settings = &context.settings;
    let agents = agents(context);
    let mut all = settings.config.to_value();
    for key in PROXIES {
        let value = shown(key, &all);
        layers::put(&mut all, key, value);
    }
    for row in &agents {
        layers::put(&mut all, &row.key, row.value.clone());
    }
    if context.printer.is_json() {
        let mut origins: Map<String, Value> = keys::all()
            .iter()
            .map(|key| (key.name.clone(), settings.origin(&key.name).to_json()))
            .collect();
        for row in &agents {
            let places = row.origins.iter().map(Origin::to_json).collect();
            origins.insert(row.key.clone(), Value::Array(places));
        }
        layers::put(&mut all, "schema", json!("aicage.config.show/1"));
        layers::put(&mut all, "origins", Value::Object(origins));
        return Ok(context.printer.json(&all)?);
    }
    if args.origin {
        let settings = keys::all().iter().map(|key| Row {
            value: shown(&key.name, &all),
            ..row(context, key)
        });
        let mut table = Table::new([
            ("KEY", Align::Left),
            ("VALUE", Align::Elastic),
            ("FROM", Align::Left),
        ]);
        for row in settings.chain(agents) {
            let places: Vec<String> = row.origins.iter().map(Origin::to_string).collect();
            table.row([row.key, in_a_line(&row.value), places.join("; ")]);
        }
        context.printer.table(&table);
        return Ok(());
    }
    let text = yaml::to_text(&all, &settings.user_file())?;
    text.lines()
        .for_each(|line| context.printer.line(&printable(line)));
    Ok(())
}

pub(super) fn get(context: &Context, args: &GetArgs) -> Result<(), Diagnostic> {
    tell_faults(&context.settings, &context.printer);
    let row = if args.key.starts_with("agents.") {
        of_agents(agents(context), &args.key)
    } else {
        let key = keys::find(&args.key).map_err(|reason| {
            Diagnostic::new("config-key", ExitStatus::Usage, reason)
                .hint("`aicage config show` shows all settings")
        })?;
        Some(row(context, key))
    };
    let Some(row) = row else {
        return Err(Diagnostic::new(
            "config-key",
            ExitStatus::Usage,
            format!("nothing is stored for `{}` here", printable(&args.key)),
        )
        .hint("`aicage config show` shows what is stored"));
    };
    if context.printer.is_json() {
        let places: Vec<Value> = row.origins.iter().map(Origin::to_json).collect();
        let report = json!({
            "schema": "aicage.config.get/1", "key": row.key, "value": row.value, "origins": places,
        });
        return Ok(context.printer.json(&report)?);
    }
    for line in lines(&row.value) {
        context.printer.line(&printable(&line));
    }
    Ok(())
}

/// Finds what is stored below a key: one value, or all of an agent.
fn of_agents(rows: Vec<Row>, key: &str) -> Option<Row> {
    let prefix = format!("{key}.");
    let mut all = Row {
        key: key.to_owned(),
        value: json!({}),
        origins: Vec::new(),
    };
    for row in rows {
        if row.key == key {
            return Some(row);
        }
        if let Some(name) = row.key.strip_prefix(&prefix) {
            layers::put(&mut all.value, name, row.value);
            let new = row.origins.into_iter();
            let new: Vec<Origin> = new.filter(|one| !all.origins.contains(one)).collect();
            all.origins.extend(new);
        }
    }
    let is_stored = all
        .value
        .as_object()
        .is_some_and(|stored| !stored.is_empty());
    is_stored.then_some(all)
}

fn row(context: &Context, key: &Key) -> Row {
    let all = context.settings.config.to_value();
    Row {
        key: key.name.clone(),
        value: layers::at(&all, &key.name).cloned().unwrap_or_default(),
        origins: vec![context.settings.origin(&key.name).clone()],
    }
}

/// Returns what is stored for agents here, in the order of their names.
fn agents(context: &Context) -> Vec<Row> {
    let settings = &context.settings;
    let mut rows = Vec::new();
    for agent in settings.projects.agents(&settings.directory) {
        let found = match settings.projects.choice(&settings.directory, &agent) {
            Ok(found) => found,
            Err(error) => {
                // What cannot be read as a whole was told.
                if settings.faults.is_empty() {
                    let why = crate::diagnostic::sentence(&error);
                    context.warn_once(format!("what is stored for agents is not shown: {why}"));
                }
                continue;
            }
        };
        found
            .warnings
            .iter()
            .for_each(|warning| context.warn_once(warning.clone()));
        rows.extend(rows_of(&agent, &found));
    }
    rows
}

fn rows_of(agent: &str, found: &Found) -> Vec<Row> {
    let stored = found.agent.clone().unwrap_or_default();
    let rows = AgentKey::all().iter().filter_map(|key| {
        let value = value_of(&stored, key.name)?;
        Some(Row {
            key: format!("agents.{agent}.{}", key.name),
            value,
            origins: found.origins.get(key.name).cloned().unwrap_or_default(),
        })
    });
    rows.collect()
}

fn value_of(stored: &StoredAgent, key: &str) -> Option<Value> {
    let value = match key {
        "base" => json!(stored.choice.base),
        "extensions" => json!(stored.choice.extensions),
        "image_ref" => json!(stored.choice.image_ref),
        "docker_args" => json!(stored.docker_args),
        "shares" => json!(stored.shares),
        "extension_mounts" => json!(stored.extension_mounts),
        "agreed_shares" => json!(stored.agreed_shares),
        "mounts" => json!(stored.mounts),
        _ => Value::Null,
    };
    let is_nothing = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    (!is_nothing).then_some(value)
}

/// Writes a value for scripts: a list an item a line, a map a pair a line.
fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(in_a_line).collect(),
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(name, value)| match value {
                Value::Array(items) => items
                    .iter()
                    .map(|item| format!("{name}={}", in_a_line(item)))
                    .collect(),
                other => vec![format!("{name}={}", in_a_line(other))],
            })
            .collect(),
        other => vec![in_a_line(other)],
    }
}

fn in_a_line(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(_) | Value::Object(_) => lines(value).join(", "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
