//! The files by which programs find other machines: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`.
//!
//! They are the cage's own and in memory, as in engines; no layer has them.

use std::path::Path;

use super::cage::{CageFile, CageNetwork};
use crate::small_file::{self, SmallFile};

/// This machine's list of name servers, and what is taken of it.
const SERVERS: &str = "/etc/resolv.conf";
const SERVERS_LIMIT: u64 = 64 << 10;

/// What of it differs between cages.
#[derive(Debug)]
pub(super) struct Names<'a> {
    /// How the machine is called inside.
    pub(super) hostname: &'a str,
    /// `name:address`, as engines take it.
    pub(super) hosts: &'a [String],
    /// Servers and search domains instead of this machine's.
    pub(super) servers: Vec<String>,
    pub(super) search: Vec<String>,
    pub(super) network: CageNetwork,
}

/// Composes the files.
pub(super) fn compose(names: &Names<'_>) -> Vec<CageFile> {
    let file = |target: &str, content: String| CageFile {
        target: target.into(),
        content: content.into_bytes(),
        mode: 0o644,
    };
    vec![
        file("/etc/hostname", format!("{}\n", names.hostname)),
        file("/etc/hosts", hosts(names)),
        file("/etc/resolv.conf", servers(names)),
    ]
}

fn hosts(names: &Names<'_>) -> String {
    let mut lines = vec![
        "127.0.0.1\tlocalhost".to_owned(),
        "::1\tlocalhost ip6-localhost ip6-loopback".to_owned(),
        format!("127.0.1.1\t{}", names.hostname),
    ];
    for host in names.hosts {
        let Some((name, address)) = host.split_once(':') else {
            continue;
        };
        let address = match (address, names.network) {
            // With the network of this machine, it is reached where it is.
            ("host-gateway", CageNetwork::Host) => "127.0.0.1",
            ("host-gateway", CageNetwork::None) => continue,
            (address, _) => address,
        };
        lines.push(format!("{address}\t{name}"));
    }
    text(&lines)
}

fn servers(names: &Names<'_>) -> String {
    let own = match small_file::read(Path::new(SERVERS), SERVERS_LIMIT) {
        Ok(SmallFile::Content(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    };
    let is_kept = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let replaced = (word == "nameserver" && !names.servers.is_empty())
            || (matches!(word, "search" | "domain") && !names.search.is_empty());
        !replaced
    };
    let mut lines: Vec<String> = own.lines().filter(is_kept).map(str::to_owned).collect();
    let servers = names.servers.iter();
    lines.extend(servers.map(|server| format!("nameserver {server}")));
    if !names.search.is_empty() {
        lines.push(format!("search {}", names.search.join(" ")));
    }
    text(&lines)
}

fn text(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
