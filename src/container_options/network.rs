//! Networks, hosts and name servers.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{ValueError, csv};

/// A network that the container is connected to: a name, or `name=…,alias=…,ip=…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkOption {
    /// `bridge`, `none`, `host`, `container:NAME`, or the name of a network.
    pub name: String,
    /// Other names of the container there.
    pub aliases: Vec<String>,
    /// Its address there.
    pub ip: Option<IpAddr>,
    /// Its IPv6 address there.
    pub ip6: Option<IpAddr>,
}

impl FromStr for NetworkOption {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`bridge`, `none`, `host`, `container:NAME`, a network's name, or `name=NETWORK,alias=NAME,ip=ADDRESS`",
        };
        let mut network = Self {
            name: text.to_owned(),
            aliases: Vec::new(),
            ip: None,
            ip6: None,
        };
        if text.contains('=') {
            network.name.clear();
            for (key, value) in csv::pairs(text)? {
                let value = value.ok_or_else(|| wrong(format!("`{key}` has no value")))?;
                let address = || {
                    value
                        .parse::<IpAddr>()
                        .map_err(|_not| wrong(format!("`{value}` is no address")))
                };
                match key.as_str() {
                    "name" => network.name = value,
                    "alias" => network.aliases.push(value),
                    "ip" => network.ip = Some(address()?),
                    "ip6" => network.ip6 = Some(address()?),
                    _ => return Err(wrong(format!("`{key}` is not known"))),
                }
            }
        }
        let name = network
            .name
            .strip_prefix("container:")
            .unwrap_or(&network.name);
        if !super::naming::is_name(name) {
            return Err(wrong(format!("`{}` is no network", network.name)));
        }
        Ok(network)
    }
}

impl NetworkOption {
    /// Tells whether anything but the name is said.
    pub fn has_details(&self) -> bool {
        !self.aliases.is_empty() || self.ip.is_some() || self.ip6.is_some()
    }
}

impl fmt::Display for NetworkOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.has_details() {
            return f.write_str(&self.name);
        }
        write!(f, "name={}", self.name)?;
        for alias in &self.aliases {
            write!(f, ",alias={alias}")?;
        }
        for (key, address) in [("ip", self.ip), ("ip6", self.ip6)] {
            if let Some(address) = address {
                write!(f, ",{key}={address}")?;
            }
        }
        Ok(())
    }
}

/// A host that the container knows by name: `NAME:ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    /// `None` is the engine's machine, whatever its address.
    address: Option<IpAddr>,
}

impl FromStr for Host {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |what: String| ValueError {
            what,
            expected: "`NAME:ADDRESS`, such as `db:10.0.0.7` or `host.docker.internal:host-gateway`",
        };
        let (name, address) = text
            .split_once(['=', ':'])
            .ok_or_else(|| wrong(format!("`{text}` has no colon")))?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong(format!("`{name}` is no host's name")));
        }
        let plain = address
            .strip_prefix('[')
            .and_then(|inside| inside.strip_suffix(']'))
            .unwrap_or(address);
        let address = match plain {
            "host-gateway" => None,
            plain => Some(
                plain
                    .parse()
                    .map_err(|_not| wrong(format!("`{plain}` is no address")))?,
            ),
        };
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}:{address}", self.name),
            None => write!(f, "{}:host-gateway", self.name),
        }
    }
}

/// A server that is asked for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(IpAddr);

impl FromStr for NameServer {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|_not| ValueError {
            what: format!("`{text}` is no address"),
            expected: "an address, such as `1.1.1.1`",
        })
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hosts_and_name_servers_are_read_as_docker_reads_them() {
        for (text, shown) in [
            ("none", "none"),
            ("host", "host"),
            ("container:db", "container:db"),
            (
                "name=shop,alias=a,alias=b,ip=10.0.0.2",
                "name=shop,alias=a,alias=b,ip=10.0.0.2",
            ),
            ("name=shop", "shop"),
        ] {
            assert_eq!(
                text.parse::<NetworkOption>().map(|it| it.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in [
            "",
            "a b",
            "name=",
            "alias=x",
            "name=x,ip=y",
            "name=x,colour=red",
            "container:",
        ] {
            assert!(text.parse::<NetworkOption>().is_err(), "{text}");
        }
        for (text, shown) in [
            ("db:10.0.0.7", "db:10.0.0.7"),
            ("db=10.0.0.7", "db:10.0.0.7"),
            ("db:::1", "db:::1"),
            ("db:[::1]", "db:::1"),
            (
                "host.docker.internal:host-gateway",
                "host.docker.internal:host-gateway",
            ),
        ] {
            assert_eq!(
                text.parse::<Host>().map(|it| it.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in ["", "db", ":10.0.0.7", "db:", "db:x", "a b:1.1.1.1"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
        assert!("::1".parse::<NameServer>().is_ok());
        assert!("dns.example".parse::<NameServer>().is_err());
    }
}
