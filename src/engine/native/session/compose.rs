//! What a session is in a cage: from the words that engines have for it to what the kernel has.

use std::{ffi::OsString, path::Path};

use assembler::image::Image;
use rustix::thread::CapabilitySet;

use super::users;
use crate::{
    container_options::{
        Flags,
        device::Device,
        limits::Size,
        mount::{MountKind, MountOption},
        security::{Capability, SecurityOption},
    },
    engine::{
        native::{
            IdMaps,
            cage::{
                CAPABILITIES, Cage, CageMount, CageMountKind, CageNetwork, Confinement, Limit,
                Program, RootAccess, SHARED_MEMORY, Whose,
            },
            environment,
            error::NativeError,
            network_files::{self, Names},
            pasta::{self, PASTA},
            rootfs::Lowers,
        },
        session::{Access, Network, SessionInput, SessionSpec},
    },
};

/// Composes the cage of a session; its place for changes is not known yet.
pub(super) fn cage(
    spec: &SessionSpec,
    (image, lowers, maps): (&Image, &Lowers, &IdMaps),
    id: &str,
) -> Result<Cage, NativeError> {
    let flags = &spec.options.flags;
    let hostname = flags.hostname.as_ref().map(ToString::to_string);
    let hostname = hostname.unwrap_or_else(|| id.to_owned());
    let network = network(spec)?;
    let hosts = spec.hosts();
    let names = Names {
        hostname: &hostname,
        hosts: &hosts,
        servers: flags.dns.iter().map(ToString::to_string).collect(),
        search: flags.dns_search.clone(),
        network: &network,
    };
    let files = network_files::compose(&names);
    Ok(Cage {
        lowers: lowers.directories.clone(),
        like: lowers.root.clone(),
        scratch: OsString::new(),
        mounts: mounts(spec)?,
        files,
        network,
        root: if flags.read_only == Some(true) {
            RootAccess::ReadOnly
        } else {
            RootAccess::ReadWrite
        },
        confinement: confinement(flags),
        limits: limits(flags),
        shared_memory: size(flags.shm_size.as_ref()).unwrap_or(SHARED_MEMORY),
        program: program(spec, (image, lowers, maps), &hostname)?,
        hostname,
    })
}

fn network(spec: &SessionSpec) -> Result<CageNetwork, NativeError> {
    let flags = &spec.options.flags;
    let named = flags.network.as_ref();
    Ok(
        match (named.map(|network| network.name.as_str()), &spec.network) {
            (Some("none"), _) | (None, Network::None) => CageNetwork::None,
            (Some(PASTA), _) => pasta::network(&flags.publish)?,
            _ => CageNetwork::Host,
        },
    )
}

fn size(size: Option<&Size>) -> Option<u64> {
    u64::try_from(size?.bytes).ok().filter(|bytes| *bytes > 0)
}

fn mounts(spec: &SessionSpec) -> Result<Vec<CageMount>, NativeError> {
    let flags = &spec.options.flags;
    let bind = |source: &Path, target: &Path, read_only: bool| CageMount {
        target: target.into(),
        kind: CageMountKind::Bind {
            source: source.into(),
            read_only,
        },
    };
    let mut all: Vec<CageMount> = Vec::new();
    for mount in &spec.mounts {
        let read_only = mount.access == Access::ReadOnly;
        all.push(bind(&mount.source, &mount.target, read_only));
    }
    for volume in flags.volume.iter().filter(|volume| volume.is_bind()) {
        let source = Path::new(volume.source.as_deref().unwrap_or_default());
        if !source.exists() {
            // As engines have it.
            fs_err::create_dir_all(source)
                .map_err(NativeError::host("make the directory of a `--volume`"))?;
        }
        all.push(bind(source, volume.target.as_ref(), !volume.is_writable()));
    }
    let own = flags.volume.iter().filter(|volume| volume.source.is_none());
    all.extend(own.map(|volume| CageMount {
        target: volume.target.clone().into(),
        kind: CageMountKind::Own,
    }));
    all.extend(flags.mount.iter().filter_map(mount));
    for tmpfs in &flags.tmpfs {
        all.push(memory(&tmpfs.target, &tmpfs.options));
    }
    for device in &flags.device {
        if let Device::File { source, target, .. } = device {
            all.push(bind(source.as_ref(), target.as_ref(), false));
        }
    }
    // What is mounted below something else comes after it.
    all.sort_by_key(|mount| Path::new(&mount.target).components().count());
    Ok(all)
}

/// As in engines, programs in it are not run unless somebody says so.
fn memory(target: &str, options: &str) -> CageMount {
    CageMount {
        target: target.into(),
        kind: CageMountKind::Memory {
            options: format!("noexec,{options}"),
        },
    }
}

