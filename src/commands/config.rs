//! `aicage config`: shows and changes `config.yml`.

use std::{path::Path, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    settings::{
        config::{self, Config},
        edit::set_key,
    },
    yaml,
};

const POLL: Duration = Duration::from_millis(20);

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
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Diagnostic::new(
            "config-write",
            ExitStatus::Failed,
            "cannot write the configuration",
        )
        .caused_by(Some(error))
    };
    // From here to the end: what another `config set` writes meanwhile would be lost.
    let home = &context.settings.home;
    let _lock = lock(context, home).map_err(|error| failed(&error))?;
    let mut config = as_json(&Config::read(home)?);
    let defaults = as_json(&Config::default());
    let slot = slot(&mut config, section, name)
        .ok_or_else(|| usage("there is no such setting".to_owned()))?;
    let before = defaults
        .pointer(&format!("/{}", args.key.replace('.', "/")))
        .cloned()
        .unwrap_or(Value::Null);
    let wanted = value(&args.values, &before).map_err(usage)?;
    slot.clone_from(&wanted);
    let changed: Config =
        serde_json::from_value(config).map_err(|error| usage(error.to_string()))?;
    changed.check().map_err(usage)?;
    let old = yaml::read_bytes(path)?.unwrap_or_default();
    // Defaults are left out, so that a later program's better ones count.
    let new = (wanted != before)
        .then(|| yaml::to_text(&Map::from_iter([(name.to_owned(), wanted)]), path))
        .transpose()?;
    let text = set_key(
        &String::from_utf8_lossy(&old),
        (section, name),
        new.as_deref(),
    );
    // What is written must read back as what was meant, comments and all.
    let reads_back = if text.trim().is_empty() {
        Ok(Config::default())
    } else {
        yaml::parse::<Config>(text.as_bytes(), path)
    };
    if !reads_back.is_ok_and(|read| as_json(&read) == as_json(&changed)) {
        let reason = format!(
            "{} is written in another style than this knows",
            path.display()
        );
        return Err(usage(reason).hint("change it with an editor"));
    }
    write(path, &text).map_err(|error| failed(&error))
}

/// Keeps others who change the configuration waiting; whoever is kept for more than a second is told.
fn lock(context: &Context, home: &Path) -> std::io::Result<fs_err::File> {
    fs_err::create_dir_all(home)?;
    let directory = fs_err::File::open(home)?;
    let mut waited = Duration::ZERO;
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
            Err(std::fs::TryLockError::WouldBlock) => {}
        }
        if waited == Duration::from_secs(1) {
            let what = "another aicage that changes the configuration";
            context.printer.talk(&format!("waiting for {what}"));
        }
        std::thread::sleep(POLL);
        waited += POLL;
    }
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
        Value::Bool(_) => match values {
            [one] => one
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_neither| "it is `true` or `false`".to_owned()),
            _ => Err("it takes one value".to_owned()),
        },
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

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    // A link to a file elsewhere stays one.
    let path = path
        .canonicalize()
        .unwrap_or_else(|_absent| path.to_owned());
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    if let Ok(old) = fs_err::metadata(&path) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
