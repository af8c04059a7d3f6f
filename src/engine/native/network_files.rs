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
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    text.push_str(&format!("127.0.1.1\t{}\n", names.hostname));
    for host in names.hosts {
        let Some((name, address)) = host.split_once(':') else {
            continue;
        };
        // With the network of this machine, it is reached where it is.
        let address = match (address, names.network) {
            ("host-gateway", _) => "127.0.0.1",
            (address, _) => address,
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

fn servers(names: &Names<'_>) -> String {
    let own = match small_file::read(Path::new(SERVERS), SERVERS_LIMIT) {
        Ok(SmallFile::Content(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    };
    let mut text = String::new();
    for line in own.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        let replaced = (word == "nameserver" && !names.servers.is_empty())
            || (matches!(word, "search" | "domain") && !names.search.is_empty());
        if !replaced {
            text.push_str(line);
            text.push('\n');
        }
    }
    for server in &names.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !names.search.is_empty() {
        text.push_str(&format!("search {}\n", names.search.join(" ")));
    }
    text
}
