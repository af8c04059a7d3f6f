//! Options of `docker run` that aicage does not take, and what to do instead.

/// Tells why an option is not taken, in words that follow its name.
pub fn why(option: &str) -> Option<&'static str> {
    let name = option.split('=').next().unwrap_or(option);
    Some(match name {
        "-d" | "--detach" => {
            "is aicage's own, and not stored: type it before the agent, `aicage -d AGENT`"
        }
        "--detach-keys" => {
            "is aicage's own, and not stored: type it before the agent, `aicage --detach-keys KEYS AGENT`"
        }
        "--restart" => "has no use here: a session ends with its agent",
        "--rm" | "-i" | "-t" => "is done anyway",
        "--platform" => "is the base's to say: images are for this machine",
        "--pull" => {
            "is not needed: aicage itself sees to the image; `--update` asks for a newer one"
        }
        "--pid" | "--ipc" | "--uts" | "--cgroupns" | "--cgroup-parent" => {
            "would take down a wall between the agent and this machine, and is not taken"
        }
        "--userns" => "is aicage's to say, so that what the agent writes belongs to you",
        "--volumes-from" => "is not taken: name the volumes with `--volume`",
        "--link" => "is docker's older way: connect both to one `--network`",
        "-P" | "--publish-all" => "is not taken: name the ports with `--publish`",
        "-a" | "--attach" | "--sig-proxy" => "is aicage's to say: a session is attached",
        "--log-driver" | "--log-opt" => {
            "is aicage's to say: the engine keeps the last 20 MB, `--no-log` before the agent keeps none"
        }
        "--cidfile" => "is not taken: name the container with `--name`",
        "--label-file" => "is not taken: name the labels with `--label`",
        "--dns-opt" | "--dns-option" => "is not taken: `--dns` and `--dns-search` are",
        "--ip" | "--ip6" | "--network-alias" | "--net-alias" => {
            "is not taken alone: write `--network name=NETWORK,ip=ADDRESS,alias=NAME`"
        }
        "--health-cmd" | "--no-healthcheck" | "--health-interval" => {
            "has no use here: nobody watches a session's health"
        }
        "--stop-signal" | "--stop-timeout" => {
            "is aicage's to say: signals are passed on to the agent"
        }
        "--device-cgroup-rule"
        | "--oom-kill-disable"
        | "--oom-score-adj"
        | "--cpu-shares"
        | "-c"
        | "--cpu-period"
        | "--cpu-quota"
        | "--memory-reservation"
        | "--kernel-memory"
        | "--blkio-weight"
        | "--storage-opt"
        | "--volume-driver"
        | "--mac-address"
        | "--domainname"
        | "--expose"
        | "--isolation"
        | "--annotation" => "is one of docker's that aicage does not take",
        _ => return None,
    })
}
