//! What a stage is at one of its lines: its image's config, and the variables that the next instruction sees.
//!
//! Invariant: fields of the config that no instruction names stay as the base has them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    expand::Variables,
    script::{Command, Healthcheck},
};
use crate::transport::ROOTFS_PATH;

/// The shell of the shell form, where `SHELL` said nothing.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Variables in the order they were set first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(old, _)| old == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(crate) fn to_map(&self) -> BTreeMap<String, String> {
        self.0.iter().cloned().collect()
    }
}

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(set, _)| set == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A stage at one of its lines.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The image config's `config`.
    pub(crate) config: Map<String, Value>,
    pub(crate) author: Option<String>,
    /// What `RUN` sees and variables expand to: `ENV` and `ARG` alike.
    pub(crate) environment: Environment,
    has_command: bool,
}

impl State {
    /// Begins a stage on an image with this config.
    pub(crate) fn on_image(config: Map<String, Value>, author: Option<String>) -> Self {
        let mut state = Self {
            config,
            author,
            environment: Environment::default(),
            has_command: false,
        };
        state.begin();
        state
    }

    /// Begins a stage on another stage; its arguments are known in this one.
    pub(crate) fn on_stage(below: &Self) -> Self {
        let mut state = below.clone();
        state.has_command = false;
        state.config.remove("OnBuild");
        state.begin();
        state
    }

    fn begin(&mut self) {
        let lines = strings(self.config.get("Env"));
        if !lines.iter().any(|line| line.starts_with("PATH=")) {
            list(&mut self.config, "Env").push(json!(ROOTFS_PATH));
        }
        for line in strings(self.config.get("Env")) {
            let (name, value) = line.split_once('=').unwrap_or((&line, ""));
            self.environment.set(name, value);
        }
        let workdir = self.text("WorkingDir");
        if !workdir.is_empty() {
            let workdir = absolute("/", &workdir);
            self.put("WorkingDir", json!(workdir));
        }
    }

    /// Takes the triggers that the base leaves to who builds on it.
    pub(crate) fn take_triggers(&mut self) -> Vec<String> {
        let triggers = strings(self.config.get("OnBuild"));
        self.config.remove("OnBuild");
        triggers
    }

    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.environment.set(name, value);
        let line = json!(format!("{name}={value}"));
        let lines = list(&mut self.config, "Env");
        let old = lines.iter_mut().find(|old| {
            old.as_str()
                .is_some_and(|old| old.split('=').next() == Some(name))
        });
        match old {
            Some(old) => *old = line,
            None => lines.push(line),
        }
    }

    /// Returns a command as the config has it.
    pub(crate) fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(argv) => argv.clone(),
            Command::Shell(text) => {
                let mut argv = strings(self.config.get("Shell"));
                if argv.is_empty() {
                    argv = SHELL.map(ToOwned::to_owned).to_vec();
                }
                argv.push(text.clone());
                argv
            }
        }
    }

    pub(crate) fn set_command(&mut self, command: &Command) {
        let argv = self.argv(command);
        self.put("Cmd", json!(argv));
        self.put("ArgsEscaped", json!(true));
        self.has_command = true;
    }

    pub(crate) fn set_entrypoint(&mut self, command: &Command) {
        let argv = self.argv(command);
        self.put("Entrypoint", json!(argv));
        if !self.has_command {
            self.config.remove("Cmd");
        }
    }

    /// Sets the health check; the error says what is wrong.
    pub(crate) fn set_healthcheck(&mut self, check: &Healthcheck) -> Result<(), String> {
        let mut value = Map::new();
        let test = match &check.command {
            None => vec!["NONE".to_owned()],
            Some(Command::Exec(argv)) => [vec!["CMD".to_owned()], argv.clone()].concat(),
            Some(Command::Shell(text)) => vec!["CMD-SHELL".to_owned(), text.clone()],
        };
        value.insert("Test".to_owned(), json!(test));
        for (option, field) in [
            ("interval", "Interval"),
            ("timeout", "Timeout"),
            ("start-period", "StartPeriod"),
            ("start-interval", "StartInterval"),
        ] {
            let Some(text) = check.options.get(option) else {
                continue;
            };
            let nanoseconds = duration(text)
                .filter(|time| *time == 0 || *time >= 1_000_000)
                .ok_or_else(|| format!("--{option}={text} is no time of at least 1ms"))?;
            if nanoseconds > 0 {
                value.insert(field.to_owned(), json!(nanoseconds));
            }
        }
        if let Some(text) = check.options.get("retries") {
            let retries: u32 = text
                .parse()
                .map_err(|error| format!("--retries={text}: {error}"))?;
            if retries > 0 {
                value.insert("Retries".to_owned(), json!(retries));
            }
        }
        self.config
            .insert("Healthcheck".to_owned(), Value::Object(value));
        Ok(())
    }

    pub(crate) fn put(&mut self, field: &str, value: Value) {
        self.config.insert(field.to_owned(), value);
    }

    /// Returns a map of the config, made if there is none.
    pub(crate) fn map(&mut self, field: &str) -> &mut Map<String, Value> {
        let slot = self.config.entry(field).or_insert(Value::Null);
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot.as_object_mut().expect("it was made one just now")
    }

    pub(crate) fn push(&mut self, field: &str, value: Value) {
        list(&mut self.config, field).push(value);
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.config
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// Returns the current directory.
    pub(crate) fn directory(&self) -> String {
        match self.text("WorkingDir") {
            none if none.is_empty() => "/".to_owned(),
            directory => directory,
        }
    }

    /// Returns the user, unless it is root by default.
    pub(crate) fn user(&self) -> Option<String> {
        Some(self.text("User")).filter(|user| !user.is_empty())
    }
}

