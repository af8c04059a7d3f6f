//! `aicage config`: shows and changes `config.yml`.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    settings::config::{self, Config},
    yaml,
};

/// The verbs of `aicage config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show the configuration in force, defaults included.
    Show,
    /// Change one setting.
    Set(SetArgs),
    /// Print where `config.yml` is.
    Path,
}

/// What `aicage config set` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "A list is given as several values; a map as KEY=VALUE, several times. What a map or list had\n\
    before is replaced; no value at all puts the default back.\n\n\
    Examples:\n  \
    aicage config set default_base debian\n  \
    aicage config set registry.mirrors ghcr.io=http://127.0.0.1:5000\n  \
    aicage config set network.ca ~/company-ca.pem\n  \
    aicage config set update.check_interval 12h"
)]
pub struct SetArgs {
    /// The setting, such as `registry.mirrors`.
    pub key: String,
    /// Its value or values.
    pub values: Vec<String>,
}

/// Runs one of the verbs.
pub fn config(context: &Context, command: &ConfigCommand) -> Result<ExitStatus, Diagnostic> {
    let path = context.settings.home.join(config::FILE);
    match command {
        ConfigCommand::Path => context.printer.line(&path.display().to_string()),
        ConfigCommand::Show => show(context, &path)?,
        ConfigCommand::Set(args) => set(context, args, &path)?,
    }
    Ok(ExitStatus::Done)
}

fn show(context: &Context, path: &Path) -> Result<(), Diagnostic> {
    let config = &context.settings.config;
    if context.printer.is_json() {
        let mut value = as_json(config);
        let object = value.as_object_mut().expect("a configuration is an object");
        object.insert("schema".to_owned(), Value::from("aicage.config.show/1"));
        return Ok(context.printer.json(&value)?);
    }
    let text = yaml::to_text(config, path)?;
    text.lines().for_each(|line| context.printer.line(line));
    Ok(())
}

fn set(context: &Context, args: &SetArgs, path: &Path) -> Result<(), Diagnostic> {
    let usage = |reason: String| {
        Diagnostic::new(
            "config-set",
            ExitStatus::Usage,
            format!("cannot set `{}`: {reason}", args.key),
        )
        .hint("`aicage config show` shows all settings, `aicage config set --help` how they are given")
    };
    let (section, name) = match args.key.split_once('.') {
        Some((section, name)) => (Some(section), name),
        None => (None, args.key.as_str()),
    };
    let mut config = as_json(&context.settings.config);
    let defaults = as_json(&Config::default());
    let slot = slot(&mut config, section, name)
        .ok_or_else(|| usage("there is no such setting".to_owned()))?;
    let before = defaults
        .pointer(&format!("/{}", args.key.replace('.', "/")))
        .cloned()
        .unwrap_or(Value::Null);
    *slot = value(&args.values, &before).map_err(usage)?;
    let changed: Config =
        serde_json::from_value(config).map_err(|error| usage(error.to_string()))?;
    changed.check().map_err(usage)?;
    let section_key = section.unwrap_or(name);
    let old = fs_err::read_to_string(path).unwrap_or_default();
    let block = block(&changed, section_key, path)?;
    let text = replace_block(&old, section_key, &block);
    // What is written must read back as what was meant, comments and all.
    yaml::parse::<Config>(text.as_bytes(), path)?;
    write(path, &text).map_err(|error| {
        Diagnostic::new(
            "config-write",
            ExitStatus::Failed,
            "cannot write the configuration",
        )
        .caused_by(Some(&error))
    })
}

fn as_json(config: &Config) -> Value {
    serde_json::to_value(config).expect("a configuration is plain data")
}

fn slot<'a>(config: &'a mut Value, section: Option<&str>, name: &str) -> Option<&'a mut Value> {
    let slot = match section {
        Some(section) => config.get_mut(section)?.get_mut(name)?,
        None => config.get_mut(name)?,
    };
    (!slot.is_object() || section.is_some()).then_some(slot)
}

/// Makes a value of the same kind as the default.
fn value(values: &[String], default: &Value) -> Result<Value, String> {
    if values.is_empty() {
        return Ok(default.clone());
    }
    match default {
        Value::Array(_) => Ok(Value::from(values.to_vec())),
        Value::Object(_) => {
            let mut map = Map::new();
            for pair in values.iter().flat_map(|value| value.split(',')) {
                let (key, value) = pair
                    .split_once('=')
                    .ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
                let list = map
                    .entry(key.trim())
                    .or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()
                    .expect("it was made one just now")
                    .push(Value::from(value.trim()));
            }
            Ok(Value::Object(map))
        }
        _ => match values {
            [one] => Ok(Value::from(one.clone())),
            _ => Err("it takes one value".to_owned()),
        },
    }
}

fn block(config: &Config, key: &str, path: &Path) -> Result<String, Diagnostic> {
    let mut only = Map::new();
    let mut value = as_json(config).get(key).cloned().unwrap_or(Value::Null);
    // Defaults are left out, so that a later program's better ones count.
    let defaults = as_json(&Config::default());
    if let (Some(map), Some(Value::Object(defaults))) = (value.as_object_mut(), defaults.get(key)) {
        map.retain(|name, value| defaults.get(name) != Some(value));
    }
    only.insert(key.to_owned(), value);
    Ok(yaml::to_text(&only, path)?)
}

/// Puts `block` in the place of the top-level `key`; everything else, comments too, stays as the user wrote it.
fn replace_block(old: &str, key: &str, block: &str) -> String {
    let starts = |line: &str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    let mut text = String::new();
    let mut inside = false;
    let mut placed = false;
    for line in old.lines() {
        if starts(line) {
            inside = true;
            placed = true;
            text.push_str(block.trim_end());
            text.push('\n');
            continue;
        }
        let continues = line.is_empty() || line.starts_with([' ', '\t', '-']);
        inside = inside && continues;
        if !inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    if !placed {
        text.push_str(block.trim_end());
        text.push('\n');
    }
    text
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let directory = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_changed_and_the_rest_of_the_file_stays() {
        let old = "# mine\ndefault_base: debian\nregistry:\n  # old\n  mirrors: {}\n\nupdate:\n  check_interval: 1h\n";
        let new = replace_block(old, "registry", "registry:\n  x: y\n");
        assert_eq!(
            new,
            "# mine\ndefault_base: debian\nregistry:\n  x: y\nupdate:\n  check_interval: 1h\n"
        );
        assert_eq!(replace_block("", "a", "a: b\n"), "a: b\n");
    }

    #[test]
    fn values_take_the_kind_of_the_default() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let map = value(&words(&["a=1,b=2", "a=3"]), &serde_json::json!({})).unwrap();
        assert_eq!(map, serde_json::json!({"a": ["1", "3"], "b": ["2"]}));
        assert!(value(&words(&["a"]), &serde_json::json!({})).is_err());
        assert!(value(&words(&["a", "b"]), &serde_json::json!("x")).is_err());
        assert_eq!(
            value(&[], &serde_json::json!("x")).unwrap(),
            serde_json::json!("x")
        );
    }
}
