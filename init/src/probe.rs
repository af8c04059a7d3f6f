//! `init probe HOST:PORT…`: tells what the network of this container reaches.
//!
//! Format: one line of JSON on stdout, `[{"target","addresses":[…],"unresolved":null|"…","refused":null|"…"}]`. Nothing is
//! sent over a connection; each try is bounded.

use std::{
    io::Write as _,
    net::{TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    time::Duration,
};

use serde::Serialize;

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many addresses of a name are tried.
const TRIES: usize = 3;

#[derive(Serialize)]
struct Reached {
    target: String,
    addresses: Vec<String>,
    unresolved: Option<String>,
    refused: Option<String>,
}

/// Tries each target and prints what came of it.
pub(crate) fn run(targets: &[std::ffi::OsString]) -> ExitCode {
    let tries: Vec<_> = targets
        .iter()
        .map(|target| target.to_string_lossy().into_owned())
        .map(|target| std::thread::spawn(|| reach(target)))
        .collect();
    let reached: Vec<Reached> = tries
        .into_iter()
        .flat_map(std::thread::JoinHandle::join)
        .collect();
    let text = serde_json::to_string(&reached).unwrap_or_default();
    if writeln!(std::io::stdout(), "{text}").is_err() {
        return ExitCode::from(99);
    }
    ExitCode::SUCCESS
}

fn reach(target: String) -> Reached {
    let addresses: Vec<_> = match target.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Reached {
                target,
                addresses: Vec::new(),
                unresolved: Some(error.to_string()),
                refused: Some("its name has no address".to_owned()),
            };
        }
    };
    let mut refused = Some("its name has no address".to_owned());
    for address in addresses.iter().take(TRIES) {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(_connection) => {
                refused = None;
                break;
            }
            Err(error) => refused = Some(error.to_string()),
        }
    }
    Reached {
        target,
        addresses: addresses
            .iter()
            .map(|address| address.ip().to_string())
            .collect(),
        unresolved: None,
        refused,
    }
}
