//! Container options that only engines can carry out.

use crate::{
    compose::INIT,
    container_options::{
        Flags, Resolved,
        device::Device,
        mount::{MountKind, MountOption},
        ports::Publish,
        security::{Privileged, SecurityOption},
        volume::Volume,
    },
    engine::{
        docker::EngineError,
        native::{
            IdMaps,
            cage::Program,
            pasta::{PASTA, forwarded},
        },
    },
};

/// Refuses a session with options that cannot be carried out; names all of them.
pub(super) fn refuse(options: &Resolved, maps: &IdMaps) -> Result<(), EngineError> {
    let mut refused = refused(&options.flags);
    refused.extend(groups(&options.flags, maps));
    if refused.is_empty() {
        return Ok(());
    }
    Err(EngineError::OptionsOfEngines { options: refused })
}

/// Our own init does what `--init` asks for; where something else comes first, nothing does.
pub(super) fn refuse_init(options: &Resolved, program: &Program) -> Result<(), EngineError> {
    let own = format!("/{INIT}");
    let is_ours = program.command.first().is_some_and(|first| *first == *own);
    if is_ours || options.flags.init != Some(true) {
        return Ok(());
    }
    let options = vec!["--init where the first program is not aicage's".to_owned()];
    Err(EngineError::OptionsOfEngines { options })
}

/// Groups that nobody can have, or that are given for a device and are another group on this machine.
fn groups<'a>(flags: &'a Flags, maps: &'a IdMaps) -> impl Iterator<Item = String> + 'a {
    let numbers = flags
        .group_add
        .iter()
        .filter_map(|group| group.parse().ok());
    numbers.filter_map(move |group: u32| {
        let device = flags.device.first();
        match (maps.group(group), device) {
            (None, _) => Some(format!(
                "--group-add {group}, whom no subordinate id stands for"
            )),
            (Some(extent), Some(device)) if extent.inside != extent.outside => Some(format!(
                "--group-add {group} for --device {device}: it is another group on this machine"
            )),
            (Some(_), _) => None,
        }
    })
}

fn refused(flags: &Flags) -> Vec<String> {
    let mut all = Vec::new();
    let mut refuse = |is_given: bool, name: &str| {
        if is_given {
            all.push(name.to_owned());
        }
    };
    // Limits of a whole container need control groups, which root gives.
    refuse(flags.memory.is_some(), "--memory");
    refuse(flags.memory_swap.is_some(), "--memory-swap");
    refuse(flags.cpus.is_some(), "--cpus");
    refuse(flags.cpuset_cpus.is_some(), "--cpuset-cpus");
    refuse(flags.gpus.is_some(), "--gpus");
    refuse(flags.runtime.is_some(), "--runtime");
    refuse(flags.privileged == Some(Privileged(true)), "--privileged");
    refuse(!flags.sysctl.is_empty(), "--sysctl");
    let mut values: Vec<String> = Vec::new();
    let mut value = |name: &str, text: String| values.push(format!("{name} {text}"));
    if let Some(network) = &flags.network
        && (network.has_details() || !matches!(network.name.as_str(), "none" | "host" | PASTA))
    {
        value("--network", network.name.clone());
    }
    let is_called = |name: &str| {
        let network = flags.network.as_ref();
        network.is_some_and(|network| network.name == name)
    };
    let can_be = if is_called(PASTA) {
        |publish: &Publish| forwarded(publish).is_some()
    } else {
        is_there
    };
    for publish in flags.publish.iter().filter(|publish| !can_be(publish)) {
        value("--publish", publish.to_string());
    }
    for volume in flags.volume.iter().filter(|volume| !is_plain(volume)) {
        value("--volume", volume.to_string());
    }
    for name in ["none", PASTA].into_iter().filter(|name| is_called(name)) {
        let hosts = flags.add_host.iter().map(ToString::to_string);
        for host in hosts.filter(|host| host.ends_with(":host-gateway")) {
            value("--add-host", format!("{host} with --network {name}"));
        }
    }
    if is_called("none") {
        for publish in flags.publish.iter().filter(|publish| is_there(publish)) {
            value("--publish", format!("{publish} with --network none"));
        }
    }
    if flags.read_only == Some(true) {
        for volume in flags.volume.iter().filter(|volume| volume.source.is_none()) {
            value("--volume", format!("{volume} with --read-only"));
        }
    }
    for mount in flags.mount.iter().filter(|mount| !can_be_mounted(mount)) {
        value("--mount", mount.to_string());
    }
    for device in flags.device.iter().filter(|device| !is_file(device)) {
        value("--device", device.to_string());
    }
    for group in &flags.group_add {
        if group.parse::<u32>().is_err() {
            value("--group-add", group.clone());
        }
    }
    for option in flags.security_opt.iter().filter(|option| !is_known(option)) {
        value("--security-opt", option.to_string());
    }
    for limit in &flags.ulimit {
        if limit.soft < -1 || limit.hard < -1 {
            value("--ulimit", limit.name.clone());
        }
    }
    all.extend(values);
    all
}

