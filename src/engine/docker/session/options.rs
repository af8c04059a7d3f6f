//! Options of a container, as the engine's interface has them.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, EndpointIpamConfig, EndpointSettings,
    HostConfig, Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions,
    MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig, NetworkingConfig, PortBinding,
    ResourcesUlimits,
};

use crate::container_options::{
    Flags, Resolved,
    device::Device,
    limits::{Size, SwapSize, Ulimit},
    mount::{MountKind, MountOption},
    network::NetworkOption,
    security::{Privileged, SecurityOption},
};

/// Adds what was asked for to the body of a container, but what a spec says of it itself.
pub(super) fn apply(options: &Resolved, body: &mut ContainerCreateBody) {
    let flags = &options.flags;
    body.hostname = flags.hostname.as_ref().map(ToString::to_string);
    let unnamed = flags.volume.iter().filter(|volume| volume.source.is_none());
    let unnamed: Vec<String> = unnamed.map(|volume| volume.target.clone()).collect();
    body.volumes = some(unnamed);
    publish(flags, body);
    if let Some(network) = &flags.network {
        connect(network, body);
    }
    let host = body.host_config.get_or_insert_default();
    host.init = flags.init;
    limits(flags, host);
    mounts(flags, host);
    devices(flags, host);
    bounds(options, host);
    host.dns = some(texts(&flags.dns));
    host.dns_search = some(flags.dns_search.clone());
    host.runtime.clone_from(&flags.runtime);
    host.sysctls = some_map(
        flags
            .sysctl
            .iter()
            .map(|one| (one.name.clone(), one.value.clone())),
    );
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn some_map<M: FromIterator<(String, String)>>(
    pairs: impl Iterator<Item = (String, String)>,
) -> Option<M> {
    let mut pairs = pairs.peekable();
    pairs.peek()?;
    Some(pairs.collect())
}

fn joined(first: Option<Vec<String>>, more: Vec<String>) -> Option<Vec<String>> {
    let mut all = first.unwrap_or_default();
    all.extend(more);
    some(all)
}

fn publish(flags: &Flags, body: &mut ContainerCreateBody) {
    let mut ports: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for publish in &flags.publish {
        for (port, host_port) in publish.bindings() {
            ports.entry(port).or_default().push(PortBinding {
                host_ip: publish.address.map(|address| address.to_string()),
                host_port: Some(host_port),
            });
        }
    }
    if ports.is_empty() {
        return;
    }
    body.exposed_ports = Some(ports.keys().cloned().collect());
    let bindings = ports.into_iter().map(|(port, all)| (port, Some(all)));
    let host = body.host_config.get_or_insert_default();
    host.port_bindings = Some(bindings.collect());
}

fn connect(network: &NetworkOption, body: &mut ContainerCreateBody) {
    let host = body.host_config.get_or_insert_default();
    host.network_mode = Some(network.name.clone());
    if !network.has_details() {
        return;
    }
    let address = |address: Option<std::net::IpAddr>| address.map(|address| address.to_string());
    let settings = EndpointSettings {
        aliases: some(network.aliases.clone()),
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: address(network.ip),
            ipv6_address: address(network.ip6),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    body.networking_config = Some(NetworkingConfig {
        endpoints_config: Some([(network.name.clone(), settings)].into()),
    });
}

fn limits(flags: &Flags, host: &mut HostConfig) {
    host.nano_cpus = flags.cpus.as_ref().map(|cpus| cpus.nano);
    host.cpuset_cpus.clone_from(&flags.cpuset_cpus);
    host.memory = flags.memory.as_ref().map(|size| size.bytes);
    host.memory_swap = flags.memory_swap.as_ref().map(SwapSize::bytes);
    host.pids_limit = flags.pids_limit;
    host.shm_size = flags.shm_size.as_ref().map(|size| size.bytes);
    let ulimit = |limit: &Ulimit| ResourcesUlimits {
        name: Some(limit.name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    host.ulimits = some(flags.ulimit.iter().map(ulimit).collect());
}

fn mounts(flags: &Flags, host: &mut HostConfig) {
    let named = flags.volume.iter().filter(|volume| volume.source.is_some());
    let mut binds = host.binds.take().unwrap_or_default();
    binds.extend(named.map(ToString::to_string));
    host.binds = some(binds);
    let all = host.mounts.get_or_insert_default();
    all.extend(flags.mount.iter().map(mount));
    let tmpfs = flags.tmpfs.iter();
    host.tmpfs = some_map(tmpfs.map(|tmpfs| (tmpfs.target.clone(), tmpfs.options.clone())));
}

fn mount(option: &MountOption) -> Mount {
    let mut mount = Mount {
        source: option.source.clone(),
        target: Some(option.target.clone()),
        read_only: Some(option.read_only),
        ..Mount::default()
    };
    let has = |detail: &'static str| option.detail(detail);
    match option.kind {
        MountKind::Bind => {
            mount.typ = Some(MountType::BIND);
            let recursive = has("bind-recursive");
            mount.bind_options = (!option.details.is_empty()).then(|| MountBindOptions {
                propagation: has("bind-propagation").and_then(propagation),
                non_recursive: (has("bind-nonrecursive") == Some("true")
                    || recursive == Some("disabled"))
                .then_some(true),
                read_only_non_recursive: (recursive == Some("writable")).then_some(true),
                read_only_force_recursive: (recursive == Some("readonly")).then_some(true),
                ..MountBindOptions::default()
            });
        }
        MountKind::Volume => {
            mount.typ = Some(MountType::VOLUME);
            mount.volume_options = (!option.details.is_empty()).then(|| volume_options(option));
        }
        MountKind::Tmpfs => {
            mount.typ = Some(MountType::TMPFS);
            let size = has("tmpfs-size").and_then(|text| text.parse::<Size>().ok());
            mount.tmpfs_options = (!option.details.is_empty()).then(|| MountTmpfsOptions {
                size_bytes: size.map(|size| size.bytes),
                mode: has("tmpfs-mode").and_then(|text| i64::from_str_radix(text, 8).ok()),
                ..MountTmpfsOptions::default()
            });
        }
    }
    mount
}

fn volume_options(option: &MountOption) -> MountVolumeOptions {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    let driver = option.detail("volume-driver").map(str::to_owned);
    let options = some_map(option.details("volume-opt").map(pair));
    MountVolumeOptions {
        no_copy: (option.detail("volume-nocopy") == Some("true")).then_some(true),
        labels: some_map(option.details("volume-label").map(pair)),
        driver_config: (driver.is_some() || options.is_some()).then_some(
            MountVolumeOptionsDriverConfig {
                name: driver,
                options,
            },
        ),
        subpath: option.detail("volume-subpath").map(str::to_owned),
    }
}

fn propagation(word: &str) -> Option<MountBindOptionsPropagationEnum> {
    Some(match word {
        "private" => MountBindOptionsPropagationEnum::PRIVATE,
        "rprivate" => MountBindOptionsPropagationEnum::RPRIVATE,
        "shared" => MountBindOptionsPropagationEnum::SHARED,
        "rshared" => MountBindOptionsPropagationEnum::RSHARED,
        "slave" => MountBindOptionsPropagationEnum::SLAVE,
        "rslave" => MountBindOptionsPropagationEnum::RSLAVE,
        _ => return None,
    })
}

fn devices(flags: &Flags, host: &mut HostConfig) {
    let mut files = Vec::new();
    let mut described = Vec::new();
    for device in &flags.device {
        match device {
            Device::File {
                source,
                target,
                permissions,
            } => files.push(DeviceMapping {
                path_on_host: Some(source.clone()),
                path_in_container: Some(target.clone()),
                cgroup_permissions: Some(permissions.clone()),
            }),
            Device::Described(name) => described.push(name.clone()),
        }
    }
    host.devices = some(files);
    let mut requests = Vec::new();
    if !described.is_empty() {
        requests.push(DeviceRequest {
            driver: Some("cdi".to_owned()),
            device_ids: Some(described),
            ..DeviceRequest::default()
        });
    }
    if let Some(gpus) = &flags.gpus {
        requests.push(DeviceRequest {
            driver: Some(gpus.driver.clone()),
            count: Some(gpus.count),
            device_ids: some(gpus.devices.clone()),
            capabilities: Some(vec![gpus.capabilities.clone()]),
            ..DeviceRequest::default()
        });
    }
    host.device_requests = some(requests);
}

fn bounds(options: &Resolved, host: &mut HostConfig) {
    let flags = &options.flags;
    host.cap_add = some(texts(&flags.cap_add));
    host.cap_drop = some(texts(&flags.cap_drop));
    host.privileged = flags.privileged.map(|Privileged(whether)| whether);
    host.readonly_rootfs = flags.read_only;
    host.group_add = joined(host.group_add.take(), flags.group_add.clone());
    let mut security = host.security_opt.take().unwrap_or_default();
    for option in &flags.security_opt {
        match option {
            // Podman knows no value, and has none unless it is asked.
            SecurityOption::NoNewPrivileges(false) => {}
            SecurityOption::SeccompFile(_) => {
                security.extend(
                    options
                        .seccomp
                        .iter()
                        .map(|profile| format!("seccomp={profile}")),
                );
            }
            SecurityOption::SystemPathsUnconfined => {
                host.masked_paths = Some(Vec::new());
                host.readonly_paths = Some(Vec::new());
            }
            other => security.push(other.to_string()),
        }
    }
    host.security_opt = some(security);
}
