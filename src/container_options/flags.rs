//! The options themselves, as clap reads them and as they are written again.
//!
//! Invariant: reading what [`Flags::words`] writes gives the same options, here and in docker.

use std::path::PathBuf;

use clap::{
    Args, Command, FromArgMatches as _,
    builder::BoolishValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    device::{Device, Gpus},
    limits::{Processors, Size, SwapSize, Ulimit},
    mount::MountOption,
    naming::{ContainerName, Hostname, Label, Sysctl},
    network::{Host, NameServer, NetworkOption},
    ports::Publish,
    refused,
    security::{Capability, Privileged, SecurityOption, User},
    variable::Variable,
    volume::{Tmpfs, Volume},
};

/// Docker's options, by docker's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
// Whatever is given once counts as it was given last, as docker has it.
#[command(next_help_heading = "Container options", args_override_self = true)]
pub struct Flags {
    /// Set a variable in the container, or pass one on by name.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<Variable>,
    /// Set the variables that a file has, a line each.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub env_file: Vec<PathBuf>,
    /// Reach a port of the container from this machine: `-p 3000:3000`, `-p 127.0.0.1:5353:53/udp`.
    #[arg(short, long, value_name = "[[ADDRESS:]PORT:]PORT[/udp]")]
    pub publish: Vec<Publish>,
    /// Mount a path of this machine, or a volume: `-v ~/data:/data:ro`, `-v cache:/cache`.
    #[arg(short, long, value_name = "[SOURCE:]PATH[:ro]")]
    pub volume: Vec<Volume>,
    /// Mount, spelt out: `type=bind,source=PATH,target=PATH[,readonly]`, or `type=volume`, `type=tmpfs`.
    #[arg(long, value_name = "type=TYPE,…", hide_short_help = true)]
    pub mount: Vec<MountOption>,
    /// Keep files in memory at a path: `--tmpfs /tmp:size=64m`.
    #[arg(long, value_name = "PATH[:OPTIONS]", hide_short_help = true)]
    pub tmpfs: Vec<Tmpfs>,
    /// Connect to a network: `none`, `host`, `pasta` (Podman, or no engine), or one of the engine's.
    #[arg(long, alias = "net", value_name = "NETWORK")]
    pub network: Option<NetworkOption>,
    /// Know a host by name: `db:10.0.0.7`, `host.docker.internal:host-gateway`.
    #[arg(long, value_name = "NAME:ADDRESS", hide_short_help = true)]
    pub add_host: Vec<Host>,
    /// Ask this name server.
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub dns: Vec<NameServer>,
    /// Complete names with this domain.
    #[arg(long, value_name = "DOMAIN", hide_short_help = true)]
    pub dns_search: Vec<String>,
    /// Give at most so much processor time: `--cpus 1.5`.
    #[arg(long, value_name = "NUMBER", hide_short_help = true)]
    pub cpus: Option<Processors>,
    /// Give only these processors: `0-3`, `0,2`.
    #[arg(long, value_name = "LIST", hide_short_help = true)]
    pub cpuset_cpus: Option<String>,
    /// Give at most so much memory: `-m 8g`.
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<Size>,
    /// Give at most so much memory and swap together; -1 for any amount.
    #[arg(
        long,
        value_name = "SIZE",
        hide_short_help = true,
        allow_negative_numbers = true
    )]
    pub memory_swap: Option<SwapSize>,
    /// Allow so many processes and threads; -1 for any number.
    #[arg(
        long,
        value_name = "NUMBER",
        hide_short_help = true,
        allow_negative_numbers = true
    )]
    pub pids_limit: Option<i64>,
    /// Give so much memory to `/dev/shm`; a browser needs `1g`.
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub shm_size: Option<Size>,
    /// Limit processes: `nofile=1024:4096`.
    #[arg(long, value_name = "NAME=SOFT[:HARD]", hide_short_help = true)]
    pub ulimit: Vec<Ulimit>,
    /// Give graphics processors: `all`, a number, or `device=0`.
    #[arg(long, value_name = "GPUS", hide_short_help = true)]
    pub gpus: Option<Gpus>,
    /// Give a device of this machine: `/dev/dri`.
    #[arg(long, value_name = "PATH[:PATH][:rwm]", hide_short_help = true)]
    pub device: Vec<Device>,
    /// Let root inside do more: `NET_ADMIN`, `SYS_PTRACE`.
    #[arg(long, value_name = "CAPABILITY", hide_short_help = true)]
    pub cap_add: Vec<Capability>,
    /// Let root inside do less.
    #[arg(long, value_name = "CAPABILITY", hide_short_help = true)]
    pub cap_drop: Vec<Capability>,
    /// Loosen or tighten the container's bounds: `no-new-privileges=false` for sudo, `seccomp=unconfined`.
    #[arg(long, value_name = "OPTION", hide_short_help = true)]
    pub security_opt: Vec<SecurityOption>,
    /// Give the agent all of this machine; only with its word, `--privileged=all-of-this-machine`.
    #[arg(
        long,
        value_name = "WORD",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        hide_short_help = true
    )]
    pub privileged: Option<Privileged>,
    /// Be in this group, too.
    #[arg(long, value_name = "GROUP", hide_short_help = true)]
    pub group_add: Vec<String>,
    /// Set a kernel parameter of the container: `net.ipv4.ip_unprivileged_port_start=0`.
    #[arg(long, value_name = "NAME=VALUE", hide_short_help = true)]
    pub sysctl: Vec<Sysctl>,
    /// Name the session, which is its container's name; else it is called after agent and directory.
    #[arg(long, value_name = "NAME")]
    pub name: Option<ContainerName>,
    /// Name the container's host.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub hostname: Option<Hostname>,
    /// Label the container.
    #[arg(short, long, value_name = "NAME[=VALUE]", hide_short_help = true)]
    pub label: Vec<Label>,
    /// Reap processes and pass signals on; aicage's own init does so already.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        hide_short_help = true
    )]
    pub init: Option<bool>,
    /// Run with another runtime of the engine: `runsc`, `nvidia`.
    #[arg(long, value_name = "RUNTIME", hide_short_help = true)]
    pub runtime: Option<String>,
    /// Run this program, as root, in place of aicage's init and the agent.
    #[arg(long, value_name = "PROGRAM", hide_short_help = true)]
    pub entrypoint: Option<String>,
    /// Start in this directory of the container instead of the project.
    #[arg(short, long, value_name = "PATH", hide_short_help = true)]
    pub workdir: Option<String>,
    /// Keep the image's files from being changed inside.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        hide_short_help = true
    )]
    pub read_only: Option<bool>,
    /// Cannot be said: the agent runs as you.
    #[arg(short, long, value_name = "USER", hide = true)]
    pub user: Option<User>,
    /// What `docker run` in guides is given, and aicage does anyway.
    #[arg(long, hide = true, action = clap::ArgAction::Count)]
    pub rm: u8,
    /// The same.
    #[arg(short, long, hide = true, action = clap::ArgAction::Count)]
    pub interactive: u8,
    /// The same.
    #[arg(short, long, hide = true, action = clap::ArgAction::Count)]
    pub tty: u8,
}