fn mount(option: &MountOption) -> Option<CageMount> {
    match option.kind {
        MountKind::Bind => Some(CageMount {
            target: option.target.clone().into(),
            kind: CageMountKind::Bind {
                source: option.source.clone()?.into(),
                read_only: option.read_only,
            },
        }),
        MountKind::Tmpfs => {
            let mut options = Vec::new();
            let size = option.detail("tmpfs-size").map(str::parse::<Size>);
            if let Some(Ok(size)) = size {
                options.push(format!("size={}", size.bytes));
            }
            let mode = option.detail("tmpfs-mode").unwrap_or("1777");
            options.push(format!("mode={mode}"));
            if option.read_only {
                options.push("ro".to_owned());
            }
            Some(memory(&option.target, &options.join(",")))
        }
        MountKind::Volume => None,
    }
}

fn confinement(flags: &Flags) -> Confinement {
    let usual = CAPABILITIES.map(str::to_owned);
    let mut capabilities: Vec<String> = if flags.cap_drop.iter().any(Capability::is_all) {
        Vec::new()
    } else {
        usual.into()
    };
    if flags.cap_add.iter().any(Capability::is_all) {
        let all = CapabilitySet::all().iter_names();
        capabilities = all.map(|(name, _)| name.to_owned()).collect();
    }
    let dropped: Vec<String> = flags.cap_drop.iter().map(ToString::to_string).collect();
    capabilities.retain(|name| !dropped.contains(name));
    let added = flags.cap_add.iter().filter(|one| !one.is_all());
    capabilities.extend(added.map(ToString::to_string));
    capabilities.sort();
    capabilities.dedup();
    let mut confinement = Confinement {
        capabilities,
        ..Confinement::default()
    };
    for option in &flags.security_opt {
        match option {
            SecurityOption::NoNewPrivileges(whether) => confinement.no_new_privileges = *whether,
            SecurityOption::Seccomp(name) => confinement.filter = name != "unconfined",
            _ => {}
        }
    }
    confinement
}

fn limits(flags: &Flags) -> Vec<Limit> {
    let bound = |number: i64| u64::try_from(number).ok();
    let mut all: Vec<Limit> = flags
        .ulimit
        .iter()
        .map(|limit| Limit {
            name: limit.name.clone(),
            soft: bound(limit.soft),
            hard: bound(limit.hard),
        })
        .collect();
    let is_said = all.iter().any(|limit| limit.name == "nproc");
    if let Some(number) = flags.pids_limit.filter(|number| *number > 0 && !is_said) {
        all.extend(bound(number).map(Limit::processes));
    }
    all
}

fn program(
    spec: &SessionSpec,
    (image, lowers, maps): (&Image, &Lowers, &IdMaps),
    hostname: &str,
) -> Result<Program, NativeError> {
    let flags = &spec.options.flags;
    let config = &image.config().value().config;
    let entrypoint = spec.entrypoint();
    let mut command = entrypoint
        .clone()
        .unwrap_or_else(|| config.entrypoint.clone());
    if spec.command.is_empty() && entrypoint.is_none() {
        command.extend(config.cmd.iter().cloned());
    }
    command.extend(spec.command.iter().cloned());
    let terminal = spec.input == SessionInput::Terminal;
    let user = spec.user.clone().unwrap_or_else(|| config.user.clone());
    let user = users::find(&user, &lowers.directories)?;
    let mut environment = environment::of_image(image, hostname, &spec.env);
    let has_home = spec.env.contains_key("HOME")
        || config
            .env
            .iter()
            .any(|variable| variable.starts_with("HOME="));
    if !has_home {
        environment.retain(|(name, _)| name != "HOME");
        let home = users::home(user.uid, &lowers.directories);
        environment.push(("HOME".into(), home.into()));
    }
    if terminal && !environment.iter().any(|(name, _)| name == "TERM") {
        environment.push(("TERM".into(), "xterm".into()));
    }
    let directory = spec.directory();
    let directory = directory.unwrap_or_else(|| config.working_dir.clone());
    let added = flags.group_add.iter();
    let added = added.filter_map(|group| group.parse().ok());
    // A group that nobody stands for on this machine has no file either.
    let groups = user
        .groups
        .into_iter()
        .filter(|group| maps.group(*group).is_some());
    Ok(Program {
        command: command.into_iter().map(OsString::from).collect(),
        environment,
        directory: if directory.is_empty() {
            "/".into()
        } else {
            directory.into()
        },
        user: (user.uid, user.gid),
        groups: groups.chain(added).collect(),
        terminal,
        sees_changes: false,
        whose: Whose::Image,
    })
}
