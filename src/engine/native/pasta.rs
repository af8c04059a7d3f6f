//! A network of a session's own, connected by `pasta`: the session reaches what this machine reaches, and nothing of this
//! machine's own loopback.
//!
//! `pasta` is the program of the project passt, which Podman uses for the same; <https://passt.top>. Invariant: only ports that
//! were published lead inside, and none leads out to this machine's loopback.

use super::{cage::CageNetwork, error::NativeError, launch::found};
use crate::container_options::ports::Publish;

/// The network's name and the program's.
pub(super) const PASTA: &str = "pasta";
/// Where a name server of this machine's loopback is asked from inside: no machine has this address (RFC 3927).
pub(super) const RESOLVER: &str = "169.254.1.1";

/// Finds the program, and says what it is to do.
pub(super) fn network(published: &[Publish]) -> Result<CageNetwork, NativeError> {
    let program = found(PASTA).ok_or(NativeError::NoPasta)?;
    let mut options: Vec<String> = ["--config-net", "--no-map-gw", "--dns-forward", RESOLVER]
        .map(str::to_owned)
        .into();
    // Unless it is told, it opens to the outside whatever listens inside, and the other way round.
    for direction in ["--tcp-ns", "--udp-ns"] {
        options.extend([direction, "none"].map(str::to_owned));
    }
    let forwarded: Vec<_> = published.iter().filter_map(forwarded).flatten().collect();
    for (protocol, option) in [("tcp", "--tcp-ports"), ("udp", "--udp-ports")] {
        let ports = forwarded.iter().filter(|port| port.protocol == protocol);
        let mut values: Vec<&str> = ports.map(|port| port.text.as_str()).collect();
        if values.is_empty() {
            values.push("none");
        }
        let values = values.into_iter().flat_map(|value| [option, value]);
        options.extend(values.map(str::to_owned));
    }
    Ok(CageNetwork::Pasta {
        program: program.into_os_string(),
        options,
    })
}

/// A port of this machine that leads inside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    protocol: &'static str,
    /// As `pasta` spells it.
    text: String,
}

/// Returns the ports that lead inside, if `pasta` can do that: not where any free port is wanted.
pub(super) fn forwarded(publish: &Publish) -> Option<Vec<Forwarded>> {
    let protocol = Some(publish.protocol).filter(|protocol| matches!(*protocol, "tcp" | "udp"))?;
    let address = match publish.address {
        None => String::new(),
        Some(address) => format!("{address}/"),
    };
    let port = |(inside, outside): (String, String)| {
        let inside = inside.split('/').next()?.to_owned();
        let outside = outside.parse::<u16>().ok().filter(|port| *port > 0)?;
        Some(Forwarded {
            protocol,
            text: format!("{address}{outside}:{inside}"),
        })
    };
    publish.bindings().into_iter().map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, spelled: Option<&[&str]>) {
        let found = forwarded(&typed.parse().unwrap());
        let found: Option<Vec<String>> =
            found.map(|ports| ports.into_iter().map(|port| port.text).collect());
        let spelled = spelled.map(|ports| ports.iter().map(ToString::to_string).collect());
        assert_eq!(found, spelled, "of `{typed}`");
    }

    #[test]
    fn ports_are_spelled_as_pasta_reads_them() {
        check("8080:80", Some(&["8080:80"]));
        check("127.0.0.1:8080:80/udp", Some(&["127.0.0.1/8080:80"]));
        check("[::1]:8080:80", Some(&["::1/8080:80"]));
        check("8000-8001:80-81", Some(&["8000:80", "8001:81"]));
    }

    #[test]
    fn a_port_that_is_to_be_any_free_one_is_not_had() {
        for typed in ["80", "127.0.0.1::80", "8000-8009:80", "0:80", "80:80/sctp"] {
            check(typed, None);
        }
    }
}