impl Flags {
    /// Reads options from words, as `docker run` takes them; the error is a line without the words.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        // clap must not end in help: `-h` is docker's for `--hostname`.
        let command = Command::new("docker_args")
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_version_flag(true);
        let command =
            Self::augment_args(command).mut_arg("hostname", |hostname| hostname.short('h'));
        let read = command
            .try_get_matches_from(words)
            .and_then(|mut found| Self::from_arg_matches_mut(&mut found));
        read.map_err(|error| said(&error))
    }

    /// Lays later options over these, as docker does where both are given: lists grow, single values are replaced.
    #[must_use]
    pub fn overridden_by(&self, later: Self) -> Self {
        fn both<T: Clone + PartialEq>(first: &[T], later: Vec<T>) -> Vec<T> {
            let mut all = first.to_vec();
            for one in later {
                // What is said again counts from here on, not twice.
                all.retain(|there| *there != one);
                all.push(one);
            }
            all
        }
        fn last<T: Clone>(first: Option<&T>, later: Option<T>) -> Option<T> {
            later.or_else(|| first.cloned())
        }
        Self {
            env: both(&self.env, later.env),
            env_file: both(&self.env_file, later.env_file),
            publish: both(&self.publish, later.publish),
            volume: both(&self.volume, later.volume),
            mount: both(&self.mount, later.mount),
            tmpfs: both(&self.tmpfs, later.tmpfs),
            network: last(self.network.as_ref(), later.network),
            add_host: both(&self.add_host, later.add_host),
            dns: both(&self.dns, later.dns),
            dns_search: both(&self.dns_search, later.dns_search),
            cpus: last(self.cpus.as_ref(), later.cpus),
            cpuset_cpus: last(self.cpuset_cpus.as_ref(), later.cpuset_cpus),
            memory: last(self.memory.as_ref(), later.memory),
            memory_swap: last(self.memory_swap.as_ref(), later.memory_swap),
            pids_limit: last(self.pids_limit.as_ref(), later.pids_limit),
            shm_size: last(self.shm_size.as_ref(), later.shm_size),
            ulimit: both(&self.ulimit, later.ulimit),
            gpus: last(self.gpus.as_ref(), later.gpus),
            device: both(&self.device, later.device),
            cap_add: both(&self.cap_add, later.cap_add),
            cap_drop: both(&self.cap_drop, later.cap_drop),
            security_opt: both(&self.security_opt, later.security_opt),
            privileged: last(self.privileged.as_ref(), later.privileged),
            group_add: both(&self.group_add, later.group_add),
            sysctl: both(&self.sysctl, later.sysctl),
            name: last(self.name.as_ref(), later.name),
            hostname: last(self.hostname.as_ref(), later.hostname),
            label: both(&self.label, later.label),
            init: last(self.init.as_ref(), later.init),
            runtime: last(self.runtime.as_ref(), later.runtime),
            entrypoint: last(self.entrypoint.as_ref(), later.entrypoint),
            workdir: last(self.workdir.as_ref(), later.workdir),
            read_only: last(self.read_only.as_ref(), later.read_only),
            user: None,
            rm: 0,
            interactive: 0,
            tty: 0,
        }
    }

    /// Writes the options as `docker run` takes them.
    pub fn words(&self) -> Vec<String> {
        let mut words = Words(Vec::new());
        let files = self.env_file.iter().map(|file| file.display());
        words.each("--env-file", files);
        words.each("--env", &self.env);
        words.each("--publish", &self.publish);
        words.each("--volume", &self.volume);
        words.each("--mount", &self.mount);
        words.each("--tmpfs", &self.tmpfs);
        words.each("--network", &self.network);
        words.each("--add-host", &self.add_host);
        words.each("--dns", &self.dns);
        words.each("--dns-search", &self.dns_search);
        words.each("--cpus", &self.cpus);
        words.each("--cpuset-cpus", &self.cpuset_cpus);
        words.each("--memory", &self.memory);
        words.each("--memory-swap", &self.memory_swap);
        words.each("--pids-limit", self.pids_limit);
        words.each("--shm-size", &self.shm_size);
        words.each("--ulimit", &self.ulimit);
        words.each("--gpus", &self.gpus);
        words.each("--device", &self.device);
        words.each("--cap-add", &self.cap_add);
        words.each("--cap-drop", &self.cap_drop);
        words.each("--security-opt", &self.security_opt);
        if self.privileged == Some(Privileged(true)) {
            words.0.push("--privileged".to_owned());
        }
        words.each("--group-add", &self.group_add);
        words.each("--sysctl", &self.sysctl);
        words.each("--name", &self.name);
        words.each("--hostname", &self.hostname);
        words.each("--label", &self.label);
        words.switch("--init", self.init);
        words.each("--runtime", &self.runtime);
        words.each("--entrypoint", &self.entrypoint);
        words.each("--workdir", &self.workdir);
        words.switch("--read-only", self.read_only);
        words.0
    }

    /// Lists the paths in the container at which something is mounted.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let volumes = self.volume.iter().map(|volume| volume.target.as_str());
        let mounts = self.mount.iter().map(|mount| mount.target.as_str());
        let tmpfs = self.tmpfs.iter().map(|tmpfs| tmpfs.target.as_str());
        volumes.chain(mounts).chain(tmpfs)
    }
}

