//! The files by which programs find other machines: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`.
//!
//! They are the cage's own and in memory, as in engines; no layer has them.

use std::{net::IpAddr, path::Path};

use super::{
    cage::{CageFile, CageNetwork},
    pasta::RESOLVER,
};
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
    pub(super) network: &'a CageNetwork,
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
            // No address inside is this machine's.
            ("host-gateway", CageNetwork::None | CageNetwork::Pasta { .. }) => continue,
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
    if matches!(names.network, CageNetwork::Pasta { .. }) {
        lines = within_reach(lines);
    }
    let servers = names.servers.iter();
    lines.extend(servers.map(|server| format!("nameserver {server}")));
    if !names.search.is_empty() {
        lines.push(format!("search {}", names.search.join(" ")));
    }
    text(&lines)
}

/// A server on this machine's own loopback is asked by way of `pasta`.
fn within_reach(lines: Vec<String>) -> Vec<String> {
    let is_far = |line: &String| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver");
        let address = address.and(words.next()).unwrap_or_default();
        let address = address.split('%').next().unwrap_or_default();
        address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
    };
    let mut resolver = Some(format!("nameserver {RESOLVER}"));
    let reached = |line: String| {
        if is_far(&line) {
            resolver.take()
        } else {
            Some(line)
        }
    };
    lines.into_iter().filter_map(reached).collect()
}

fn text(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_of_this_machines_loopback_is_asked_where_pasta_passes_it_on() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        for (own, inside) in [
            (
                "nameserver 127.0.0.53\noptions edns0\nsearch lan",
                "nameserver 169.254.1.1\noptions edns0\nsearch lan",
            ),
            (
                "nameserver ::1\nnameserver 10.0.0.1\nnameserver 127.0.0.1",
                "nameserver 169.254.1.1\nnameserver 10.0.0.1",
            ),
            ("nameserver fe80::1%eth0", "nameserver fe80::1%eth0"),
            ("search 127.0.0.1", "search 127.0.0.1"),
        ] {
            assert_eq!(within_reach(lines(own)), lines(inside), "of {own}");
        }
    }
}