/// With this machine's network, a port under its own number is reached as it is.
fn is_there(publish: &Publish) -> bool {
    let same = |(port, host): (String, String)| port.split('/').next() == Some(host.as_str());
    publish.address.is_none() && publish.bindings().into_iter().all(same)
}

/// A path of this machine, or what is the session's own as all of the image is.
fn is_plain(volume: &Volume) -> bool {
    let shared = |mode: &String| {
        matches!(
            mode.as_str(),
            "shared" | "rshared" | "slave" | "rslave" | "U" | "noexec" | "nocopy"
        )
    };
    (volume.is_bind() || volume.source.is_none()) && !volume.modes.iter().any(shared)
}

fn can_be_mounted(mount: &MountOption) -> bool {
    match mount.kind {
        MountKind::Bind => mount.details.iter().all(|(name, value)| {
            name == "bind-propagation" && matches!(value.as_str(), "private" | "rprivate")
        }),
        MountKind::Tmpfs => true,
        MountKind::Volume => false,
    }
}

fn is_file(device: &Device) -> bool {
    matches!(device, Device::File { permissions, .. } if permissions.contains('r') && permissions.contains('w'))
}

fn is_known(option: &SecurityOption) -> bool {
    match option {
        SecurityOption::NoNewPrivileges(_) | SecurityOption::Seccomp(_) => true,
        SecurityOption::SeccompFile(_) | SecurityOption::SystemPathsUnconfined => false,
        SecurityOption::Other(text) => text == "label=disable" || text == "apparmor=unconfined",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        container_options::text::split,
        engine::native::{Extent, ids::Writer},
    };

    #[track_caller]
    fn check(typed: &str, names: &[&str]) {
        let flags = Flags::parse(&split(typed).unwrap()).unwrap();
        assert_eq!(refused(&flags), names, "of `{typed}`");
    }

    #[test]
    fn what_only_engines_can_do_is_named_one_by_one() {
        check(
            "-m 8g --cpus 2 --gpus all -p 8080:80 -p 127.0.0.1:90:90 -v cache:/cache",
            &[
                "--memory",
                "--cpus",
                "--gpus",
                "--publish 8080:80",
                "--publish 127.0.0.1:90:90",
                "--volume cache:/cache",
            ],
        );
        check("--network bridge", &["--network bridge"]);
        check(
            "--mount type=volume,source=a,target=/a",
            &["--mount type=volume,source=a,target=/a"],
        );
        check(
            "--security-opt seccomp=/profile.json",
            &["--security-opt seccomp=/profile.json"],
        );
    }

    #[test]
    fn what_would_have_no_effect_is_refused_with_what_it_is_beside() {
        check(
            "--network none -p 3000:3000 --read-only -v /own -v /data:/data",
            &[
                "--publish 3000:3000 with --network none",
                "--volume /own with --read-only",
            ],
        );
        check(
            "--network pasta -p 8080:80 -p 127.0.0.1:53:53/udp -p 90 -p 8000-8009:91 -p 1:1/sctp",
            &[
                "--publish 90",
                "--publish 8000-8009:91",
                "--publish 1:1/sctp",
            ],
        );
        check(
            "--network pasta --add-host db:10.0.0.1 --add-host here:host-gateway",
            &["--add-host here:host-gateway with --network pasta"],
        );
        let groups = |typed: &str| {
            let flags = Flags::parse(&split(typed).unwrap()).unwrap();
            let extent = |(inside, outside, count)| Extent {
                inside,
                outside,
                count,
            };
            let groups = [(0, 100_000, 1000), (1000, 1000, 1), (1001, 101_000, 64_535)];
            let maps = IdMaps {
                users: Vec::new(),
                groups: groups.map(extent).into(),
                writer: Writer::Tools,
            };
            super::groups(&flags, &maps).collect::<Vec<_>>()
        };
        let none = Vec::<String>::new();
        assert_eq!(groups("--group-add 44 --group-add 1000"), none);
        assert_eq!(groups("--group-add 1000 --device /dev/fuse"), none);
        let other = groups("--group-add 44 --device /dev/fuse");
        assert!(
            other[0].contains("--group-add 44 for --device /dev/fuse"),
            "{other:?}"
        );
        let unmapped = groups("--group-add 70000");
        assert!(unmapped[0].contains("--group-add 70000"), "{unmapped:?}");
    }

    #[test]
    fn what_linux_can_do_by_itself_is_done() {
        check(
            "-p 3000:3000 -v /data:/data:ro -v /own --tmpfs /tmp:size=64m --network host --init \
             --mount type=bind,source=/a,target=/b,readonly --device /dev/fuse --group-add 44 --ulimit nofile=10:20 \
             --cap-add SYS_PTRACE --cap-drop KILL --security-opt seccomp=unconfined --shm-size 1g --pids-limit 10",
            &[],
        );
    }
}
