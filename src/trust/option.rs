//! One option of the container, as a team file has it: `--name`, `--name=value` or `--name value`, and nothing else.
//!
//! Invariant: it is one word for whoever reads it later, so that no item can smuggle in a second option; what reads or
//! mounts paths of this machine is refused (as is what gives all of it), because a path in the repository may lead
//! elsewhere tomorrow: `shares` looks where it leads. What an option does is told by the parser that runs it.

use crate::container_options::{
    Flags,
    mount::{MountKind, MountOption},
    security::SecurityOption,
    text::quote,
    volume::{Volume, is_path},
};

/// The short options of docker, by their long names.
const SHORT: [(&str, &str); 8] = [
    ("-e", "--env"),
    ("-p", "--publish"),
    ("-v", "--volume"),
    ("-m", "--memory"),
    ("-h", "--hostname"),
    ("-l", "--label"),
    ("-w", "--workdir"),
    ("-c", "--cpu-shares"),
];

/// Those that can only make a container smaller, whatever their value.
const TIGHTENING: [&str; 5] = [
    "--cpus",
    "--cpuset-cpus",
    "--memory",
    "--cap-drop",
    "--hostname",
];

/// An option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TeamOption {
    name: String,
    value: Option<String>,
}

impl TeamOption {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let value = rest.strip_prefix('=').unwrap_or_else(|| rest.trim_start());
        let value = (!rest.is_empty()).then(|| value.to_owned());
        let long = SHORT.iter().find(|(short, _)| *short == name);
        let name = long.map_or(name, |(_, long)| long);
        let is_name = name.strip_prefix("--").is_some_and(|name| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
        });
        if !is_name || text.contains(char::is_control) {
            return Err(format!(
                "`{}` is not one option, such as `--memory=4g`",
                crate::printer::printable(text)
            ));
        }
        let option = Self {
            name: name.to_owned(),
            value,
        };
        if option.name == "--privileged" {
            return Err("`--privileged` gives the agent all of this machine; only who starts it can type that".to_owned());
        }
        if reads_this_machine(&Flags::parse(&[option.text()])?) {
            return Err(format!(
                "`{}` mounts or reads what is on this machine; `shares` is for that",
                crate::printer::printable(text)
            ));
        }
        Ok(option)
    }

    /// Tells whether it can only take something away from the agent.
    pub(super) fn tightens(&self) -> bool {
        let value = self.value.as_deref();
        match self.name.as_str() {
            "--read-only" => matches!(value, None | Some("true")),
            "--network" | "--net" => value == Some("none"),
            "--security-opt" => matches!(
                value,
                Some("no-new-privileges" | "no-new-privileges=true" | "no-new-privileges:true")
            ),
            name => TIGHTENING.contains(&name) && value.is_some_and(is_plain),
        }
    }

    /// Returns it as one word.
    pub(super) fn text(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={value}", self.name),
            None => self.name.clone(),
        }
    }

    /// Returns it as one word in a text that is quoted as in a shell.
    pub(super) fn quoted(&self) -> String {
        quote(&self.text())
    }
}

/// Tells whether a value needs no quotes, as numbers and names do.
fn is_plain(value: &str) -> bool {
    quote(value) == value
}

fn reads_this_machine(flags: &Flags) -> bool {
    let of_this_machine = |mount: &MountOption| {
        // The engine's own driver mounts any path that its options name.
        mount.kind == MountKind::Bind
            || mount.detail("volume-opt").is_some()
            || mount.source.as_deref().is_some_and(is_path)
    };
    // A profile is read anew at each start, whatever stands in its file by then.
    let is_file = |option: &SecurityOption| matches!(option, SecurityOption::SeccompFile(_));
    flags.volume.iter().any(Volume::is_bind)
        || flags.mount.iter().any(of_this_machine)
        || flags.security_opt.iter().any(is_file)
        || !flags.env_file.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_one_option_however_it_is_written() {
        for (text, word) in [
            ("--memory 4g", "--memory=4g"),
            ("-m 4g", "--memory=4g"),
            ("-e A=b c", "'--env=A=b c'"),
            ("--env=A='x", "'--env=A='\\''x'"),
            ("-v cache:/cache", "--volume=cache:/cache"),
            (
                "--mount type=tmpfs,target=/x",
                "--mount=type=tmpfs,target=/x",
            ),
        ] {
            let quoted = TeamOption::parse(text).map(|option| option.quoted());
            assert_eq!(quoted.as_deref(), Ok(word), "{text}");
        }
        for text in [
            "",
            "privileged",
            "--privileged",
            "--privileged=all-of-this-machine",
            "--read-only --privileged",
            "--no-such-option",
            "--memory '4g'",
            "-it",
            "-eA=b",
            "--cap-add\nALL",
            "\"--privileged\"",
            "-v ~/x:/x",
            "-v ./x:/x",
            "--mount type=bind,source=/,target=/x",
            "--mount source=/,target=/x",
            "--mount type=volume,volume-opt=type=none,volume-opt=device=/,target=/x",
            "--mount type=volume,type=bind,source=/etc,target=/x",
            "--mount type=bind,source=/etc,target=/x,\"consistency=,type=volume,\"",
            "--mount type=volume,Volume-Opt=device=/etc,source=a,target=/x",
            "--env-file .env",
            "--security-opt seccomp=profile.json",
            "--security-opt=seccomp:/etc/profile.json",
            "--volumes-from other",
        ] {
            assert!(TeamOption::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_what_is_known_to_tighten_needs_no_consent() {
        let tightens = |text: &str| TeamOption::parse(text).unwrap().tightens();
        for text in [
            "--memory=4g",
            "--cpus 2",
            "--cap-drop=ALL",
            "--read-only",
            "--network none",
            "--security-opt no-new-privileges",
        ] {
            assert!(tightens(text), "{text}");
        }
        for text in [
            "--cap-add=SYS_ADMIN",
            "--network=host",
            "--security-opt=seccomp=unconfined",
            "--read-only=false",
            "-e TOKEN",
            "-e ANTHROPIC_BASE_URL=https://elsewhere.example",
            "-p 8080:8080",
            "--device /dev/kvm",
            "--pids-limit=-1",
            "--memory-swap=-1",
            "-v cache:/cache",
        ] {
            assert!(!tightens(text), "{text}");
        }
    }
}