struct Words(Vec<String>);

impl Words {
    fn each<T: std::fmt::Display>(&mut self, option: &str, values: impl IntoIterator<Item = T>) {
        for value in values {
            let value = value.to_string();
            if value.starts_with('-') {
                // As a word of its own it would be taken for an option.
                self.0.push(format!("{option}={value}"));
            } else {
                self.0.extend([option.to_owned(), value]);
            }
        }
    }

    fn switch(&mut self, option: &str, value: Option<bool>) {
        match value {
            Some(true) => self.0.push(option.to_owned()),
            Some(false) => self.0.push(format!("{option}=false")),
            None => {}
        }
    }
}

/// Says in one line what clap says in a paragraph.
fn said(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let option = context(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let why = refused::why(&option).unwrap_or("is no option that aicage knows");
            let option = option.split('=').next().unwrap_or(&option);
            if option.starts_with('-') {
                format!("`{option}` {why}")
            } else {
                format!("`{option}` stands alone: it is no option, and none before it takes it")
            }
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let option = option.split(' ').next().unwrap_or(&option);
            let value = context(ContextKind::InvalidValue);
            format!("`{option} {value}`: {}", reason.unwrap_or_default())
        }
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_options::text::split;

    #[track_caller]
    fn read(text: &str) -> Result<Flags, String> {
        Flags::parse(&split(text).unwrap())
    }

    /// One value of every option.
    const ALL: &str = "--env-file /a --env A --env B=c --publish 80:80 --volume /a:/b --mount type=tmpfs,target=/t \
        --tmpfs /u --network none --add-host a:1.1.1.1 --dns 1.1.1.1 --dns-search x --cpus 1 --cpuset-cpus 0 \
        --memory 1g --memory-swap=-1 --pids-limit=-1 --shm-size 1g --ulimit nofile=1:2 --gpus all \
        --device /dev/a:/dev/a:rwm --cap-add SYS_PTRACE --cap-drop KILL --security-opt no-new-privileges \
        --group-add x --sysctl a.b=c --name ab --hostname h --label a=b --label=-c=d --init --runtime r --entrypoint e \
        --workdir /w --read-only";

    #[test]
    fn what_is_written_is_read_again_as_the_same() {
        let flags = read(ALL).unwrap();
        assert_eq!(flags.words(), split(ALL).unwrap());
        assert_eq!(Flags::parse(&flags.words()), Ok(flags));
    }

    #[test]
    fn short_options_are_dockers_and_so_is_what_a_guide_adds() {
        let flags =
            read("--rm -it -eA=1 -e B=2 -p80:80 -v/a:/b -m 1g -w /w -l x -h box --init=false")
                .unwrap();
        assert_eq!(
            flags.words().join(" "),
            "--env A=1 --env B=2 --publish 80:80 --volume /a:/b --memory 1g --hostname box --label x= --init=false --workdir /w"
        );
    }

    #[test]
    fn later_values_win_and_lists_grow() {
        let first = read("-e A=1 -p 80:80 -m 1g --name first -v /a:/b --read-only").unwrap();
        let later = read("-e A=2 -p 80:80 -p 81:81 -m 2g -m 3g --read-only=false").unwrap();
        assert_eq!(
            first.overridden_by(later).words().join(" "),
            "--env A=1 --env A=2 --publish 80:80 --publish 81:81 --volume /a:/b --memory 3g --name first --read-only=false"
        );
    }

    #[test]
    fn every_option_is_laid_over() {
        let flags = read(ALL).unwrap();
        assert_eq!(Flags::default().overridden_by(flags.clone()), flags);
        assert_eq!(flags.overridden_by(Flags::default()), flags);
    }

    #[test]
    fn an_error_names_option_value_and_what_is_expected() {
        for (text, says) in [
            (
                "-p 8O:80",
                "`--publish 8O:80`: `8O` is no port; expected is `[ADDRESS:]",
            ),
            (
                "--memory lots",
                "`--memory lots`: `lots` is no amount of memory; expected is",
            ),
            ("--user 0", "`--user 0`: the agent runs as you"),
            (
                "--privileged",
                "`--privileged[=<WORD>] `: it gives the agent all of this machine",
            ),
            ("--restart=always", "`--restart` has no use here"),
            ("--colour red", "`--colour` is no option that aicage knows"),
            ("codex", "`codex` stands alone"),
            ("-p", "a value is required for '--publish"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(says), "{text}: {error}");
        }
    }
}