/// Joins and cleans a path; without a slash at the end.
pub(crate) fn absolute(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { directory };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Reads the ports of `EXPOSE`, such as `80`, `53/udp`, `8000-8002`; the error is what is none.
pub(crate) fn ports(word: &str) -> Result<Vec<String>, String> {
    let bad = || format!("`{word}` is no port");
    let container = word.rsplit(':').next().unwrap_or_default();
    let (range, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => return Err(bad()),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().ok_or_else(bad);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

/// Says whether a text names a signal.
pub(crate) fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || name.starts_with("RTMIN") || name.starts_with("RTMAX")
}

/// Reads a time such as `1m30s` as nanoseconds.
fn duration(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        total += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = after;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the sum of positive numbers, checked against the largest"
    )]
    (total < 9e18).then_some(total as u64)
}

fn list<'a>(config: &'a mut Map<String, Value>, field: &str) -> &'a mut Vec<Value> {
    let slot = config.entry(field).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().expect("it was made one just now")
}

pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_ports_paths_and_signals_are_read_as_docker_does() {
        assert_eq!(duration("1m30s"), Some(90_000_000_000));
        assert_eq!(duration("1.5s"), Some(1_500_000_000));
        assert_eq!(duration("5"), None);
        assert_eq!(ports("8000-8002/udp").unwrap().len(), 3);
        assert_eq!(ports("80").unwrap(), ["80/tcp"]);
        assert!(ports("80/x").is_err() && ports("70000").is_err() && ports("9-8").is_err());
        assert_eq!(absolute("/a/b", "../c/"), "/a/c");
        assert_eq!(absolute("/a", "/x//y/."), "/x/y");
        assert!(is_signal("SIGTERM") && is_signal("9") && !is_signal("SIGX"));
    }

    #[test]
    fn an_entrypoint_drops_the_commands_of_its_base_only() {
        let base = json!({"Cmd": ["old"], "Env": ["A=1"]});
        let mut state = State::on_image(base.as_object().unwrap().clone(), None);
        state.set_entrypoint(&Command::Shell("x".to_owned()));
        assert_eq!(state.config.get("Cmd"), None);
        assert_eq!(state.config["Entrypoint"], json!(["/bin/sh", "-c", "x"]));
        state.set_command(&Command::Exec(vec!["y".to_owned()]));
        state.set_entrypoint(&Command::Exec(vec!["z".to_owned()]));
        assert_eq!(state.config["Cmd"], json!(["y"]));
        assert_eq!(state.config["Env"], json!(["A=1", ROOTFS_PATH]));
    }
}
